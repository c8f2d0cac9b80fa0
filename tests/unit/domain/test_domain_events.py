"""What is worth an Event: which turns make news, and that the ordinary way of ten thousand peers makes none."""

from itertools import pairwise, product
from typing import Any

import pytest

from tests.unit.domain.objects import NOW, client_keys, hours, peer, ring, server
from wireguard_operator.api.base import Key
from wireguard_operator.api.peer import PeerStatus, Traffic
from wireguard_operator.api.reasons import EXPLANATIONS, Reason
from wireguard_operator.api.server import ServerStatus
from wireguard_operator.domain.conditions import Problem
from wireguard_operator.domain.events import News, farewell, of_peer, of_server
from wireguard_operator.domain.lifecycle import Situation, judge
from wireguard_operator.domain.peer_status import PeerFacts
from wireguard_operator.domain.peer_status import compose as compose_peer
from wireguard_operator.domain.server_status import ServerFacts
from wireguard_operator.domain.server_status import compose as compose_server

BERLIN, MUNICH = Key("isp", "berlin"), Key("isp", "munich")
NEW = PeerStatus(observed_generation=-1)


def status(spec: dict[str, Any] | None = None, at: Key = BERLIN, **known: Any) -> PeerStatus:
    alice = peer(**(spec or {}))
    verdict = judge(Situation(alice, BERLIN, server(), NOW))
    facts = {"addresses": ("10.8.0.2/32",), "ring": ring(), "secret_name": "s", "verdict": verdict}
    return compose_peer(alice, PeerFacts(**(facts | known)), at, NOW)


def trouble(name: str, reason: Reason, **known: Any) -> PeerStatus:
    return status(**{f"{name}_problem": Problem(reason, "why")}, **known)


PENDING, INACTIVE = status(), status(on_device=True, settled=True)
ACTIVE = status(on_device=True, settled=True, online=True)
UNREACHABLE = trouble("program", Reason.AGENT_UNREACHABLE)
DISABLED = status({"enabled": False})
SUSPENDED = status({"suspensions": [{"reason": "abuse", "by": "noc"}]})
EXPIRED = status({"expiresAt": "2026-06-01T11:00:00Z"})
REMOVING = status({"enabled": False}, on_device=True)
EXHAUSTED, LOST = trouble("address", Reason.POOL_EXHAUSTED), trouble("key", Reason.KEY_LOST)


def told(*course: PeerStatus) -> list[tuple[str, bool]]:
    """The news along a course of statuses: reason, and whether it is a warning."""
    return [(news.reason.value, news.warning) for before, after in pairwise(course) for news in of_peer(before, after)]


@pytest.mark.parametrize(
    "course",
    [
        (NEW, PENDING, INACTIVE, ACTIVE, INACTIVE, ACTIVE),
        (NEW, INACTIVE, ACTIVE),
        (NEW, UNREACHABLE, INACTIVE, ACTIVE),
        (ACTIVE, UNREACHABLE, ACTIVE),
        (NEW, DISABLED),
        (NEW, trouble("key", Reason.SECRET_NOT_FOUND), INACTIVE),
    ],
)
def test_the_ordinary_way_makes_no_news(course: tuple[PeerStatus, ...]) -> None:
    assert told(*course) == []


@pytest.mark.parametrize("one", [NEW, PENDING, ACTIVE, DISABLED, SUSPENDED, EXPIRED, EXHAUSTED, LOST, REMOVING])
def test_the_same_status_again_is_no_news(one: PeerStatus) -> None:
    assert told(one, one) == []


@pytest.mark.parametrize(
    ("course", "news"),
    [
        ((ACTIVE, REMOVING, DISABLED), [("Disabled", False)]),
        ((ACTIVE, SUSPENDED), [("Suspended", False)]),
        ((INACTIVE, EXPIRED), [("Expired", False)]),
        ((PENDING, SUSPENDED), [("Suspended", False)]),
        ((SUSPENDED, EXPIRED), [("Expired", False)]),
        ((SUSPENDED, INACTIVE, ACTIVE), [("Admitted", False)]),
        ((EXPIRED, ACTIVE), [("Admitted", False)]),
        ((NEW, EXHAUSTED), [("PoolExhausted", True)]),
        ((NEW, EXHAUSTED, LOST, INACTIVE), [("PoolExhausted", True), ("KeyLost", True)]),
        ((ACTIVE, trouble("route", Reason.ROUTE_CONFLICT, on_device=True, settled=True)), [("RouteConflict", True)]),
        ((ACTIVE, status(on_device=True, settled=True, at=MUNICH)), [("Moved", False)]),
        ((ACTIVE, status(on_device=True, settled=True, ring=ring(4))), [("KeysRotated", False)]),
        ((SUSPENDED, status(at=MUNICH, on_device=True, settled=True, ring=ring(4))), [
            ("Admitted", False), ("Moved", False), ("KeysRotated", False)]),
    ],
)  # fmt: skip
def test_turns_in_a_subscribers_life_and_troubles_make_news(
    course: tuple[PeerStatus, ...], news: list[tuple[str, bool]]
) -> None:
    assert told(*course) == news


def test_of_all_troubles_of_a_peer_those_make_news_about_which_somebody_has_to_act() -> None:
    for name, reason in product(("address", "key", "program"), Reason):
        news = told(PENDING, trouble(name, reason))
        assert news == ([(reason.value, True)] if EXPLANATIONS[reason].lasting else []), reason


def test_news_of_a_peer_say_what_and_why() -> None:
    assert of_peer(ACTIVE, SUSPENDED) == [News(Reason.SUSPENDED, "abuse by noc")]
    assert of_peer(NEW, EXHAUSTED) == [News(Reason.POOL_EXHAUSTED, "why", warning=True)]
    assert of_peer(EXPIRED, ACTIVE) == [News(Reason.ADMITTED, "back on the device after expired")]
    (moved,) = of_peer(ACTIVE, status(on_device=True, settled=True, at=MUNICH))
    assert moved.message == "moved from server isp/berlin to isp/munich"
    (rotated,) = of_peer(ACTIVE, status(on_device=True, settled=True, ring=ring(4)))
    assert client_keys(2).public in rotated.message and client_keys(4).public in rotated.message


def test_a_reason_that_a_newer_version_wrote_is_no_hindrance() -> None:
    wire = PENDING.to_wire()
    for condition in wire["conditions"]:
        condition["reason"] = "FromTheFuture"
    assert told(PeerStatus.model_validate(wire), EXHAUSTED) == [("PoolExhausted", True)]
    assert told(EXHAUSTED, PeerStatus.model_validate(wire)) == []


# Servers. ----------------------------------------------------------------------------------------------------------


def state(spec: dict[str, Any] | None = None, **known: Any) -> ServerStatus:
    facts = {"public_key": "K", "agent_secret": "s", "programmed": True}
    return compose_server(server(**(spec or {})), ServerFacts(**(facts | known)), NOW)


def down(reason: Reason, name: str = "program") -> ServerStatus:
    return state(**{f"{name}_problem": Problem(reason, "why")})


FRESH, UP = ServerStatus(observed_generation=-1), state()
WAITING = state({"deleting": True}, waits_for=("isp/a", "isp/b"))


@pytest.mark.parametrize(
    ("course", "news"),
    [
        ((FRESH, state(programmed=False), UP, UP), []),
        ((UP, state({"maintenance": {"enabled": True}}), UP), []),
        ((UP, state({"enabled": False}), UP), []),
        ((UP, down(Reason.AGENT_UNREACHABLE), UP), [("AgentUnreachable", True), ("AgentConnected", False)]),
        ((UP, down(Reason.AGENT_FAILED), UP), [("AgentFailed", True), ("AgentConnected", False)]),
        ((UP, down(Reason.AGENT_UNREACHABLE), down(Reason.AGENT_UNREACHABLE)), [("AgentUnreachable", True)]),
        ((UP, down(Reason.AGENT_NOT_TRUSTED), UP), [("AgentNotTrusted", True)]),
        ((UP, down(Reason.NETWORK_IN_USE, "network"), UP), [("NetworkInUse", True)]),
        ((UP, down(Reason.SECRET_NOT_FOUND, "key"), UP), []),
        ((UP, WAITING, WAITING), [("WaitingForPeers", True)]),
        ((UP, state(public_key="L")), [("KeysRotated", True)]),
        ((FRESH, UP), []),
    ],
)
def test_troubles_of_a_server_make_news_and_so_does_their_end(
    course: tuple[ServerStatus, ...], news: list[tuple[str, bool]]
) -> None:
    assert [(n.reason.value, n.warning) for before, after in pairwise(course) for n in of_server(before, after)] == news


def test_news_of_a_server_say_what_to_do() -> None:
    (waiting,) = of_server(UP, WAITING)
    assert "waits for 2 peers to be deleted or moved: isp/a, isp/b" in waiting.message
    (rotated,) = of_server(UP, state(public_key="L"))
    assert "every client must import its configuration again" in rotated.message


def test_the_last_word_has_the_totals_and_since_when() -> None:
    assert farewell(Traffic(rx_bytes=7, tx_bytes=8)).message == "rxBytes=7 txBytes=8"
    news = farewell(Traffic(rx_bytes=7, tx_bytes=8, since=hours(1)))
    assert news == News(Reason.FINAL_USAGE, "rxBytes=7 txBytes=8 since 2026-06-01T13:00:00Z")
