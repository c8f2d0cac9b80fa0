"""Conditions: when their times move, and the summary that kstatus reads."""

from datetime import timedelta

import pytest

from tests.unit.domain.objects import NOW, hours, said
from wireguard_operator.api.conditions import Conditions, ConditionType
from wireguard_operator.api.peer import PeerStatus
from wireguard_operator.api.reasons import EXPLANATIONS, Reason
from wireguard_operator.domain.conditions import Finding, Problem, failed, find, is_true, merge, with_summary

READY, PROGRAMMED = ConditionType.READY, ConditionType.PROGRAMMED


def finding(
    status: bool | None = True, reason: Reason = Reason.READY, message: str = "", kind: ConditionType = READY
) -> Finding:
    return Finding(kind, status, reason, message)


def once(*findings: Finding) -> Conditions:
    return merge((), findings, 1, NOW)


@pytest.mark.parametrize(("status", "text"), [(True, "True"), (False, "False"), (None, "Unknown")])
def test_an_observation_becomes_a_condition(status: bool | None, text: str) -> None:
    conditions = merge((), [finding(status, Reason.WAITING, "for rain")], 7, NOW)
    assert PeerStatus(conditions=conditions).to_wire()["conditions"] == [
        {
            "type": "Ready",
            "status": text,
            "reason": "Waiting",
            "message": "for rain",
            "observedGeneration": 7,
            "lastTransitionTime": "2026-06-01T12:00:00Z",
        }
    ]


def test_the_transition_time_stays_while_the_status_does_whatever_else_changes() -> None:
    old = once(finding(False, Reason.WAITING, "one"))
    (new,) = merge(old, [finding(False, Reason.POOL_EXHAUSTED, "two")], 2, hours(1))
    assert new.last_transition_time == NOW
    assert (new.reason, new.message, new.observed_generation) == ("PoolExhausted", "two", 2)


@pytest.mark.parametrize(
    ("before", "after"),
    [(before, after) for before in (True, False, None) for after in (True, False, None) if before is not after],
)
def test_the_transition_time_moves_with_the_status(before: bool | None, after: bool | None) -> None:
    (new,) = merge(once(finding(before)), [finding(after)], 1, hours(1))
    assert new.last_transition_time == hours(1)


def test_times_are_whole_seconds_so_that_what_is_read_back_is_equal() -> None:
    (new,) = merge((), [finding()], 1, NOW + timedelta(microseconds=999_999))
    assert new.last_transition_time == NOW


def test_types_do_not_get_in_each_others_way_and_those_without_a_finding_go() -> None:
    old = once(finding(), finding(False, Reason.WAITING, kind=ConditionType.RECONCILING))
    new = merge(old, [finding(None, Reason.WAITING, kind=PROGRAMMED), finding()], 1, hours(1))
    assert said(new) == {"Programmed": "Unknown Waiting", "Ready": "True Ready"}
    assert [condition.last_transition_time for condition in new] == [hours(1), NOW]


def test_a_condition_that_comes_back_begins_anew() -> None:
    gone = merge(once(finding(True, kind=ConditionType.STALLED)), [finding()], 1, hours(1))
    back = merge(gone, [finding(True, kind=ConditionType.STALLED)], 1, hours(2))
    assert back[0].last_transition_time == hours(2)


def test_the_same_findings_change_nothing() -> None:
    findings = [finding(False, Reason.WAITING, "m", PROGRAMMED), finding()]
    old = merge((), findings, 1, NOW)
    assert merge(old, findings, 1, hours(5)) == old


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("status", [True, False, None])
def test_not_ready_is_either_stalled_or_reconciling_and_ready_is_neither(reason: Reason, status: bool | None) -> None:
    ready = finding(status, reason, "why")
    summary = with_summary(ready)
    assert summary[0] == ready
    if status:
        assert summary[1:] == []
        return
    kind = ConditionType.STALLED if EXPLANATIONS[reason].lasting else ConditionType.RECONCILING
    assert summary[1:] == [Finding(kind, True, reason, "why")]


def test_a_problem_is_a_condition_that_is_false() -> None:
    problem = Problem(Reason.KEY_INVALID, "no key")
    assert failed(PROGRAMMED, problem) == Finding(PROGRAMMED, False, Reason.KEY_INVALID, "no key")


def test_a_condition_is_found_by_its_type_and_counts_only_when_it_is_true() -> None:
    conditions = once(finding(), finding(None, Reason.WAITING, kind=PROGRAMMED))
    assert find(conditions, READY) == conditions[0]
    assert find(conditions, ConditionType.STALLED) is None
    assert is_true(conditions, READY)
    assert not is_true(conditions, PROGRAMMED) and not is_true(conditions, ConditionType.STALLED)


def test_every_reason_is_explained() -> None:
    assert set(EXPLANATIONS) == set(Reason)
