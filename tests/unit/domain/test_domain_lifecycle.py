"""The life cycle of a peer: what keeps it off the device, in which order, and until when."""

from itertools import product
from typing import Any

import pytest

from tests.unit.domain.objects import FUTURE, LATER, NOW, PAST, hours, peer, server
from wireguard_operator.api.base import Key
from wireguard_operator.api.reasons import Reason
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.conditions import Problem
from wireguard_operator.domain.lifecycle import Situation, Verdict, judge, unplaced

BERLIN = Key("isp", "berlin")

# All situations, and the rule by which each is decided, as data. ---------------------------------------------------

PRECEDENCE: tuple[tuple[str, str | None, str, str, bool], ...] = (
    # what is so, unless this is so, too: reason, phase, and whether it is what the object asks for
    ("not admitted", None, "ServerNotAllowed", "Failed", False),
    ("server missing", None, "ServerNotFound", "Pending", False),
    ("server deleting", "seated", "ServerDeleting", "Pending", False),
    ("disabled", None, "Disabled", "Disabled", True),
    ("expired", None, "Expired", "Expired", True),
    ("suspended", None, "Suspended", "Suspended", True),
    ("server disabled", None, "ServerDisabled", "Pending", False),
)
"""What is in no line, maintenance for one, keeps nobody off the device."""

PEERS: dict[str, dict[str, Any]] = {
    "disabled": {"enabled": False},
    "expired": {"expiresAt": PAST},
    "suspended": {"suspensions": [{"reason": "abuse"}]},
}
SERVERS: dict[str, dict[str, Any]] = {
    "server deleting": {"deleting": True},
    "server disabled": {"enabled": False},
    "server in maintenance": {"maintenance": {"enabled": True}},
}
GOLD = {"matchLabels": {"tier": "gold"}}
ADMISSIONS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "Same": ({"from": "Same"}, {"tier": "gold"}),
    "All": ({"from": "All"}, {}),
    "Selector that matches": ({"from": "Selector", "selector": GOLD}, {"tier": "gold"}),
    "Selector that does not": ({"from": "Selector", "selector": GOLD}, {"tier": "tin"}),
}
ADMITTED = {("own", name) for name in ADMISSIONS} | {("other", "All"), ("other", "Selector that matches")}


def subsets(names: dict[str, Any]) -> list[frozenset[str]]:
    return [
        frozenset(name for name, there in zip(names, chosen, strict=True) if there)
        for chosen in product((False, True), repeat=len(names))
    ]


SERVER_STATES = [frozenset({"server missing"}), *subsets(SERVERS)]


def found(state: frozenset[str], admission: str) -> WireGuardServer | None:
    if "server missing" in state:
        return None
    spec = {name: value for part in state for name, value in SERVERS[part].items()}
    return server(allowedNamespaces=ADMISSIONS[admission][0], **spec)


@pytest.mark.parametrize("home", ["own", "other"])
@pytest.mark.parametrize("admission", ADMISSIONS)
@pytest.mark.parametrize("state", SERVER_STATES, ids=lambda state: ", ".join(sorted(state)) or "server as usual")
def test_the_first_rule_that_applies_decides(home: str, admission: str, state: frozenset[str]) -> None:
    berlin = found(state, admission)
    for specs, seated in product(subsets(PEERS), (False, True)):
        so = set(specs | state) | ({"seated"} if seated else set())
        # A server that does not exist admits nobody from elsewhere.
        if home == "other" and ("server missing" in state or (home, admission) not in ADMITTED):
            so.add("not admitted")
        spec = {name: value for part in specs for name, value in PEERS[part].items()}
        alice = peer(namespace="isp" if home == "own" else "tenant", **spec)
        verdict = judge(Situation(alice, BERLIN, berlin, NOW, ADMISSIONS[admission][1], seated))
        expected = next((line for line in PRECEDENCE if line[0] in so and line[1] not in so), None)
        assert verdict.admitted is (expected is None), so
        if expected is None:
            assert verdict.objection is None and verdict.accepted.status is True
            continue
        assert verdict.objection is not None
        _, _, reason, phase, accepted = expected
        assert (verdict.objection.reason, verdict.objection.phase, verdict.objection.accepted) == (
            reason,
            phase,
            accepted,
        ), so
        assert verdict.accepted.status is accepted
        assert verdict.accepted.reason == ("Accepted" if accepted else reason)


@pytest.mark.parametrize(
    ("spec", "berlin", "provided_for"),
    [
        ({}, server(), True),
        *((spec, server(), True) for spec in PEERS.values()),
        ({}, server(enabled=False), True),
        ({}, server(maintenance={"enabled": True}), True),
        ({}, server(deleting=True), False),
        ({}, None, False),
    ],
)
def test_who_is_only_switched_off_is_provided_for(
    spec: dict[str, Any], berlin: WireGuardServer | None, provided_for: bool
) -> None:
    assert judge(Situation(peer(**spec), BERLIN, berlin, NOW)).provided_for is provided_for


# Time. -------------------------------------------------------------------------------------------------------------


def lock(reason: str, **window: str) -> dict[str, str]:
    return {"reason": reason, **window}


@pytest.mark.parametrize(
    ("spec", "reason", "until"),
    [
        ({}, None, None),
        ({"enabled": False}, "Disabled", None),
        ({"enabled": False, "expiresAt": FUTURE}, "Disabled", FUTURE),
        ({"expiresAt": PAST}, "Expired", None),
        ({"expiresAt": "2026-06-01T12:00:00Z"}, "Expired", None),
        ({"expiresAt": "2026-06-01T12:00:01Z"}, None, "2026-06-01T12:00:01Z"),
        ({"expiresAt": FUTURE}, None, FUTURE),
        ({"expiresAt": PAST, "suspensions": [lock("abuse", until=FUTURE)]}, "Expired", FUTURE),
        ({"suspensions": [lock("abuse")]}, "Suspended", None),
        ({"suspensions": [lock("abuse", since=PAST)]}, "Suspended", None),
        ({"suspensions": [lock("abuse", since="2026-06-01T12:00:00Z")]}, "Suspended", None),
        ({"suspensions": [lock("abuse", until=PAST)]}, None, None),
        ({"suspensions": [lock("abuse", until="2026-06-01T12:00:00Z")]}, None, None),
        ({"suspensions": [lock("abuse", until=FUTURE)]}, "Suspended", FUTURE),
        ({"suspensions": [lock("abuse", since=FUTURE)]}, None, FUTURE),
        ({"suspensions": [lock("abuse", since=FUTURE, until=LATER)]}, None, FUTURE),
        ({"suspensions": [lock("abuse", since=PAST, until=LATER)]}, "Suspended", LATER),
        ({"suspensions": [lock("abuse", until=PAST), lock("non-payment")]}, "Suspended", None),
        ({"suspensions": [lock("abuse", until=LATER), lock("x", until=FUTURE)]}, "Suspended", FUTURE),
        ({"suspensions": [lock("abuse", since=LATER), lock("x", until=FUTURE)]}, "Suspended", FUTURE),
        ({"suspensions": [lock("abuse", until=LATER)], "expiresAt": FUTURE}, "Suspended", FUTURE),
        ({"suspensions": [lock("abuse", until=FUTURE)], "expiresAt": LATER}, "Suspended", FUTURE),
    ],
)
def test_the_clock_decides_at_the_very_second_and_the_next_moment_is_known(
    spec: dict[str, Any], reason: str | None, until: str | None
) -> None:
    verdict = judge(Situation(peer(**spec), BERLIN, server(), NOW))
    assert (verdict.objection.reason if verdict.objection else None) == reason
    assert verdict.until == (peer(expiresAt=until).spec.expires_at if until else None)


def test_at_the_moment_that_was_foretold_the_verdict_is_another_one() -> None:
    alice = peer(suspensions=[lock("abuse", since=FUTURE, until=LATER)], expiresAt="2026-06-01T15:00:00Z")
    now, course = NOW, list[str]()
    while True:
        verdict = judge(Situation(alice, BERLIN, server(), now))
        course.append(str(verdict.objection.reason) if verdict.objection else "admitted")
        if verdict.until is None:
            break
        now = verdict.until
    assert course == ["admitted", "Suspended", "admitted", "Expired"]


def test_what_is_wrong_with_the_server_does_not_hide_when_time_changes_something() -> None:
    assert judge(Situation(peer(expiresAt=FUTURE), BERLIN, None, NOW)).until == hours(1)
    problem = Problem(Reason.NO_SERVER_AVAILABLE, "none")
    verdict = unplaced(peer(expiresAt=FUTURE), problem, NOW)
    assert verdict.until == hours(1) and not verdict.admitted
    assert (verdict.accepted.status, verdict.accepted.reason) == (False, "NoServerAvailable")


# Messages. ---------------------------------------------------------------------------------------------------------


def message(verdict: Verdict) -> str:
    assert verdict.objection is not None
    return verdict.objection.message


def test_a_tenant_is_not_told_whether_another_ones_server_exists_or_how_it_is() -> None:
    alice = peer(namespace="tenant", enabled=False)
    servers = [found(state, name) for state in SERVER_STATES for name in ("Same", "Selector that does not")]
    verdicts = {judge(Situation(alice, BERLIN, berlin, NOW, {"tier": "tin"}, True)) for berlin in servers}
    assert [verdict.objection.reason for verdict in verdicts if verdict.objection] == ["ServerNotAllowed"]


def test_every_lock_in_force_is_named_with_who_and_until_when() -> None:
    spec = {"suspensions": [lock("abuse", by="noc"), lock("non-payment", until=FUTURE), lock("gone", until=PAST)]}
    verdict = judge(Situation(peer(**spec), BERLIN, server(), NOW))
    assert message(verdict) == f"abuse by noc; non-payment until {FUTURE}"


@pytest.mark.parametrize(
    ("spec", "berlin", "words"),
    [
        ({}, None, ("WireGuardServer berlin in namespace isp", "spec.serverRef")),
        ({}, server(deleting=True), ("WireGuardServer berlin", "being deleted")),
        ({}, server(enabled=False), ("WireGuardServer berlin", "spec.enabled")),
        ({"enabled": False}, server(), ("spec.enabled",)),
        ({"expiresAt": PAST}, server(), (PAST, "spec.expiresAt")),
    ],
)
def test_messages_name_the_field_or_object_and_its_value(
    spec: dict[str, Any], berlin: WireGuardServer | None, words: tuple[str, ...]
) -> None:
    text = message(judge(Situation(peer(**spec), BERLIN, berlin, NOW)))
    assert [word for word in words if word not in text] == []


def test_a_tenant_is_told_which_field_of_the_server_would_let_it_in() -> None:
    text = message(judge(Situation(peer(namespace="tenant"), BERLIN, server(), NOW)))
    assert "namespace tenant" in text and "berlin of namespace isp" in text and "spec.allowedNamespaces" in text


GARDEN, THROTTLE = {"walledGarden": {"allow": ["192.0.2.80/32"]}}, {"throttle": {"bandwidth": "1M"}}
MODES: list[tuple[dict[str, Any], list[dict[str, Any]], str | None, str]] = [
    # what the server has, the locks, the mode of an admitted peer or None for a cut, what people read
    (GARDEN | THROTTLE, [lock("abuse")], None, "abuse"),
    (GARDEN, [lock("unpaid", mode="WalledGarden", by="billing")], "WalledGarden", "unpaid by billing"),
    (THROTTLE, [lock("quota", mode="Throttle")], "Throttle", "quota"),
    (GARDEN | THROTTLE, [lock("quota", mode="Throttle"), lock("unpaid", mode="WalledGarden")], "WalledGarden",
     "quota; unpaid"),
    (GARDEN | THROTTLE, [lock("a", mode="Throttle"), lock("b", mode="WalledGarden"), lock("c")], None, "a; b; c"),
    (GARDEN | THROTTLE, [lock("a", mode="Throttle"), lock("c", since=FUTURE)], "Throttle", "a"),
    (GARDEN | THROTTLE, [lock("a", mode="Throttle"), lock("c", until=PAST)], "Throttle", "a"),
    ({}, [lock("unpaid", mode="WalledGarden")], None,
     "unpaid; cut, since WireGuardServer berlin has no spec.walledGarden"),
    (GARDEN, [lock("quota", mode="Throttle")], None, "quota; cut, since WireGuardServer berlin has no spec.throttle"),
    (GARDEN, [lock("quota", mode="Throttle"), lock("unpaid", mode="WalledGarden")], None,
     "quota; unpaid; cut, since WireGuardServer berlin has no spec.throttle"),
    ({}, [lock("quota", mode="Throttle"), lock("unpaid", mode="WalledGarden")], None,
     "quota; unpaid; cut, since WireGuardServer berlin has no spec.throttle and no spec.walledGarden"),
    ({}, [lock("quota", mode="Throttle"), lock("abuse")], None, "quota; abuse"),
]  # fmt: skip


@pytest.mark.parametrize(("of_server", "locks", "mode", "text"), MODES)
def test_the_strictest_mode_is_in_force_and_a_server_that_cannot_do_it_cuts(
    of_server: dict[str, Any], locks: list[dict[str, Any]], mode: str | None, text: str
) -> None:
    verdict = judge(Situation(peer(suspensions=locks), Key("isp", "berlin"), server(**of_server), NOW))
    if mode is None:
        assert verdict.objection is not None and verdict.objection.reason is Reason.SUSPENDED
        assert verdict.objection.message == text
        assert verdict.restriction is None
    else:
        assert verdict.admitted
        assert verdict.restriction is not None
        assert (verdict.restriction.mode, verdict.restriction.message) == (mode, text)


def test_a_peer_that_is_disabled_or_expired_is_in_no_garden() -> None:
    locks = [lock("unpaid", mode="WalledGarden")]
    for spec in ({"enabled": False}, {"expiresAt": PAST}):
        verdict = judge(Situation(peer(suspensions=locks, **spec), Key("isp", "berlin"), server(**GARDEN), NOW))
        assert not verdict.admitted and verdict.restriction is None
