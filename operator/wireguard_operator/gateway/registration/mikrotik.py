"""``/peers/{id}/mikrotik-script``: the tunnel as a script for RouterOS 7. It holds the private key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from ...api.base import Time
from ...domain import routeros
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..context import Context
from ..errors import Detail
from .configuration import config_of
from .peers import peer_of

RESPONSES: dict[int | str, dict[str, object]] = {status: {"model": Detail} for status in (401, 403, 404, 409, 503)}
MayReveal = Annotated[Caller, Depends(authorize("get", "wireguardpeers", "config"))]


class Script(BaseModel):
    """A script for ``/import``."""

    peer_id: str
    peer_name: str
    script: str
    created_at: Time


def router(context: Context) -> APIRouter:
    """The script in JSON, and as a file."""
    routes = APIRouter(prefix="/peers/{id}/mikrotik-script", tags=["devices"])

    async def script_of(caller: Caller, id_: str) -> Script:
        peer = peer_of(context, caller, id_)
        config = await config_of(context.client, peer.key, peer.uid)
        context.audit.record(
            user=caller.username,
            tenant=caller.namespace,
            verb="get",
            resource="wireguardpeers/config",
            name=peer.key.name,
            form="mikrotik-script",
        )
        return Script(
            peer_id=peer.id,
            peer_name=peer.title,
            script=routeros.script(peer.key.name, peer.key.namespace, config),
            created_at=context.clock(),
        )

    @routes.get("", responses=RESPONSES, summary="Show the configuration as a RouterOS 7 script")
    async def show(id: str, caller: MayReveal) -> Script:
        return await script_of(caller, id)

    @routes.get(
        "/download",
        response_class=PlainTextResponse,
        responses=RESPONSES,
        summary="Download the configuration as a RouterOS 7 script",
    )
    async def download(id: str, caller: MayReveal) -> PlainTextResponse:
        found = await script_of(caller, id)
        name = f"{routeros.interface_name(peer_of(context, caller, id).key.name)}.rsc"
        return PlainTextResponse(found.script, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    return routes
