"""/provision: a subscriber has a service, and gets a configuration for it, in one call.

The server is chosen by the operator, which knows best how full each is; the gateway asks for any that admits the
tenant. The same call again finds the peer that the first has made, since its name follows from the subscriber.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from ...api.base import Key
from ..auth.caller import Caller
from ..cache.identity import new_id
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from .answers import respond, stamp
from .answers_of_actions import Provisioned, refusals
from .configs import reveal
from .creation import create, settle
from .lookup import find_server, require
from .names import object_name
from .peer_answers import peer_answer
from .peer_requests import Provision
from .peers import Creator
from .server_answers import server_answer


def router(context: Context) -> APIRouter:
    """Provisioning."""
    routes = APIRouter(tags=["provisioning"])

    @routes.post(
        "/provision",
        status_code=201,
        response_model=Provisioned,
        responses=refusals(
            404,
            409,
            ok={
                200: {"model": Provisioned, "description": "It was set up before."},
                202: {"model": Provisioned, "description": "Made; it is not on the device yet."},
            },
        ),
        summary="Set a subscriber's service up",
    )
    async def provision(caller: Creator, request: Provision) -> Response:
        """Choose a server, make a peer on it, and answer with its configuration."""
        await require(context, caller, "get", "wireguardpeers", "config")
        there = context.cache.peers.get(Key(caller.namespace, object_name(request.name)))
        if there is not None:
            _check_same(there, request)
            return await _answer(context, caller, there, 200, "VPN service was provisioned before")
        body = request.body(caller.namespace, request.name, new_id(), caller.username, _server(caller, request))
        made = await settle(context, caller, await create(context, caller, body), context.settings.create_wait)
        told = "VPN service provisioned successfully" if made.complete else "VPN service is being provisioned"
        return await _answer(context, caller, made.peer, made.status, told)

    def _server(caller: Caller, request: Provision) -> dict[str, Any]:
        if request.server_id is not None:
            return {"serverRef": {"name": find_server(context, caller, request.server_id).key.name}}
        return {"serverSelector": {"location": {"name": request.location}} if request.location else {}}

    return routes


def _check_same(peer: PeerRecord, request: Provision) -> None:
    if (peer.customer_id, peer.subscriber_id) != (request.customer_id, request.subscriber_id):
        raise Refusal(409, f"peer_name: there is a peer {peer.title} of another customer or subscriber; choose another")


async def _answer(context: Context, caller: Caller, peer: PeerRecord, status: int, told: str) -> Response:
    try:
        config: str | None = (await reveal(context, caller, peer))[0]
    except Refusal:
        config = None  # not made yet
    server = context.cache.servers.get(peer.server) if peer.server is not None else None
    own = server is not None and server.key.namespace == peer.key.namespace
    return respond(
        {
            "server": server_answer(server) if server is not None and own else None,
            "peer": peer_answer(peer, context.cache, stamp(context.clock())),
            "config_file": config,
            "message": told,
        },
        status,
    )
