"""The subscriber's page: the page itself, and what it asks for with the token from its address.

``/p/<ticket>`` is the same for everybody and looks at nothing, so whoever opens links to inspect them uses nothing up.
The token is behind the # of the address and comes in a header. Whether a ticket was used, has expired or never was, is
answered in the same words.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.responses import Response

from ...api.base import Time, format_time
from ...api.peer import WireGuardPeer
from ...domain import secrets
from ...domain.tickets import LIFETIMES, Scope, Ticket
from ...kube.errors import KubeError, NotFound
from ...kube.resources import PEERS, SECRETS
from ..auth.authorize import limited, public
from ..context import Context
from ..errors import Refusal
from .pages import SUBSCRIBER, Pages
from .tickets import InvalidTicket
from .view import Configuration, Status, configuration_of, status_of

OVER = "this link cannot be used any more: it was used, it has expired, or it was withdrawn"
EARLY = "the configuration is not there yet; the link is still good"
_bearer = HTTPBearer(auto_error=False, scheme_name="Ticket", description="The token behind the # of a link.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


class About(BaseModel):
    """What a link is for."""

    name: str
    scope: Scope
    expires_at: Time


def router(context: Context, pages: Pages) -> APIRouter:
    """``/p``."""
    routes = APIRouter(prefix="/p", include_in_schema=False)

    async def ticket_of(name: str, credentials: Credentials, *scopes: Scope) -> tuple[Ticket, WireGuardPeer]:
        """The ticket and its peer. Raises Refusal."""
        try:
            ticket = await context.tickets.check(name, credentials.credentials if credentials else "", *scopes)
            body = await context.client.get(PEERS, ticket.peer.namespace, ticket.peer.name)
        except (InvalidTicket, NotFound):
            raise Refusal(410, OVER) from None
        peer = WireGuardPeer.model_validate(body)
        if peer.metadata.uid != ticket.peer_uid or peer.metadata.deletion_timestamp is not None:
            raise Refusal(410, OVER)
        return ticket, peer

    @routes.api_route("/{name}", methods=["GET", "HEAD"])
    @public("the page behind a link; the same for every link")
    async def page(name: str) -> Response:
        return pages.page(SUBSCRIBER)

    @routes.get("/{name}/ticket", dependencies=[Depends(limited)])
    @public("the ticket's token is what lets in")
    async def about(name: str, credentials: Credentials) -> About:
        ticket, peer = await ticket_of(name, credentials, Scope.CONFIG, Scope.STATUS)
        return About(name=peer.metadata.name, scope=ticket.scope, expires_at=ticket.expires_at)

    @routes.get("/{name}/status", dependencies=[Depends(limited)])
    @public("the ticket's token is what lets in")
    async def status(name: str, credentials: Credentials) -> Status:
        _, peer = await ticket_of(name, credentials, Scope.STATUS)
        now, meta, traffic = context.clock(), peer.metadata, peer.status.traffic
        if traffic is not None:
            made_at = format_time(meta.creation_timestamp or now)
            context.usage.see(meta.uid, traffic.rx_bytes, traffic.tx_bytes, made_at, now)
        bound = peer.status.server_ref
        server = context.cache.servers.get(bound.key) if bound else None
        return status_of(peer, server.location if server else None, context.usage.of(meta.uid, now), now)

    @routes.post("/{name}/config", dependencies=[Depends(limited)])
    @public("the ticket's token is what lets in, once")
    async def config(name: str, credentials: Credentials) -> Configuration:
        ticket, peer = await ticket_of(name, credentials, Scope.CONFIG)
        # Before the ticket is used up: a link must not be spent on nothing.
        answer = await _configuration(context, peer)
        facts = {"ticket": ticket.name, "issued_by": ticket.issued_by}
        who = {"user": f"ticket:{ticket.name}", "tenant": peer.key.namespace, "name": peer.key.name}
        try:
            await context.tickets.use_up(ticket)
        except InvalidTicket:
            context.audit.record(**who, verb="get", resource="wireguardpeers/config", outcome="used before", **facts)
            raise Refusal(410, OVER) from None
        context.audit.record(**who, verb="get", resource="wireguardpeers/config", **facts)
        return await _with_status(context, answer, ticket)

    return routes


async def _configuration(context: Context, peer: WireGuardPeer) -> Configuration:
    try:
        secret = await context.client.get(SECRETS, peer.key.namespace, secrets.peer_secret_name(peer.key.name))
    except NotFound:
        raise Refusal(409, EARLY) from None
    text = secrets.read(secret, secrets.CONFIG) if secrets.belongs_to(secret, peer) else None
    if text is None:
        raise Refusal(409, EARLY)
    return configuration_of(peer.key.name, text, secrets.read(secret, secrets.PRIVATE_KEY) is not None)


async def _with_status(context: Context, answer: Configuration, used: Ticket) -> Configuration:
    """Add a ticket for the status, which is less than its holder has just seen; without it the page just says less."""
    life = LIFETIMES[Scope.STATUS].shortest * 6
    try:
        issued = await context.tickets.issue(Scope.STATUS, used.peer, used.peer_uid, used.issued_by, life)
    except KubeError:
        return answer
    return answer.model_copy(update={"status_ticket": issued.ticket.name, "status_token": issued.token.reveal()})
