"""Tickets as Secrets: what is written is what is read, and what is no ticket is read as none."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.domain.objects import NOW
from wireguard_operator.api.base import Key
from wireguard_operator.domain import secrets, tickets
from wireguard_operator.domain.tickets import BadLifetime, Scope, Ticket

ALICE = Key("isp", "alice")


def stored(scope: Scope = Scope.CONFIG, **metadata: Any) -> dict[str, Any]:
    """A ticket's Secret as the API server has it."""
    secret = tickets.build("gateway", scope, ALICE, "uid-alice", NOW + timedelta(minutes=30), "ann")
    secret["metadata"] |= {"uid": "uid-ticket"} | metadata
    return secret


@pytest.mark.parametrize("scope", Scope)
def test_what_is_built_is_read_back(scope: Scope) -> None:
    secret = stored(scope)
    ticket = tickets.read(secret)
    assert ticket == Ticket(
        secret["metadata"]["name"], "uid-ticket", scope, ALICE, "uid-alice", NOW + timedelta(minutes=30), "ann"
    )
    assert tickets.is_name(ticket.name)


def test_a_ticket_holds_nothing_that_could_be_read_out_of_it() -> None:
    secret = stored()
    assert not {"data", "stringData"} & set(secret)
    assert secret["immutable"] is True


def test_a_ticket_is_not_among_the_secrets_that_the_controller_watches() -> None:
    assert not secrets.is_ours(stored())


def test_the_audience_differs_for_every_ticket_and_scope() -> None:
    all_of_them = [
        ticket.audience
        for scope in Scope
        for uid in ("one", "two")
        if (ticket := tickets.read(stored(scope, uid=uid))) is not None
    ]
    assert len(set(all_of_them)) == 6
    assert "wireguard-portal:one:config" in all_of_them


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("labels", secrets.MANAGED_BY, secrets.MANAGER),
        ("labels", tickets.SCOPE_LABEL, "everything"),
        ("labels", tickets.PEER_UID_LABEL, ""),
        ("annotations", tickets.PEER_ANNOTATION, "alice"),
        ("annotations", tickets.PEER_ANNOTATION, "isp/"),
        ("annotations", tickets.EXPIRY_ANNOTATION, "tomorrow"),
    ],
)
def test_a_secret_that_is_not_quite_a_ticket_is_none(place: str, key: str, value: str) -> None:
    secret = stored()
    secret["metadata"][place] = secret["metadata"][place] | {key: value}
    assert tickets.read(secret) is None


def test_a_secret_without_labels_is_no_ticket() -> None:
    assert tickets.read({"metadata": {"name": "x", "uid": "y"}}) is None


def test_a_ticket_is_over_at_its_end_and_not_before() -> None:
    ticket = tickets.read(stored())
    assert ticket is not None
    assert not ticket.is_over(NOW + timedelta(minutes=29, seconds=59))
    assert ticket.is_over(NOW + timedelta(minutes=30))


@pytest.mark.parametrize("scope", Scope)
def test_the_usual_life_is_one_that_may_be_asked_for(scope: Scope) -> None:
    usual = tickets.lifetime(scope, None)
    assert tickets.lifetime(scope, round(usual.total_seconds())) == usual
    # Less is refused by the API server.
    assert tickets.LIFETIMES[scope].shortest >= timedelta(minutes=10)


@pytest.mark.parametrize("seconds", [-1, 0, 599, 1801])
def test_a_config_ticket_of_another_life_is_refused_with_what_would_be_right(seconds: int) -> None:
    with pytest.raises(BadLifetime, match=f"scope config lives from 600 to 1800 seconds, not {seconds}"):
        tickets.lifetime(Scope.CONFIG, seconds)


@pytest.mark.parametrize(
    "name", ["", "t-", "t-" + "0" * 19, "t-" + "g" * 20, "../t-" + "0" * 20, "t-" + "0" * 20 + "\n"]
)
def test_other_names_are_no_tickets_names(name: str) -> None:
    assert not tickets.is_name(name)
