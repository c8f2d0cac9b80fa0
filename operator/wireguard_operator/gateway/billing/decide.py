"""What an order of the billing system changes on one peer, which is decided from the peer alone.

Webhooks are lost, sent twice, and overtake one another. An event must not be carried out because it comes last but
because it *happened* last. So the time of the newest event for each lock stands on the object, in an annotation that is
written by the same request as the lock itself: whether a process dies before or after that request, the event that
comes again finds either everything or nothing done. An old suspension that is repeated after a newer payment finds the
payment's time and does nothing, even when the payment found no lock to lift.

Of two events of the very same second the one that resumes wins, in whichever order they come: between cutting somebody
who has paid and serving somebody who has not, the first is worse.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from ...api.base import GROUP
from ...api.peer import SuspensionMode
from .events import Order

ANNOTATION = f"billing.{GROUP}/events"
"""JSON by reason: the time of the newest event, and whether it suspended."""
LOCKS = 16
"""As many as ``spec.suspensions`` may hold."""
NAME = 253
"""Characters of ``by``, as in ``spec.suspensions``."""

OLDEST = timedelta(hours=72)
"""Senders try again for a day or two; what is older is a recording."""
EARLIEST = timedelta(minutes=5)
"""How far a sender's clock may be ahead. An event from the future would outrank all that is still to happen."""


class Outcome(StrEnum):
    """What became of an order on one peer."""

    SUSPENDED = "suspended"
    RESUMED = "resumed"
    UNCHANGED = "unchanged"
    OUTDATED = "outdated"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written; ``patch`` None: nothing."""

    outcome: Outcome
    patch: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest event of one lock."""

    at: datetime
    suspend: bool


def is_timely(at: datetime, now: datetime) -> str | None:
    """Why an event of that time is refused, or None."""
    if at < now - OLDEST:
        return f"the event is of {_stamp(at)}, more than {OLDEST // timedelta(hours=1)} hours ago; it is not taken"
    if at > now + EARLIEST:
        return f"the event is of {_stamp(at)}, which is still to come: set the sender's clock"
    return None


def decide(peer: Mapping[str, Any], order: Order, at: datetime, by: str) -> Change:
    """What the order, given at that time, changes on the peer (an object as the API server has it)."""
    metadata, spec = peer["metadata"], peer["spec"]
    marks = read_marks((metadata.get("annotations") or {}).get(ANNOTATION))
    newest = marks.get(order.reason)
    mark = Mark(at, order.suspend)
    if newest == mark:
        # It was carried out before. Whoever has changed the lock since then did so knowing of it.
        return Change(Outcome.UNCHANGED)
    if newest is not None and _outranks(newest, mark):
        return Change(Outcome.OUTDATED)
    have: Sequence[Mapping[str, Any]] = spec.get("suspensions") or ()
    wanted = _with(have, order, by) if order.suspend else [lock for lock in have if lock["reason"] != order.reason]
    if len(wanted) > LOCKS:
        return Change(Outcome.FULL)
    patch: dict[str, Any] = {}
    if wanted != list(have):
        patch["spec"] = {"suspensions": wanted}
    kept = write_marks(marks | {order.reason: mark}, {lock["reason"] for lock in wanted})
    patch["metadata"] = {"annotations": {ANNOTATION: kept}}
    if "spec" not in patch:
        return Change(Outcome.UNCHANGED, patch)
    return Change(Outcome.SUSPENDED if order.suspend else Outcome.RESUMED, patch)


def by_hand(peer: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]], at: datetime) -> dict[str, str]:
    """The annotation, when a person changes the peer's locks to ``wanted``: events from before that count no more."""
    marks = read_marks((peer["metadata"].get("annotations") or {}).get(ANNOTATION))
    have = {lock["reason"] for lock in peer["spec"].get("suspensions") or ()}
    will = {lock["reason"] for lock in wanted}
    new = {reason: Mark(at, reason in will) for reason in have ^ will}
    return {ANNOTATION: write_marks(marks | new, will)} if new else {}


def _outranks(newest: Mark, other: Mark) -> bool:
    """Whether the event that is on the object stands against another one."""
    return newest.at > other.at or (newest.at == other.at and other.suspend and not newest.suspend)


def _with(have: Sequence[Mapping[str, Any]], order: Order, by: str) -> list[Mapping[str, Any]]:
    """The locks with this one in force. One that is there stays as it is but for its mode and its times."""
    lock: dict[str, Any] = {"reason": order.reason, "mode": order.mode.value, "by": by[:NAME]}
    wanted = []
    for old in have:
        if old["reason"] != order.reason:
            wanted.append(old)
            continue
        same = old.get("mode", SuspensionMode.CUT.value) == lock["mode"] and not {"since", "until"} & old.keys()
        wanted.append(old if same else lock)
    return wanted if any(old["reason"] == order.reason for old in have) else [*wanted, lock]


def read_marks(text: str | None) -> dict[str, Mark]:
    """What the annotation says. A spoilt one says nothing: the next event writes it anew."""
    try:
        return {
            reason: Mark(datetime.fromisoformat(mark["at"]).astimezone(UTC), mark["suspend"] is True)
            for reason, mark in json.loads(text or "{}").items()
        }
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError):
        return {}


def write_marks(marks: Mapping[str, Mark], locked: Iterable[str]) -> str:
    """The annotation. Of locks that are not there the oldest are forgotten first, beyond as many as there can be."""
    locked = set(locked)
    ranked = sorted(marks.items(), key=lambda item: (item[0] in locked, item[1].at), reverse=True)[: 2 * LOCKS]
    return json.dumps(
        {reason: {"at": _stamp(mark.at), "suspend": mark.suspend} for reason, mark in sorted(ranked)},
        separators=(",", ":"),
    )


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
