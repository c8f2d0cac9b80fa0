"""``/peers/{id}/tickets`` of the REST API: links for subscribers are issued, listed, revoked. ``/peers/{id}/usage``."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from ...api.base import Time
from ...domain.tickets import BadLifetime, Scope, Ticket, lifetime
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from ..rest.answers_of_actions import refusals
from ..rest.lookup import find_peer
from .usage import Usage


class TicketRequest(BaseModel):
    """What the link is for."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"scope": "config"}, {"scope": "status", "expires_in": 86400}]},
    )

    scope: Annotated[Scope, Field(json_schema_extra={"enum": [Scope.CONFIG, Scope.STATUS]})] = Scope.CONFIG
    """config shows the configuration once; status shows the state of the tunnel, and no key."""
    expires_in: int | None = None
    """Seconds. For config 600 to 1800, default 1800; for status 600 to 31622400, default 2592000."""


class TicketAnswer(BaseModel):
    """One ticket; its link is told once, when it is issued."""

    name: str
    scope: Scope
    expires_at: Time
    issued_by: str


class NewTicket(TicketAnswer):
    """A ticket that was just issued."""

    url: str
    """The link for the subscriber. Whoever has it may use it."""


class TicketList(BaseModel):
    """The tickets of a peer that can still be used."""

    tickets: list[TicketAnswer]
    total: int


def router(context: Context) -> APIRouter:
    """The routes; the application puts them below the REST API's prefixes."""
    routes = APIRouter(tags=["links"])

    @routes.post(
        "/peers/{peer_id}/tickets", status_code=201, responses=refusals(404), summary="Issue a link for a subscriber"
    )
    async def issue(
        request: Request,
        peer_id: UUID,
        wanted: TicketRequest,
        caller: Annotated[Caller, Depends(authorize("create", "wireguardpeers", "tickets"))],
    ) -> NewTicket:
        peer = await find_peer(context, caller, peer_id)
        if wanted.scope is Scope.REGISTER:
            raise Refusal(422, "scope: must be config or status; a device registers with a provision token")
        try:
            life = lifetime(wanted.scope, wanted.expires_in)
        except BadLifetime as error:
            raise Refusal(422, f"expires_in: {error}") from None
        issued = await context.tickets.issue(wanted.scope, peer.key, peer.uid, caller.username, life)
        _audit(context, caller, "create", peer, issued.ticket.name, wanted.scope)
        base = context.settings.public_url or str(request.base_url)
        return NewTicket(
            name=issued.ticket.name,
            scope=wanted.scope,
            expires_at=issued.expires_at,
            issued_by=caller.username,
            url=issued.url(base),
        )

    @routes.get("/peers/{peer_id}/tickets", responses=refusals(404), summary="List the links of a subscriber")
    async def tickets(
        peer_id: UUID,
        caller: Annotated[Caller, Depends(authorize("list", "wireguardpeers", "tickets"))],
    ) -> TicketList:
        found = [
            _answer(ticket) for ticket in await context.tickets.of_peer((await find_peer(context, caller, peer_id)).uid)
        ]
        return TicketList(tickets=found, total=len(found))

    @routes.delete("/peers/{peer_id}/tickets/{name}", status_code=204, responses=refusals(404), summary="Revoke a link")
    async def revoke(
        peer_id: UUID,
        name: str,
        caller: Annotated[Caller, Depends(authorize("delete", "wireguardpeers", "tickets"))],
    ) -> None:
        peer = await find_peer(context, caller, peer_id)
        if not await context.tickets.revoke(peer.uid, name):
            raise Refusal(404, f"peer {peer_id} has no ticket {name}: it was used, has expired, or never was")
        _audit(context, caller, "delete", peer, name)

    @routes.get("/peers/{peer_id}/usage", responses=refusals(404), summary="The last 24 hours in half hours")
    async def usage(
        peer_id: UUID,
        caller: Annotated[Caller, Depends(authorize("get", "wireguardpeers"))],
    ) -> Usage:
        peer, now = await find_peer(context, caller, peer_id), context.clock()
        context.usage.see_record(peer, now)
        return context.usage.of(peer.uid, now)

    return routes


def _answer(ticket: Ticket) -> TicketAnswer:
    return TicketAnswer(name=ticket.name, scope=ticket.scope, expires_at=ticket.expires_at, issued_by=ticket.issued_by)


def _audit(context: Context, caller: Caller, verb: str, peer: PeerRecord, ticket: str, scope: str = "") -> None:
    facts = {"ticket": ticket} | ({"scope": str(scope)} if scope else {})
    context.audit.record(
        user=caller.username,
        tenant=caller.namespace,
        verb=verb,
        resource="wireguardpeers/tickets",
        name=peer.key.name,
        **facts,
    )
