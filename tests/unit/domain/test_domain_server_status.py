"""A server's status: phase and conditions in every situation, and what they say to people."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from tests.unit.domain.objects import NOW, hours, said, server
from wireguard_operator.api.conditions import ConditionType
from wireguard_operator.api.reasons import Reason
from wireguard_operator.api.server import DataPlaneStatus, PeerCounts, ServerStatus, ServerTraffic, WireGuardServer
from wireguard_operator.domain.conditions import Problem, find
from wireguard_operator.domain.server_status import ServerFacts, compose

PLANE = {"data_plane": DataPlaneStatus(implementation="Userspace", version="1", revision=5)}
KEYS = {"public_key": "K", "agent_secret": "berlin-agent-tls"}
ON = KEYS | PLANE | {"programmed": True}
WORK = {"maintenance": {"enabled": True, "message": "new disks"}}


def trouble(name: str, reason: Reason) -> dict[str, Problem]:
    return {f"{name}_problem": Problem(reason, "why")}


def facts(**known: Any) -> ServerFacts:
    return ServerFacts(**({"capacity": 3} | known))


def peers(total: int) -> dict[str, PeerCounts]:
    return {"peers": PeerCounts(total=total)}


# Each line: what is known; the specification; phase; Accepted, KeysReady, Programmed, Available, Ready; what is beside.
T, F, U = "True ", "False ", "Unknown "
OK, ROOM = (T + "Accepted", T + "KeysReady", T + "Programmed"), T + "RoomForPeers"
OFF = "not there"
SITUATIONS: dict[str, tuple[dict[str, Any], dict[str, Any], str, tuple[str, ...], str]] = {
    "nothing is done yet": (
        {}, {}, "Inactive", (OK[0], U + "Waiting", U + "Waiting", ROOM, F + "Waiting"), "Reconciling"),
    "all but the agent's word": (
        KEYS, {}, "Inactive", (*OK[:2], U + "Waiting", ROOM, F + "Waiting"), "Reconciling"),
    "all is well": (ON, {}, "Active", (*OK, ROOM, T + "Ready"), OFF),
    "maintenance": (ON, WORK, "Maintenance", (*OK, F + "Maintenance", T + "Ready"), OFF),
    "disabled": (ON, {"enabled": False}, "Inactive", (*OK, F + "Disabled", T + "Disabled"), OFF),
    "disabled in maintenance": (
        ON, {"enabled": False} | WORK, "Inactive", (*OK, F + "Disabled", T + "Disabled"), OFF),
    "disabled, and the agent does not know yet": (
        ON | trouble("program", Reason.AGENT_UNREACHABLE), {"enabled": False}, "Inactive",
        (*OK[:2], F + "AgentUnreachable", F + "Disabled", F + "AgentUnreachable"), "Reconciling"),
    "the agent never answered": (
        KEYS | trouble("program", Reason.AGENT_UNREACHABLE), {}, "Inactive",
        (*OK[:2], F + "AgentUnreachable", ROOM, F + "AgentUnreachable"), "Reconciling"),
    "the agent answers, but never did what it was asked": (
        KEYS | PLANE | trouble("program", Reason.AGENT_FAILED), {}, "Degraded",
        (*OK[:2], F + "AgentFailed", ROOM, F + "AgentFailed"), "Reconciling"),
    "the agent does not answer any more": (
        ON | trouble("program", Reason.AGENT_UNREACHABLE), {}, "Degraded",
        (*OK[:2], F + "AgentUnreachable", ROOM, F + "AgentUnreachable"), "Reconciling"),
    "the agent does not answer any more in maintenance": (
        ON | trouble("program", Reason.AGENT_UNREACHABLE), WORK, "Degraded",
        (*OK[:2], F + "AgentUnreachable", F + "Maintenance", F + "AgentUnreachable"), "Reconciling"),
    "the agent is somebody else": (
        KEYS | trouble("program", Reason.AGENT_NOT_TRUSTED), {}, "Inactive",
        (*OK[:2], F + "AgentNotTrusted", ROOM, F + "AgentNotTrusted"), "Stalled"),
    "the networks are in use": (
        ON | trouble("network", Reason.NETWORK_IN_USE), {}, "Degraded",
        (F + "NetworkInUse", *OK[1:], ROOM, F + "NetworkInUse"), "Stalled"),
    "the key is lost": (
        trouble("key", Reason.KEY_LOST), {}, "Inactive",
        (OK[0], F + "KeyLost", U + "Waiting", ROOM, F + "KeyLost"), "Stalled"),
    "the new key cannot be had, the old one works": (
        ON | trouble("key", Reason.KEY_INVALID), {}, "Degraded",
        (OK[0], F + "KeyInvalid", OK[2], ROOM, F + "KeyInvalid"), "Stalled"),
    "full by number": (ON | peers(3), {}, "Active", (*OK, F + "ServerFull", T + "Ready"), OFF),
    "more than full": (ON | peers(4), {}, "Active", (*OK, F + "ServerFull", T + "Ready"), OFF),
    "one is left": (ON | peers(2), {}, "Active", (*OK, ROOM, T + "Ready"), OFF),
    "all that is free rests": (
        ON | trouble("room", Reason.POOL_EXHAUSTED), {}, "Active", (*OK, F + "PoolExhausted", T + "Ready"), OFF),
    "being deleted with peers": (
        ON | {"waits_for": ("isp/a",)}, {"deleting": True}, "Active",
        (*OK, F + "ServerDeleting", F + "WaitingForPeers"), "Reconciling"),
    "being deleted without peers": (ON, {"deleting": True}, "Active", (*OK, F + "ServerDeleting", T + "Ready"), OFF),
    "being deleted, disabled, and full": (
        ON | peers(3), {"deleting": True, "enabled": False}, "Inactive",
        (*OK, F + "ServerDeleting", T + "Disabled"), OFF),
}  # fmt: skip


def composed(known: ServerFacts, berlin: WireGuardServer | None = None) -> ServerStatus:
    return compose(berlin or server(), known, NOW)


def message(status: ServerStatus, kind: ConditionType) -> str:
    condition = find(status.conditions, kind)
    assert condition is not None
    return condition.message


@pytest.mark.parametrize("situation", SITUATIONS)
def test_phase_and_conditions_tell_the_situation(situation: str) -> None:
    known, spec, phase, steps, beside = SITUATIONS[situation]
    status = composed(facts(**known), server(**spec))
    expected = dict(zip(["Accepted", "KeysReady", "Programmed", "Available", "Ready"], steps, strict=True))
    if beside != OFF:
        expected[beside] = T + steps[-1].removeprefix(F)
    assert (str(status.phase), said(status.conditions)) == (phase, expected)


def test_reconciling_and_stalled_are_never_both_there_and_one_of_them_is_while_not_ready() -> None:
    problems = (None, Problem(Reason.NETWORK_IN_USE, "why"), Problem(Reason.AGENT_UNREACHABLE, "why"))
    spec = product((True, False), (True, False))
    for (enabled, deleting), network, key, program in product(spec, problems, problems, problems):
        f = facts(network_problem=network, key_problem=key, program_problem=program, waits_for=("isp/a",), **ON)
        status = composed(f, server(enabled=enabled, deleting=deleting))
        ready = find(status.conditions, ConditionType.READY)
        assert ready is not None
        extra = [c for c in status.conditions if c.type in ("Reconciling", "Stalled")]
        assert [(c.status, c.reason) for c in extra] == [("True", ready.reason)] * (ready.status != "True")


def test_the_status_is_about_the_generation_that_was_looked_at() -> None:
    status = composed(facts(**ON))
    assert status.observed_generation == 3
    assert {condition.observed_generation for condition in status.conditions} == {3}


def test_transition_times_move_only_with_the_status() -> None:
    first = composed(facts(**ON))
    full = compose(server(status=first.to_wire()), facts(**ON, **peers(3)), hours(1))
    moved = {condition.type for condition in full.conditions if condition.last_transition_time == hours(1)}
    assert moved == {"Available"}
    again = compose(server(status=full.to_wire()), facts(**ON, **peers(3)), hours(2))
    assert again.to_wire() == full.to_wire()


def test_every_fact_stands_in_its_field() -> None:
    f = facts(
        **ON,
        key_generation=2,
        endpoint="vpn.example.net:51820",
        networks=("10.8.0.0/24",),
        addresses=("10.8.0.1/24",),
        peers=PeerCounts(total=2, active=1, online=1),
        traffic=ServerTraffic(rx_bytes=7, tx_bytes=8),
        stats_time=hours(1),
    )
    wire = composed(f).to_wire()
    del wire["conditions"]
    assert wire == {
        "observedGeneration": 3,
        "phase": "Active",
        "publicKey": "K",
        "keyGeneration": 2,
        "endpoint": "vpn.example.net:51820",
        "addresses": ["10.8.0.1/24"],
        "networks": ["10.8.0.0/24"],
        "capacity": 3,
        "utilizationPercent": 66,
        "peers": {"total": 2, "active": 1, "online": 1},
        "traffic": {"rxBytes": 7, "txBytes": 8},
        "lastStatsTime": "2026-06-01T13:00:00Z",
        "dataPlane": {"implementation": "Userspace", "version": "1", "revision": 5},
    }


@pytest.mark.parametrize(
    ("total", "capacity", "percent"), [(0, 253, 0), (1, 1, 100), (4, 3, 133), (252, 253, 99), (65535, 65536, 99),
                                       (0, 0, None), (0, None, None)]
)  # fmt: skip
def test_the_utilization_is_a_hundred_percent_only_when_there_is_no_room(
    total: int, capacity: int | None, percent: int | None
) -> None:
    assert composed(facts(**peers(total), capacity=capacity)).utilization_percent == percent


def test_messages_name_what_is_in_the_way() -> None:
    assert message(composed(facts(**ON, **peers(3))), ConditionType.AVAILABLE) == "3 of 3 peers"
    assert message(composed(facts(**ON), server(**WORK)), ConditionType.AVAILABLE) == "new disks"
    bare = server(maintenance={"enabled": True})
    assert message(composed(facts(**ON), bare), ConditionType.AVAILABLE) == "spec.maintenance is on"
    assert "berlin-agent-tls" in message(composed(facts(**ON)), ConditionType.KEYS_READY)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "waits for 1 peer to be deleted or moved: isp/p0"),
        (5, "waits for 5 peers to be deleted or moved: isp/p0, isp/p1, isp/p2, isp/p3, isp/p4"),
        (10_000, "waits for 10000 peers to be deleted or moved: isp/p0, isp/p1, isp/p2, isp/p3, isp/p4 and 9995 more"),
    ],
)
def test_a_deletion_names_some_of_those_that_it_waits_for_and_counts_the_others(count: int, words: str) -> None:
    f = facts(**ON, waits_for=tuple(f"isp/p{number}" for number in range(count)))
    assert message(composed(f, server(deleting=True)), ConditionType.READY) == f"being deleted; {words}"


def test_that_the_counters_were_read_again_is_no_news_by_itself_for_ten_minutes() -> None:
    known = facts(**peers(1), stats_time=NOW)
    one = server()
    one = one.model_copy(update={"status": compose(one, known, NOW)})
    for minutes, told in ((9, 0), (11, 11)):
        known.stats_time = NOW + timedelta(minutes=minutes)
        assert compose(one, known, known.stats_time).last_stats_time == NOW + timedelta(minutes=told)
    known.stats_time, known.peers = NOW + timedelta(minutes=1), PeerCounts(total=1, online=1)
    assert compose(one, known, known.stats_time).last_stats_time == known.stats_time


def test_a_controller_that_has_not_read_the_counters_yet_leaves_the_time_at_which_it_was_done_last() -> None:
    one = server()
    one = one.model_copy(update={"status": compose(one, facts(stats_time=NOW), NOW)})
    assert compose(one, facts(), hours(5)).last_stats_time == NOW
