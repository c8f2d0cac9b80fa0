"""``/peers/{id}/connection-logs``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from ...kube.resources import EVENTS, PEERS
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..context import Context
from ..errors import Detail
from .log import REACH, Entry, entries
from .peers import peer_of


class ConnectionLog(BaseModel):
    """A page of what is known, the newest first."""

    peer_id: str
    logs: list[Entry]
    total: int
    limit: int
    offset: int
    reach: str = REACH
    """How far the log goes back, and why not further."""


def router(context: Context) -> APIRouter:
    """The log."""
    routes = APIRouter(tags=["devices"])

    @routes.get(
        "/peers/{id}/connection-logs",
        responses={status: {"model": Detail} for status in (401, 403, 404, 422, 503)},
        summary="What is known of a peer's connections",
    )
    async def connection_logs(
        id: str,
        caller: Annotated[Caller, Depends(authorize("get", "wireguardpeers"))],
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0)] = 0,
    ) -> ConnectionLog:
        known = peer_of(context, caller, id)
        peer = await context.client.get(PEERS, known.key.namespace, known.key.name)
        chosen = f"regarding.kind=WireGuardPeer,regarding.name={known.key.name}"
        events = [
            event
            async for event in context.client.list(EVENTS, known.key.namespace, fields=chosen)
            if event["regarding"].get("uid") == known.uid
        ]
        found = entries(peer, events)
        return ConnectionLog(
            peer_id=known.id, logs=found[offset : offset + limit], total=len(found), limit=limit, offset=offset
        )

    return routes
