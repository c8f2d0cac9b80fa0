"""/peers/{id}/config, /config/download and /qr-code: what a client imports, as the operator has written it.

It holds a private key. So it takes a right of its own, ``get wireguardpeers/config``, and every look is recorded.
"""

from __future__ import annotations

import base64
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from ...domain import qr, secrets
from ...kube.client import Object
from ...kube.errors import NotFound
from ...kube.resources import SECRETS
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from .answers import respond
from .answers_of_actions import Configuration, QRCode, refusals
from .lookup import find_peer, may

Revealer = Annotated[Caller, Depends(authorize("get", "wireguardpeers", "config"))]
PNG, SVG = "image/png", "image/svg+xml"


def router(context: Context) -> APIRouter:
    """Configurations of peers."""
    routes = APIRouter(prefix="/peers/{peer_id}", tags=["configurations"])

    @routes.get("/config", response_model=Configuration, responses=refusals(404, 409), summary="A peer's configuration")
    async def config(caller: Revealer, peer_id: UUID) -> Response:
        """The wg0.conf that a client imports."""
        peer = await find_peer(context, caller, peer_id)
        text, _ = await reveal(context, caller, peer)
        return respond(
            {
                "peer_id": peer.id,
                "peer_name": peer.title,
                "server_name": peer.server.name if peer.server else None,
                "config_file": text,
                "config_content": text,
                "filename": f"{peer.key.name}.conf",
                "revision": peer.revision,
                "created_at": peer.created_at,
            }
        )

    @routes.get(
        "/config/download",
        response_class=Response,
        responses=refusals(404, 409, ok={200: {"content": {"text/plain": {}}}}),
        summary="A peer's configuration as a file",
    )
    async def download(caller: Revealer, peer_id: UUID) -> Response:
        """The same as a file to save."""
        peer = await find_peer(context, caller, peer_id)
        text, _ = await reveal(context, caller, peer)
        headers = {"Content-Disposition": f'attachment; filename="{peer.key.name}.conf"'}
        return Response(text, media_type="text/plain", headers=headers)

    @routes.get(
        "/qr-code",
        response_model=QRCode,
        responses=refusals(404, 409, ok={200: {"content": {PNG: {}, SVG: {}}}}),
        summary="A peer's configuration as a QR code",
    )
    async def qr_code(
        caller: Revealer,
        peer_id: UUID,
        accept: Annotated[str, Header(description=f"{PNG} or {SVG}: the picture itself.")] = "",
        format: Annotated[str | None, Query(pattern="^(json|png|svg)$", description="Instead of Accept.")] = None,
    ) -> Response:
        """For a phone's camera: a PNG in base64 or, if Accept asks for it, the picture."""
        peer = await find_peer(context, caller, peer_id)
        text, complete = await reveal(context, caller, peer)
        if not complete:
            raise Refusal(409, "the device keeps its private key, and a QR code without it is of no use; see /config")
        try:
            if format == "svg" or (format is None and SVG in accept):
                return Response(qr.svg(text), media_type=SVG)
            picture = qr.png(text)
        except qr.ConfigTooLong as error:
            raise Refusal(409, str(error)) from None
        if format == "png" or (format is None and PNG in accept):
            return Response(picture, media_type=PNG)
        encoded = base64.b64encode(picture).decode()
        return respond({"peer_id": peer.id, "peer_name": peer.title, "qr_code": encoded, "created_at": peer.created_at})

    return routes


async def reveal(context: Context, caller: Caller, peer: PeerRecord) -> tuple[str, bool]:
    """The peer's wg0.conf, and whether the private key is in it. 409 when there is none yet. The look is recorded."""
    secret = await _secret_of(context, peer)
    text = secrets.read(secret, secrets.CONFIG)
    if text is None:
        fault = f": {peer.fault.reason}: {peer.fault.message}" if peer.fault else "; the operator makes it"
        raise Refusal(409, f"the peer has no configuration yet{fault}", {"Retry-After": "2"})
    _record(context, caller, peer)
    return text, secrets.read(secret, secrets.PRIVATE_KEY) is not None


async def keys_for(context: Context, caller: Caller, peer: PeerRecord) -> dict[str, str | None]:
    """The fields private_key and preshared_key of a peer that was made just now, if the caller may see them."""
    if peer.device_key or not peer.keys_ready or not await may(context, caller, "get", "wireguardpeers", "config"):
        return {"private_key": None, "preshared_key": None}
    secret = await _secret_of(context, peer)
    _record(context, caller, peer)
    return {
        "private_key": secrets.read(secret, secrets.PRIVATE_KEY),
        "preshared_key": secrets.read(secret, secrets.PRESHARED_KEY),
    }


async def _secret_of(context: Context, peer: PeerRecord) -> Object:
    """The peer's Secret; empty when there is none, or one that was made for another object of the name."""
    try:
        secret = await context.client.get(SECRETS, peer.key.namespace, secrets.peer_secret_name(peer.key.name))
    except NotFound:
        return {}
    owners = secret["metadata"].get("ownerReferences") or ()
    return secret if any(owner.get("uid") == peer.uid for owner in owners) else {}


def _record(context: Context, caller: Caller, peer: PeerRecord) -> None:
    context.audit.record(
        user=caller.username,
        tenant=caller.namespace,
        verb="get",
        resource="wireguardpeers/config",
        name=peer.key.name,
        outcome="revealed",
    )
