"""Conditions: observations become entries whose transition time moves only when the status does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..api.conditions import Condition, Conditions, ConditionType
from ..api.reasons import Reason, is_lasting


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step did not succeed."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation, before it is known whether it is news."""

    type: ConditionType
    status: bool | None
    """None is Unknown."""
    reason: Reason
    message: str = ""


def failed(kind: ConditionType, problem: Problem) -> Finding:
    """The step did not succeed."""
    return Finding(kind, False, problem.reason, problem.message)


def with_summary(ready: Finding) -> list[Finding]:
    """Ready, and what kstatus needs to tell work in progress from failure (both are there only while True)."""
    if ready.status:
        return [ready]
    kind = ConditionType.STALLED if is_lasting(ready.reason) else ConditionType.RECONCILING
    return [ready, Finding(kind, True, ready.reason, ready.message)]


def merge(old: Conditions, findings: Iterable[Finding], generation: int, now: datetime) -> Conditions:
    """The conditions that ``findings`` amount to; types without a finding are dropped."""
    before = {condition.type: condition for condition in old}
    return tuple(_condition(before.get(finding.type), finding, generation, now) for finding in findings)


def find(conditions: Conditions, kind: ConditionType) -> Condition | None:
    """The condition of that type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Conditions, kind: ConditionType) -> bool:
    """Whether the condition is there and True."""
    condition = find(conditions, kind)
    return condition is not None and condition.status == "True"


def _condition(old: Condition | None, finding: Finding, generation: int, now: datetime) -> Condition:
    status = {True: "True", False: "False", None: "Unknown"}[finding.status]
    return Condition(
        type=finding.type.value,
        status=status,
        reason=finding.reason.value,
        message=finding.message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time
        if old is not None and old.status == status
        else now.replace(microsecond=0),
    )
