"""Tickets on the API server: issued, presented, used up, revoked and swept.

The token of a ticket is one of the account ``wg-portal``, which may do nothing, bound to the ticket's Secret. The API
server signs and verifies it, and tells each to its audience, so a token for one ticket is worth nothing before another.

It goes on saying yes for ten seconds after the Secret is gone, from its cache. Therefore a ticket is first read and
then its token reviewed; and a ticket for one use is *deleted* first, under the condition that it still has its uid.
Of any number of requests one deletes it, and that one is served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ...api.base import Key
from ...domain import tickets
from ...domain.keys import Hidden
from ...domain.tickets import Scope, Ticket
from ...kube.client import KubeClient
from ...kube.errors import Conflict, Invalid, NotFound
from ...kube.resources import SECRETS, TOKEN_REVIEWS, token_requests

ACCOUNT = "wg-portal"
"""The ServiceAccount whose tokens the tickets' are; it has no rights."""


class InvalidTicket(Exception):
    """The ticket was used, revoked, has expired or never was. Which one, nobody who lacks its token is told."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new ticket with the token that makes it usable."""

    ticket: Ticket
    token: Hidden
    expires_at: datetime
    """The ticket's, or the token's where the API server has shortened that."""

    def url(self, base: str) -> str:
        """The link for the subscriber. What follows # stays in the browser: no server and no log sees it."""
        return f"{base.rstrip('/')}/p/{self.ticket.name}#t={self.token.reveal()}"


class Tickets:
    """The tickets in one namespace, which has nothing else in it."""

    def __init__(
        self, client: KubeClient, namespace: str, clock: Callable[[], datetime], account: str = ACCOUNT
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._account = account

    async def issue(self, scope: Scope, peer: Key, peer_uid: str, issued_by: str, life: timedelta) -> Issued:
        """A new ticket. Raises KubeError. Whatever is left over when this is broken off is swept like any other."""
        body = tickets.build(self._namespace, scope, peer, peer_uid, self._clock() + life, issued_by)
        ticket = tickets.read(await self._client.create(SECRETS, self._namespace, body))
        if ticket is None:
            raise Invalid(
                f"Secret {self._namespace}/{body['metadata']['name']} came back changed: it is no ticket any more"
            )
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [ticket.audience],
                "expirationSeconds": round(life.total_seconds()),
                "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": ticket.name, "uid": ticket.uid},
            },
        }
        answer = await self._client.create(token_requests(self._account), self._namespace, request)
        end = datetime.fromisoformat(answer["status"]["expirationTimestamp"])
        return Issued(ticket, Hidden(answer["status"]["token"]), min(end, ticket.expires_at))

    async def check(self, name: str, token: str, *scopes: Scope) -> Ticket:
        """The ticket of that name, which ``token`` is for. Raises InvalidTicket and KubeError."""
        if not tickets.is_name(name) or not 0 < len(token) <= tickets.LONGEST_TOKEN:
            raise InvalidTicket
        ticket = await self._find(name)
        if ticket is None or ticket.scope not in scopes or ticket.is_over(self._clock()):
            raise InvalidTicket
        if not await self._is_for(ticket, token):
            raise InvalidTicket
        return ticket

    async def use_up(self, ticket: Ticket) -> None:
        """End the ticket; whoever returns from here is the only one. Raises InvalidTicket and KubeError.

        After an ``Unavailable`` it may be gone or not; its holder was not served, and asks for another one.
        """
        try:
            await self._client.delete(SECRETS, self._namespace, ticket.name, uid=ticket.uid)
        except (NotFound, Conflict):
            raise InvalidTicket from None

    async def of_peer(self, peer_uid: str) -> list[Ticket]:
        """The peer's tickets that are not over, those that end first in front. Raises KubeError."""
        labels = f"{tickets.SELECTOR},{tickets.PEER_UID_LABEL}={peer_uid}"
        now = self._clock()
        found = [
            ticket
            async for secret in self._client.list(SECRETS, self._namespace, labels=labels)
            if (ticket := tickets.read(secret)) is not None and not ticket.is_over(now)
        ]
        return sorted(found, key=lambda ticket: ticket.expires_at)

    async def revoke(self, peer_uid: str, name: str) -> bool:
        """End a ticket of that peer; False when it has none of the name. Raises KubeError."""
        ticket = await self._find(name) if tickets.is_name(name) else None
        if ticket is None or ticket.peer_uid != peer_uid:
            return False
        try:
            await self.use_up(ticket)
        except InvalidTicket:
            return False
        return True

    async def sweep(self, is_there: Callable[[Ticket], Awaitable[bool]]) -> int:
        """Remove the tickets that are over, and those whose peer is not there; how many. Raises KubeError."""
        now, swept = self._clock(), 0
        async for secret in self._client.list(SECRETS, self._namespace, labels=tickets.SELECTOR):
            ticket = tickets.read(secret)
            if ticket is not None and not ticket.is_over(now) and await is_there(ticket):
                continue
            meta: dict[str, Any] = secret["metadata"]
            try:
                await self._client.delete(SECRETS, self._namespace, meta["name"], uid=meta["uid"])
                swept += 1
            except (NotFound, Conflict):
                continue
        return swept

    async def _find(self, name: str) -> Ticket | None:
        try:
            return tickets.read(await self._client.get(SECRETS, self._namespace, name))
        except NotFound:
            return None

    async def _is_for(self, ticket: Ticket, token: str) -> bool:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [ticket.audience]},
        }
        status = (await self._client.create(TOKEN_REVIEWS, "", review)).get("status", {})
        return (
            status.get("authenticated") is True
            and ticket.audience in status.get("audiences", ())
            and status.get("user", {}).get("username") == f"system:serviceaccount:{self._namespace}:{self._account}"
        )
