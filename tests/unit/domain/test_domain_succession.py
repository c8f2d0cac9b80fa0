"""Which pod serves: the truth in the Service, who may take over, and that nothing changes without need."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from objects import server

from wireguard_operator.domain import server_pods
from wireguard_operator.domain.succession import Candidate, Cause, Change, Seat, decide, seat_of

BORN = datetime(2026, 1, 1, tzinfo=UTC)
A = Candidate("a", BORN, answers=True, loaded=True, term=3, active=True)
B = Candidate("b", BORN + timedelta(minutes=1), answers=True, loaded=True, term=3)
C = Candidate("c", BORN + timedelta(minutes=2), answers=True, loaded=True)
SEAT = Seat("a", 3)
GOING = replace(A, terminating=True)
SILENT = replace(A, answers=False)
BEHIND = replace(B, loaded=False)


def to(pod: str, term: int, cause: Cause, former: str | None = None) -> Change:
    return Change(Seat(pod, term), cause, former)


@pytest.mark.parametrize(
    ("what", "seat", "pods", "change"),
    [
        ("who serves goes on", SEAT, [A, B, C], None),
        ("the first of a new server is the oldest pod", None, [C, replace(B, term=0)], to("b", 1, Cause.FIRST)),
        ("a pod that was active is found again", None, [replace(B, term=0), A], to("a", 4, Cause.FIRST)),
        ("of two the later one is", None, [replace(C, term=9, active=True), A], to("c", 10, Cause.FIRST)),
        ("one that is being deleted hands over", SEAT, [GOING, B], to("b", 4, Cause.PLANNED, "a")),
        ("but only to one that has everything", SEAT, [GOING, BEHIND], None),
        ("and to none that goes, too", SEAT, [GOING, replace(B, terminating=True)], None),
        ("one that is gone is replaced", SEAT, [B], to("b", 4, Cause.GONE)),
        ("one that is silent is replaced", SEAT, [SILENT, B], to("b", 4, Cause.SILENT)),
        ("also while it is deleted", SEAT, [replace(SILENT, terminating=True), B], to("b", 4, Cause.SILENT)),
        ("with nobody better, by one that is behind", SEAT, [SILENT, BEHIND], to("b", 4, Cause.SILENT)),
        ("by one that has everything, if older or not", SEAT, [BEHIND, C], to("c", 4, Cause.GONE)),
        ("a standby that does not answer is no heir", SEAT, [SILENT, replace(B, answers=False)], None),
        ("nobody is no heir", SEAT, [], None),
        ("a number that is behind is raised", Seat("a", 1), [A, B], to("a", 4, Cause.COUNTED)),
        ("as is one that was taken away", Seat("a", 0), [replace(A, term=0)], to("a", 1, Cause.COUNTED)),
        ("a standby that has not heard of the last term yet changes nothing", SEAT, [A, replace(B, term=2)], None),
        ("nor does an active pod that has not", SEAT, [replace(A, term=2), replace(B, term=2)], None),
    ],
)  # fmt: skip
def test_decisions(what: str, seat: Seat | None, pods: list[Candidate], change: Change | None) -> None:
    assert decide(seat, pods) == change, what
    assert decide(seat, pods[::-1]) == change, "whatever the order in which they are seen"


def test_each_change_has_a_number_that_nobody_has_seen_and_what_was_decided_stands() -> None:
    states = [
        replace(one, answers=answers, terminating=terminating, loaded=loaded, term=term)
        for one in (A, B)
        for answers, terminating, loaded, term in product((True, False), (True, False), (True, False), (0, 5))
    ]
    firsts, seconds = states[: len(states) // 2], states[len(states) // 2 :]
    for first, second, seat in product(firsts, seconds, (None, SEAT, Seat("b", 2), Seat("gone", 7))):
        change = decide(seat, [first, second])
        if change is None:
            continue
        assert change.seat.term > max(first.term, second.term, seat.term if seat else 0)
        heir = first if change.seat.pod == "a" else second
        assert heir.answers
        assert not heir.terminating
        obeyed = [replace(one, term=change.seat.term, active=one is heir) for one in (first, second)]
        assert decide(change.seat, obeyed) is None


def test_what_the_service_says_is_read_as_it_was_written() -> None:
    found = server(dataPlane={"replicas": 2})
    assert seat_of(server_pods.service(found, Seat("berlin-1", 12))) == Seat("berlin-1", 12)
    assert seat_of(server_pods.service(found)) is None
    assert seat_of(None) is None
    damaged = server_pods.service(found, Seat("berlin-1", 12))
    damaged["metadata"]["annotations"] = {}
    assert seat_of(damaged) == Seat("berlin-1", 0)


def test_one_replica_is_selected_as_ever_and_two_roll_without_a_gap() -> None:
    one, two = server(dataPlane={}), server(dataPlane={"replicas": 2})
    assert seat_of(server_pods.service(one, Seat("berlin-1", 12))) is None
    alone, pair = (server_pods.deployment(each, "i")["spec"] for each in (one, two))
    assert (alone["replicas"], alone["strategy"], pair["replicas"]) == (1, {"type": "Recreate"}, 2)
    assert pair["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert pair["minReadySeconds"] == server_pods.MIN_READY_SECONDS
    assert "podAntiAffinity" in pair["template"]["spec"]["affinity"]
    roles = [spec["template"]["spec"]["containers"][0]["args"][-1] for spec in (alone, pair)]
    assert roles == ["--role=active", "--role=standby"]
    paused = server(dataPlane={"replicas": 2}, enabled=False)
    assert server_pods.deployment(paused, "i")["spec"]["replicas"] == 0
