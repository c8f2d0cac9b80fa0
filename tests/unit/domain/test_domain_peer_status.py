"""A peer's status says what is confirmed: phase and conditions in every situation, and what a restart recalls."""

from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from tests.unit.domain.objects import FUTURE, NOW, PAST, client_keys, hours, peer, ring, said, server
from wireguard_operator.api.base import Key
from wireguard_operator.api.conditions import ConditionType
from wireguard_operator.api.peer import CounterSample, PeerStatus, Traffic, WireGuardPeer
from wireguard_operator.api.reasons import Reason
from wireguard_operator.domain.conditions import Problem, find
from wireguard_operator.domain.lifecycle import Situation, judge, unplaced
from wireguard_operator.domain.peer_status import PeerFacts, compose, recall

BERLIN = Key("isp", "berlin")
ADMITTED = judge(Situation(peer(), BERLIN, server(), NOW))
DISABLED = judge(Situation(peer(enabled=False), BERLIN, server(), NOW))
SUSPENDED = judge(Situation(peer(suspensions=[{"reason": "abuse", "until": FUTURE}]), BERLIN, server(), NOW))
WALLED, THROTTLED = (
    judge(
        Situation(
            peer(suspensions=[{"reason": "unpaid", "mode": mode}]),
            BERLIN,
            server(walledGarden={}, throttle={"bandwidth": "1M"}),
            NOW,
        )
    )
    for mode in ("WalledGarden", "Throttle")
)
EXPIRED = judge(Situation(peer(expiresAt=PAST), BERLIN, server(), NOW))
NO_SERVER = judge(Situation(peer(), BERLIN, None, NOW))
FOREIGN = judge(Situation(peer(namespace="tenant"), BERLIN, server(), NOW))
GOING = judge(Situation(peer(), BERLIN, server(deleting=True), NOW))
SERVER_OFF = judge(Situation(peer(), BERLIN, server(enabled=False), NOW))
UNPLACED = unplaced(peer(), Problem(Reason.NO_SERVER_AVAILABLE, "none"), NOW)

ON = {"on_device": True, "settled": True}
NOTHING = {"addresses": (), "ring": None, "secret_name": None}
ROTATING = {"ring": ring(4, previous=2, until=hours(24))}


def trouble(name: str, reason: Reason) -> dict[str, Problem]:
    return {f"{name}_problem": Problem(reason, "why")}


def facts(**changes: Any) -> PeerFacts:
    base = {"verdict": ADMITTED, "addresses": ("10.8.0.2/32",), "ring": ring(), "secret_name": "alice-wireguard"}
    return PeerFacts(**(base | changes))


def composed(f: PeerFacts, p: WireGuardPeer | None = None, now: datetime = NOW) -> PeerStatus:
    return compose(p or peer(), f, BERLIN, now)


# Each line: what is known; phase; Accepted, AddressAllocated, KeysReady, Programmed, Ready; and what is there beside.
T, F, U = "True ", "False ", "Unknown "
OK = (T + "Accepted", T + "Allocated", T + "KeysReady")
UNDONE = (U + "Waiting", U + "Waiting")
OFF = "not there"
SITUATIONS: dict[str, tuple[dict[str, Any], str, tuple[str, ...], str]] = {
    "nothing is done yet": (
        NOTHING, "Pending", (OK[0], *UNDONE, F + "Waiting", F + "Waiting"), "Reconciling"),
    "all but the agent's word": ({}, "Pending", (*OK, F + "Waiting", F + "Waiting"), "Reconciling"),
    "on the device": (ON, "Inactive", (*OK, T + "Programmed", T + "Ready"), OFF),
    "on the device and online": (ON | {"online": True}, "Active", (*OK, T + "Programmed", T + "Ready"), OFF),
    "in the walled garden": (
        ON | {"verdict": WALLED, "online": True}, "Suspended", (*OK, T + "Programmed", T + "WalledGarden"), OFF),
    "throttled": (ON | {"verdict": THROTTLED}, "Suspended", (*OK, T + "Programmed", T + "Throttled"), OFF),
    "to be in the walled garden, and not yet": (
        {"on_device": True, "verdict": WALLED}, "Pending", (*OK, U + "Waiting", F + "Waiting"), "Reconciling"),
    "online, but off the device": ({"online": True}, "Pending", (*OK, F + "Waiting", F + "Waiting"), "Reconciling"),
    "a change is not confirmed": ({"on_device": True}, "Pending", (*OK, U + "Waiting", F + "Waiting"), "Reconciling"),
    "a change, and no agent": (
        {"on_device": True} | trouble("program", Reason.AGENT_UNREACHABLE),
        "Pending", (*OK, U + "AgentUnreachable", F + "AgentUnreachable"), "Reconciling"),
    "no agent": (
        trouble("program", Reason.AGENT_UNREACHABLE),
        "Pending", (*OK, F + "AgentUnreachable", F + "AgentUnreachable"), "Reconciling"),
    "no agent, but all was confirmed before": (
        ON | trouble("program", Reason.AGENT_UNREACHABLE), "Inactive", (*OK, T + "Programmed", T + "Ready"), OFF),
    "the device refuses": (
        {"settled": True} | trouble("program", Reason.DEVICE_REFUSED),
        "Failed", (*OK, F + "DeviceRefused", F + "DeviceRefused"), "Stalled"),
    "somebody else's key": (
        {"settled": True} | trouble("program", Reason.DUPLICATE_PUBLIC_KEY),
        "Failed", (*OK, F + "DuplicatePublicKey", F + "DuplicatePublicKey"), "Stalled"),
    "the server has no keys": (
        NOTHING | trouble("program", Reason.SERVER_NOT_READY), "Pending",
        (OK[0], *UNDONE, F + "ServerNotReady", F + "ServerNotReady"), "Reconciling"),
    "the pool is exhausted": (
        NOTHING | trouble("address", Reason.POOL_EXHAUSTED), "Failed",
        (OK[0], F + "PoolExhausted", U + "Waiting", F + "Waiting", F + "PoolExhausted"), "Stalled"),
    "another address is taken, the old one works": (
        ON | trouble("address", Reason.ADDRESS_TAKEN), "Inactive",
        (OK[0], F + "AddressTaken", OK[2], T + "Programmed", F + "AddressTaken"), "Stalled"),
    "a route is somebody else's": (
        ON | {"routes": ("192.0.2.0/24",)} | trouble("route", Reason.ROUTE_CONFLICT), "Inactive",
        (OK[0], F + "RouteConflict", OK[2], T + "Programmed", F + "RouteConflict"), "Stalled"),
    "the keys are lost": (
        {"ring": None, "secret_name": None} | trouble("key", Reason.KEY_LOST), "Failed",
        (*OK[:2], F + "KeyLost", F + "Waiting", F + "KeyLost"), "Stalled"),
    "the key to import is not there yet": (
        {"ring": None, "secret_name": None} | trouble("key", Reason.SECRET_NOT_FOUND), "Pending",
        (*OK[:2], F + "SecretNotFound", F + "Waiting", F + "SecretNotFound"), "Reconciling"),
    "address and keys are in trouble": (
        NOTHING | trouble("address", Reason.POOL_EXHAUSTED) | trouble("key", Reason.SECRET_NOT_FOUND), "Failed",
        (OK[0], F + "PoolExhausted", F + "SecretNotFound", F + "Waiting", F + "PoolExhausted"), "Stalled"),
    "keys without a Secret": (
        {"secret_name": None}, "Pending", (*OK[:2], U + "Waiting", F + "Waiting", F + "Waiting"), "Reconciling"),
    "a rotation": (ON | ROTATING, "Inactive", (*OK[:2], T + "KeysRotating", T + "Programmed", T + "Ready"), OFF),
    "disabled": ({"verdict": DISABLED}, "Disabled", (*OK, F + "Disabled", T + "Disabled"), OFF),
    "suspended": ({"verdict": SUSPENDED}, "Suspended", (*OK, F + "Suspended", T + "Suspended"), OFF),
    "expired": ({"verdict": EXPIRED}, "Expired", (*OK, F + "Expired", T + "Expired"), OFF),
    "disabled, and the keys are lost": (
        {"verdict": DISABLED} | trouble("key", Reason.KEY_LOST), "Disabled",
        (*OK[:2], F + "KeyLost", F + "Disabled", T + "Disabled"), OFF),
    "disabled, but not off yet": (
        {"verdict": DISABLED} | ON, "Pending", (*OK, T + "Removing", F + "Removing"), "Reconciling"),
    "disabled, not off yet, and no agent": (
        {"verdict": DISABLED, "on_device": True} | trouble("program", Reason.AGENT_UNREACHABLE),
        "Pending", (*OK, T + "Removing", F + "Removing"), "Reconciling"),
    "no such server": (
        NOTHING | {"verdict": NO_SERVER}, "Pending",
        (F + "ServerNotFound", *UNDONE, F + "ServerNotFound", F + "ServerNotFound"), "Reconciling"),
    "the server admits others": (
        NOTHING | {"verdict": FOREIGN}, "Failed",
        (F + "ServerNotAllowed", *UNDONE, F + "ServerNotAllowed", F + "ServerNotAllowed"), "Stalled"),
    "the server goes away": (
        NOTHING | {"verdict": GOING}, "Pending",
        (F + "ServerDeleting", *UNDONE, F + "ServerDeleting", F + "ServerDeleting"), "Reconciling"),
    "the server is disabled": (
        {"verdict": SERVER_OFF}, "Pending",
        (F + "ServerDisabled", *OK[1:], F + "ServerDisabled", F + "ServerDisabled"), "Reconciling"),
    "the server is disabled, but the peer not off yet": (
        {"verdict": SERVER_OFF} | ON, "Pending",
        (F + "ServerDisabled", *OK[1:], T + "Removing", F + "ServerDisabled"), "Reconciling"),
    "no server matches": (
        NOTHING | {"verdict": UNPLACED}, "Pending",
        (F + "NoServerAvailable", *UNDONE, F + "NoServerAvailable", F + "NoServerAvailable"), "Stalled"),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_phase_and_conditions_tell_the_situation(situation: str) -> None:
    known, phase, steps, beside = SITUATIONS[situation]
    status = composed(facts(**known))
    expected = dict(zip(["Accepted", "AddressAllocated", "KeysReady", "Programmed", "Ready"], steps, strict=True))
    if beside != OFF:
        expected[beside] = T + steps[-1].removeprefix(F)
    assert (str(status.phase), said(status.conditions)) == (phase, expected)


def test_reconciling_and_stalled_are_never_both_there_and_one_of_them_is_while_not_ready() -> None:
    problems = (None, Problem(Reason.KEY_LOST, "why"), Problem(Reason.AGENT_UNREACHABLE, "why"))
    verdicts = (ADMITTED, DISABLED, FOREIGN, SERVER_OFF)
    combinations = product(verdicts, problems, problems, problems, problems, (False, True), (False, True))
    for verdict, address, route, key, program, on_device, settled in combinations:
        f = facts(verdict=verdict, address_problem=address, route_problem=route, key_problem=key,
                  program_problem=program, on_device=on_device, settled=settled)  # fmt: skip
        status = composed(f)
        ready = find(status.conditions, ConditionType.READY)
        assert ready is not None
        extra = [c for c in status.conditions if c.type in ("Reconciling", "Stalled")]
        assert len(extra) == (0 if ready.status == "True" else 1)
        assert [(c.status, c.reason, c.message) for c in extra] == [("True", ready.reason, ready.message)] * len(extra)
        # Whoever waits for Programmed=False wants to know that the tunnel is cut.
        programmed = find(status.conditions, ConditionType.PROGRAMMED)
        assert programmed is not None and not (on_device and programmed.status == "False")
        assert not (status.online and not on_device)


def test_nothing_is_composed_before_the_life_cycle_has_judged() -> None:
    with pytest.raises(ValueError, match="no verdict"):
        composed(PeerFacts())


def test_the_status_is_about_the_generation_that_was_judged() -> None:
    status = composed(facts(), peer(generation=8))
    assert status.observed_generation == 8
    assert {condition.observed_generation for condition in status.conditions} == {8}


def test_every_fact_stands_in_its_field() -> None:
    traffic = Traffic(rx_bytes=1, tx_bytes=2, since=NOW, sample=CounterSample(session="s"))
    f = facts(**ON, routes=("192.0.2.0/24",), ring=ring(4, previous=2, until=hours(24), generation=5), online=True,
              config_revision="r1", last_handshake=NOW, endpoint="198.51.100.1:9", traffic=traffic,
              stats_time=hours(1))  # fmt: skip
    wire = composed(f).to_wire()
    del wire["conditions"]
    assert wire == {
        "observedGeneration": 3,
        "phase": "Active",
        "serverRef": {"name": "berlin", "namespace": "isp"},
        "addresses": ["10.8.0.2/32"],
        "routes": ["192.0.2.0/24"],
        "publicKey": client_keys(4).public,
        "keyGeneration": 5,
        "previousKey": {"publicKey": client_keys(2).public, "until": "2026-06-02T12:00:00Z"},
        "secretRef": {"name": "alice-wireguard"},
        "configRevision": "r1",
        "online": True,
        "lastHandshakeTime": "2026-06-01T12:00:00Z",
        "endpoint": "198.51.100.1:9",
        "traffic": traffic.to_wire(),
        "lastStatsTime": "2026-06-01T13:00:00Z",
    }
    assert "serverRef" not in compose(peer(), facts(), None, NOW).to_wire()


def test_messages_say_what_was_given_and_until_when() -> None:
    conditions = composed(facts(**ON, **ROTATING, routes=("192.0.2.0/24",))).conditions
    messages = {condition.type: condition.message for condition in conditions}
    assert messages["AddressAllocated"] == "10.8.0.2/32, 192.0.2.0/24"
    assert "alice-wireguard" in messages["KeysReady"] and "2026-06-02 12:00:00 UTC" in messages["KeysReady"]


def test_transition_times_move_only_with_the_status() -> None:
    first = composed(facts(**ON))
    later = composed(facts(**ON, online=True), peer(status=first.to_wire()), hours(1))
    assert {condition.last_transition_time for condition in later.conditions} == {NOW}
    off = composed(facts(verdict=DISABLED), peer(status=later.to_wire()), hours(2))
    moved = {condition.type for condition in off.conditions if condition.last_transition_time == hours(2)}
    assert moved == {"Programmed"}


# What a new controller makes of a status. --------------------------------------------------------------------------


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_restart_writes_nothing_and_forgets_nothing_that_only_the_device_knows(situation: str) -> None:
    known = SITUATIONS[situation][0]
    before = facts(**known, last_handshake=NOW, endpoint="198.51.100.1:9", traffic=Traffic(rx_bytes=1), stats_time=NOW)
    alice = peer(status=composed(before).to_wire())
    after = recall(alice)
    assert after.on_device is before.on_device
    assert after.online is (before.online and before.on_device)
    device_side = ("last_handshake", "endpoint", "traffic", "stats_time")
    assert [getattr(after, name) for name in device_side] == [getattr(before, name) for name in device_side]
    # The rest is found out anew; with the device's side from the status the same status comes out.
    again = facts(**(known | {"on_device": after.on_device, "settled": after.settled, "online": after.online}),
                  **{name: getattr(after, name) for name in device_side})  # fmt: skip
    assert composed(again, alice, hours(1)).to_wire() == alice.status.to_wire()


def test_what_was_specified_while_no_controller_ran_is_not_confirmed_yet() -> None:
    wire = composed(facts(**ON)).to_wire()
    assert recall(peer(status=wire)).programmed
    changed = recall(peer(status=wire, generation=4))
    assert (changed.on_device, changed.settled) == (True, False)


def test_a_removal_that_was_not_confirmed_is_not_taken_for_confirmed_when_the_suspension_ends() -> None:
    wire = composed(facts(verdict=SUSPENDED, on_device=True)).to_wire()
    recalled = recall(peer(status=wire))
    assert (recalled.on_device, recalled.settled) == (True, False)


def test_a_peer_is_not_said_to_be_off_because_a_change_of_it_was_under_way_at_a_restart() -> None:
    waiting = facts(on_device=True, program_problem=Problem(Reason.AGENT_UNREACHABLE, "no answer"))
    recalled = recall(peer(status=composed(waiting).to_wire(), enabled=False, generation=4))
    recalled.verdict = DISABLED
    status = composed(recalled)
    assert said(status.conditions)["Ready"] == "False Removing"


def test_a_peer_that_nobody_has_looked_at_yet_is_not_on_the_device() -> None:
    recalled = recall(peer(status={"observedGeneration": -1}))
    assert recalled == PeerFacts()


def test_times_read_back_are_those_that_were_written() -> None:
    precise = NOW + timedelta(microseconds=1)
    wire = compose(peer(), facts(), BERLIN, precise).to_wire()
    assert compose(peer(status=wire), facts(), BERLIN, hours(1)).to_wire() == wire
