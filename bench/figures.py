"""What a row of the benchmark hands back: figures with their goals, and how each was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that a figure should keep."""

    limit: float
    at_least: bool = False
    """True: the limit is a lower one."""

    def met(self, value: float) -> bool:
        """Whether ``value`` keeps the limit."""
        return value >= self.limit if self.at_least else value <= self.limit


def at_most(limit: float) -> Goal:
    """An upper limit."""
    return Goal(limit)


def at_least(limit: float) -> Goal:
    """A lower limit."""
    return Goal(limit, at_least=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    row: str
    name: str
    value: float
    unit: str
    """As in "ms", "MiB", "ratio"; "count" for a plain number."""
    how: str
    """What was measured, in one sentence: nobody can judge a number without it."""
    goal: Goal | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Whatever helps to understand the number; plain JSON."""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        return self.goal.met(self.value) if self.goal is not None else None

    def as_json(self) -> dict[str, Any]:
        """The figure as it stands in the JSON file."""
        goal = {"at_least" if self.goal.at_least else "at_most": self.goal.limit} if self.goal else None
        return {
            "row": self.row,
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "goal": goal,
            "met": self.met,
            "how": self.how,
            "detail": dict(self.detail),
        }


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least ``share`` (0 to 1) of all samples do not exceed: the nearest-rank method."""
    if not samples:
        raise ValueError("a percentile of no samples does not exist")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(samples: Sequence[float]) -> dict[str, Any]:
    """What is worth knowing about samples beside one percentile."""
    return {
        "samples": len(samples),
        **{name: round(percentile(samples, share), 2) for name, share in _SHARES.items()},
    }


_SHARES = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
