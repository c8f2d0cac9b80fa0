"""/peers, and the peers of a customer or a subscriber."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..cache.identity import new_id
from ..cache.records import PeerRecord
from ..context import Context
from .answers import respond, stamp
from .answers_of_actions import PeerList, refusals
from .configs import keys_for
from .creation import create, settle
from .lookup import find_peer, find_server
from .pages import Paged
from .peer_answers import CreatedPeer, PeerAnswer, peer_answer
from .peer_changes import change
from .peer_requests import PeerCreate, PeerStatus, PeerUpdate
from .servers import delete_object
from .statuses import peer_status

Lister = Annotated[Caller, Depends(authorize("list", "wireguardpeers"))]
Reader = Annotated[Caller, Depends(authorize("get", "wireguardpeers"))]
Creator = Annotated[Caller, Depends(authorize("create", "wireguardpeers"))]
Changer = Annotated[Caller, Depends(authorize("patch", "wireguardpeers"))]
Deleter = Annotated[Caller, Depends(authorize("delete", "wireguardpeers"))]
Wanted = Annotated[PeerStatus | None, Query(description="Only of this status.")]


def router(context: Context) -> APIRouter:
    """Peers of a tenant."""
    routes = APIRouter(tags=["peers"])
    shelf = context.cache.peers

    def listing(page: Paged, records: Sequence[PeerRecord], status: PeerStatus | None) -> Response:
        now = stamp(context.clock())
        if status is not None:
            records = [peer for peer in records if peer_status(peer, now) is status]
        return page.answer("peers", records, lambda peer: peer_answer(peer, context.cache, now))

    @routes.get("/peers", response_model=PeerList | list[PeerAnswer], responses=refusals(), summary="List peers")
    async def list_peers(
        caller: Lister,
        page: Paged,
        server_id: Annotated[UUID | None, Query(description="Only of this server.")] = None,
        customer_id: Annotated[str | None, Query(description="Only of this customer.")] = None,
        subscriber_id: Annotated[str | None, Query(description="Only of this subscriber.")] = None,
        status: Wanted = None,
        search: Annotated[
            str | None,
            Query(max_length=128, description="Only those in whose name, customer, subscriber, address or key it is."),
        ] = None,
    ) -> Response:
        """Peers of the tenant, the oldest first."""
        tenant = caller.namespace
        facets: list[tuple[str, str]] = []
        if server_id is not None:
            server = context.cache.servers.by_id(tenant, str(server_id))
            facets.append(("server", str(server.key) if server is not None else ""))
        facets += [("customer", customer_id)] if customer_id is not None else []
        facets += [("subscriber", subscriber_id)] if subscriber_id is not None else []
        records: Sequence[PeerRecord] = shelf.having(tenant, *facets[0]) if facets else shelf.of(tenant)
        for facet, value in facets[1:]:
            records = [peer for peer in records if _facet(peer, facet) == value]
        if search:
            text = search.casefold()
            records = [peer for peer in records if _mentions(peer, text)]
        return listing(page, records, status)

    @routes.get(
        "/customers/{customer_id}/peers",
        response_model=PeerList | list[PeerAnswer],
        responses=refusals(),
        summary="Peers of a customer",
    )
    async def of_customer(
        caller: Lister, page: Paged, customer_id: Annotated[str, Path(max_length=128)], status: Wanted = None
    ) -> Response:
        """Peers of the customer, the oldest first; none when nobody knows the customer."""
        return listing(page, shelf.having(caller.namespace, "customer", customer_id), status)

    @routes.get(
        "/subscribers/{subscriber_id}/peers",
        response_model=PeerList | list[PeerAnswer],
        responses=refusals(),
        summary="Peers of a subscriber",
    )
    async def of_subscriber(
        caller: Lister, page: Paged, subscriber_id: Annotated[str, Path(max_length=128)], status: Wanted = None
    ) -> Response:
        """Peers of the subscriber, the oldest first; none when nobody knows the subscriber."""
        return listing(page, shelf.having(caller.namespace, "subscriber", subscriber_id), status)

    @routes.post(
        "/peers",
        status_code=201,
        response_model=CreatedPeer,
        responses=refusals(
            404, 409, ok={202: {"model": CreatedPeer, "description": "Made; it is not on the device yet."}}
        ),
        summary="Create a peer",
    )
    async def create_peer(caller: Creator, request: PeerCreate) -> Response:
        """Make a WireGuardPeer, and wait a few seconds until it is on the device.

        The keys are in the answer if the caller may `get wireguardpeers/config`.
        """
        server = find_server(context, caller, request.server_id)
        body = request.full_body(caller.namespace, new_id(), caller.username, {"serverRef": {"name": server.key.name}})
        made = await settle(context, caller, await create(context, caller, body), context.settings.create_wait)
        answer: dict[str, Any] = peer_answer(made.peer, context.cache, stamp(context.clock()))
        return respond(answer | await keys_for(context, caller, made.peer), made.status)

    @routes.get("/peers/{peer_id}", response_model=PeerAnswer, responses=refusals(404), summary="Get a peer")
    async def get_peer(caller: Reader, peer_id: UUID) -> Response:
        """One peer."""
        peer = await find_peer(context, caller, peer_id)
        return respond(peer_answer(peer, context.cache, stamp(context.clock())))

    @routes.patch("/peers/{peer_id}", response_model=PeerAnswer, responses=refusals(404, 409), summary="Change a peer")
    async def update_peer(caller: Changer, peer_id: UUID, request: PeerUpdate) -> Response:
        """Change what is given; all else stays."""
        peer = await find_peer(context, caller, peer_id)
        patch = request.patch(peer.key.name, caller.username, context.clock())
        if request.server_id is not None:
            server = find_server(context, caller, request.server_id)
            move = {"serverRef": {"name": server.key.name, "namespace": None}, "serverSelector": None}
            patch["spec"] = patch.get("spec", {}) | move
        changed = await change(context, caller, peer, patch)
        return respond(peer_answer(changed, context.cache, stamp(context.clock())))

    @routes.delete(
        "/peers/{peer_id}", status_code=204, response_class=Response, responses=refusals(404), summary="Delete a peer"
    )
    async def delete_peer(caller: Deleter, peer_id: UUID) -> Response:
        """Delete a peer: it is taken off the device, then its addresses are given back."""
        peer = await find_peer(context, caller, peer_id)
        await delete_object(context, caller, "wireguardpeers", peer.key, peer.uid)
        return Response(status_code=204)

    return routes


def _facet(peer: PeerRecord, facet: str) -> str | None:
    if facet == "server":
        return str(peer.server)
    return peer.customer_id if facet == "customer" else peer.subscriber_id


def _mentions(peer: PeerRecord, text: str) -> bool:
    known = (peer.title, peer.customer_id, peer.subscriber_id, peer.public_key, *peer.addresses)
    return any(text in value.casefold() for value in known if value)
