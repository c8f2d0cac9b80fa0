"""``/peers/{id}/mikrotik-script``: the tunnel as a script for RouterOS 7. It holds the private key."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from ...api.base import Time
from ...domain import config_file, routeros, secrets
from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from ..rest.answers_of_actions import refusals
from ..rest.configs import Revealer, reveal
from ..rest.lookup import find_peer


class Script(BaseModel):
    """A script for ``/import``."""

    peer_id: UUID
    peer_name: str
    script: str
    created_at: Time


def router(context: Context) -> APIRouter:
    """The script in JSON, and as a file."""
    routes = APIRouter(prefix="/peers/{peer_id}/mikrotik-script", tags=["devices"])

    async def script_of(caller: Caller, peer: PeerRecord) -> str:
        text, _ = await reveal(context, caller, peer)
        try:
            config = config_file.read(text)
        except config_file.UnreadableConfig as error:
            name = secrets.peer_secret_name(peer.key.name)
            raise Refusal(409, f"{error}; somebody has changed Secret {name} by hand") from None
        return routeros.script(peer.key.name, peer.key.namespace, config)

    @routes.get("", responses=refusals(404, 409), summary="The configuration as a RouterOS 7 script")
    async def show(caller: Revealer, peer_id: UUID) -> Script:
        peer = await find_peer(context, caller, peer_id)
        script = await script_of(caller, peer)
        return Script(peer_id=UUID(peer.id), peer_name=peer.title, script=script, created_at=context.clock())

    @routes.get(
        "/download",
        response_class=Response,
        responses=refusals(404, 409, ok={200: {"content": {"text/plain": {}}}}),
        summary="The configuration as a file for RouterOS 7",
    )
    async def download(caller: Revealer, peer_id: UUID) -> Response:
        peer = await find_peer(context, caller, peer_id)
        name = f"{routeros.interface_name(peer.key.name)}.rsc"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(await script_of(caller, peer), media_type="text/plain", headers=headers)

    return routes
