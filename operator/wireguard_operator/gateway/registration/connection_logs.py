"""``/peers/{id}/connection-logs``."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from ...kube.resources import EVENTS, PEERS
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..context import Context
from ..rest.answers_of_actions import refusals
from ..rest.lookup import find_peer
from .log import REACH, Entry, entries


class ConnectionLog(BaseModel):
    """A page of what is known, the newest first."""

    peer_id: UUID
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
        "/peers/{peer_id}/connection-logs",
        responses=refusals(404),
        summary="What is known of a peer's connections",
    )
    async def connection_logs(
        caller: Annotated[Caller, Depends(authorize("get", "wireguardpeers"))],
        peer_id: UUID,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ) -> ConnectionLog:
        known = await find_peer(context, caller, peer_id)
        peer = await context.client.get(PEERS, known.key.namespace, known.key.name)
        chosen = f"regarding.kind=WireGuardPeer,regarding.name={known.key.name}"
        events = [
            event
            async for event in context.client.list(EVENTS, known.key.namespace, fields=chosen)
            if event["regarding"].get("uid") == known.uid
        ]
        found = entries(peer, events)
        return ConnectionLog(
            peer_id=UUID(known.id), logs=found[offset : offset + limit], total=len(found), limit=limit, offset=offset
        )

    return routes
