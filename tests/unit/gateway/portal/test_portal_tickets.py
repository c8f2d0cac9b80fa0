"""Tickets before an API server in memory: where reviews lie, answers get lost and somebody breaks off in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.unit.domain.objects import NOW
from wireguard_operator.api.base import Key
from wireguard_operator.domain.tickets import Scope, Ticket
from wireguard_operator.gateway.portal.tickets import InvalidTicket, Tickets
from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.errors import Conflict, NotFound, Unavailable
from wireguard_operator.kube.resources import SECRETS, TOKEN_REVIEWS, ResourceType

ALICE = Key("isp", "alice")
Json = dict[str, Any]


class Api:
    """Secrets, tokens and reviews; each can be told to misbehave."""

    def __init__(self) -> None:
        self.secrets: dict[str, Json] = {}
        self.tokens: dict[str, str] = {}
        """Audience by token."""
        self.user = "system:serviceaccount:tickets:wg-portal"
        self.reviewed_audiences: list[str] | None = None
        """What every review answers instead of the truth."""
        self.reviews = 0
        self.lose_token = False
        self.lose_answer_to_delete = False

    async def create(self, kind: ResourceType, namespace: str, body: Json) -> Json:
        if kind is SECRETS:
            made = body | {"metadata": body["metadata"] | {"uid": f"uid-{len(self.secrets)}"}}
            self.secrets[body["metadata"]["name"]] = made
            return made
        if kind is TOKEN_REVIEWS:
            self.reviews += 1
            wanted = body["spec"]["audiences"][0]
            if self.reviewed_audiences is not None:
                user = {"username": self.user}
                return {"status": {"authenticated": True, "audiences": self.reviewed_audiences, "user": user}}
            if self.tokens.get(body["spec"]["token"]) != wanted:
                return {"status": {"error": "invalid bearer token"}}
            return {"status": {"authenticated": True, "audiences": [wanted], "user": {"username": self.user}}}
        assert kind.plural == "serviceaccounts/wg-portal/token" and namespace == "tickets"
        if self.lose_token:
            raise Unavailable("no answer")
        bound = body["spec"]["boundObjectRef"]
        assert self.secrets[bound["name"]]["metadata"]["uid"] == bound["uid"]
        token = f"token-{len(self.tokens)}"
        self.tokens[token] = body["spec"]["audiences"][0]
        return {"status": {"token": token, "expirationTimestamp": "2026-06-01T12:20:00Z"}}

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Json:
        assert (kind, namespace) == (SECRETS, "tickets")
        if name not in self.secrets:
            raise NotFound(name, 404)
        return self.secrets[name]

    async def delete(self, kind: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        secret = await self.get(kind, namespace, name)
        if secret["metadata"]["uid"] != uid:
            raise Conflict(name, 409)
        del self.secrets[name]
        if self.lose_answer_to_delete:
            raise Unavailable("no answer")

    async def list(self, kind: ResourceType, namespace: str, *, labels: str) -> AsyncIterator[Json]:
        assert labels.startswith("app.kubernetes.io/managed-by=wireguard-gateway,")
        for secret in list(self.secrets.values()):
            yield secret


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def now() -> list[Any]:
    """The time, to be changed by a test."""
    return [NOW]


@pytest.fixture
def tickets(api: Api, now: list[Any]) -> Tickets:
    return Tickets(cast(KubeClient, api), "tickets", lambda: now[0])


async def issue(tickets: Tickets, scope: Scope = Scope.CONFIG) -> tuple[Ticket, str]:
    issued = await tickets.issue(scope, ALICE, "uid-alice", "ann", timedelta(minutes=30))
    return issued.ticket, issued.token.reveal()


async def test_a_link_ends_when_the_first_of_ticket_and_token_does(tickets: Tickets) -> None:
    issued = await tickets.issue(Scope.CONFIG, ALICE, "uid-alice", "ann", timedelta(minutes=30))
    # The API server has shortened the token, as --service-account-max-token-expiration makes it.
    assert issued.expires_at == NOW + timedelta(minutes=20)
    assert issued.url("https://vpn.example.net/") == f"https://vpn.example.net/p/{issued.ticket.name}#t=token-0"
    assert "token-0" not in repr(issued)


async def test_a_ticket_is_used_up_once(tickets: Tickets) -> None:
    ticket, token = await issue(tickets)
    assert await tickets.check(ticket.name, token, Scope.CONFIG) == ticket
    await tickets.use_up(ticket)
    with pytest.raises(InvalidTicket):
        await tickets.use_up(ticket)
    with pytest.raises(InvalidTicket):
        await tickets.check(ticket.name, token, Scope.CONFIG)


async def test_a_ticket_of_the_same_name_is_another_one(tickets: Tickets, api: Api) -> None:
    ticket, token = await issue(tickets)
    api.secrets[ticket.name]["metadata"]["uid"] = "uid-of-another"
    with pytest.raises(InvalidTicket):
        await tickets.check(ticket.name, token, Scope.CONFIG)
    with pytest.raises(InvalidTicket):
        await tickets.use_up(ticket)


async def test_when_the_answer_to_the_deletion_is_lost_nobody_is_served(tickets: Tickets, api: Api) -> None:
    ticket, _ = await issue(tickets)
    api.lose_answer_to_delete = True
    with pytest.raises(Unavailable):
        await tickets.use_up(ticket)


async def test_a_review_that_keeps_saying_yes_is_not_enough(tickets: Tickets, api: Api) -> None:
    ticket, token = await issue(tickets)
    api.reviewed_audiences = [ticket.audience]
    await tickets.use_up(ticket)
    with pytest.raises(InvalidTicket):
        await tickets.check(ticket.name, token, Scope.CONFIG)
    assert api.reviews == 0, "the ticket is looked at before its token"


@pytest.mark.parametrize(
    ("user", "audiences"),
    [
        ("system:serviceaccount:isp:wg-portal", None),
        ("system:serviceaccount:tickets:default", None),
        ("admin", None),
        ("system:serviceaccount:tickets:wg-portal", []),
        ("system:serviceaccount:tickets:wg-portal", ["https://kubernetes.default.svc"]),
    ],
)
async def test_only_the_accounts_own_token_for_that_very_ticket_is_taken(
    tickets: Tickets, api: Api, user: str, audiences: list[str] | None
) -> None:
    ticket, token = await issue(tickets)
    api.user = user
    # An authenticator that does not know audiences answers without any.
    api.reviewed_audiences = [ticket.audience] if audiences is None else audiences
    with pytest.raises(InvalidTicket):
        await tickets.check(ticket.name, token, Scope.CONFIG)


@pytest.mark.parametrize(("name", "token"), [("x", "t"), ("t-" + "0" * 20, ""), ("t-" + "0" * 20, "x" * 4097)])
async def test_what_cannot_be_a_ticket_is_no_question_to_the_api_server(
    tickets: Tickets, api: Api, name: str, token: str
) -> None:
    api.secrets[name] = {"metadata": {}}
    with pytest.raises(InvalidTicket):
        await tickets.check(name, token, Scope.CONFIG)
    assert api.reviews == 0


async def test_a_ticket_is_good_for_its_scope_and_its_time(tickets: Tickets, now: list[Any]) -> None:
    ticket, token = await issue(tickets, Scope.STATUS)
    with pytest.raises(InvalidTicket):
        await tickets.check(ticket.name, token, Scope.CONFIG)
    now[0] = NOW + timedelta(minutes=30)
    with pytest.raises(InvalidTicket):
        await tickets.check(ticket.name, token, Scope.STATUS)


async def test_what_was_broken_off_in_the_middle_opens_nothing_and_is_swept(
    tickets: Tickets, api: Api, now: list[Any]
) -> None:
    api.lose_token = True
    with pytest.raises(Unavailable):
        await issue(tickets)
    assert len(api.secrets) == 1 and not api.tokens
    now[0] = NOW + timedelta(hours=1)
    assert await tickets.sweep(_everybody) == 1
    assert not api.secrets


async def test_the_sweep_takes_what_is_over_or_has_lost_its_peer_and_nothing_else(
    tickets: Tickets, api: Api, now: list[Any]
) -> None:
    old, _ = await issue(tickets)
    now[0] = NOW + timedelta(minutes=20)
    good, _ = await issue(tickets)
    orphan = (await tickets.issue(Scope.STATUS, Key("isp", "gone"), "uid-gone", "ann", timedelta(days=1))).ticket
    api.secrets["t-broken"] = {"metadata": {"name": "t-broken", "uid": "uid-broken"}}
    now[0] = NOW + timedelta(minutes=40)

    async def is_there(ticket: Ticket) -> bool:
        return ticket.peer == ALICE

    assert await tickets.sweep(is_there) == 3
    assert set(api.secrets) == {good.name}
    assert old.name != orphan.name


async def _everybody(_: Ticket) -> bool:
    return True


async def test_a_ticket_is_revoked_by_its_own_peer_only(tickets: Tickets, api: Api) -> None:
    ticket, _ = await issue(tickets)
    assert not await tickets.revoke("uid-bob", ticket.name)
    assert not await tickets.revoke("uid-alice", "t-" + "0" * 20)
    assert not await tickets.revoke("uid-alice", "../../namespaces")
    assert ticket.name in api.secrets
    assert await tickets.revoke("uid-alice", ticket.name)
    assert not await tickets.revoke("uid-alice", ticket.name)
