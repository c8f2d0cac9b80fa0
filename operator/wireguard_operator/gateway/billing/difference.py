"""The difference between who should be suspended and who is.

A declaration names all subscribers who are to have a lock of one reason. Whoever has it and is not named loses it, also
when a person placed it: the reason belongs to whoever declares. Peers without a subscriber are nobody's and are left
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ...api.base import Key
from .decide import Outcome, decide
from .events import Order


@dataclass(frozen=True, slots=True)
class Declaration:
    """Who is to be suspended, and no one else."""

    order: Order
    """How; its reason is the one that is declared about."""
    subscribers: frozenset[str]
    customers: frozenset[str]
    as_of: datetime
    """When this was so in the billing system. What happened to a peer later than this stands."""


@dataclass(frozen=True, slots=True)
class Step:
    """One peer that is not as declared."""

    peer: Key
    order: Order
    outcome: Outcome
    """What the order would do."""

    @property
    def changes(self) -> bool:
        """Whether carrying it out changes anything."""
        return self.outcome in (Outcome.SUSPENDED, Outcome.RESUMED)


@dataclass(slots=True)
class Difference:
    """What a declaration would change."""

    steps: dict[Key, Step] = field(default_factory=dict)
    """By peer, since a list that had to be started again tells of some peers twice."""
    seen: set[Key] = field(default_factory=set)
    """Peers that have a subscriber."""
    found_subscribers: set[str] = field(default_factory=set)
    found_customers: set[str] = field(default_factory=set)

    def changes(self, suspend: bool) -> list[Step]:
        """Those to suspend, or those to resume, by name."""
        chosen = (step for step in self.steps.values() if step.changes and step.order.suspend is suspend)
        return sorted(chosen, key=lambda step: step.peer)

    def percent(self) -> float:
        """Changed peers of all peers that have a subscriber."""
        changed = sum(step.changes for step in self.steps.values())
        return 100 * changed / len(self.seen) if self.seen else 0.0

    def look_at(self, peer: Mapping[str, Any], declared: Declaration, by: str) -> None:
        """Compare one more peer (an object as the API server has it)."""
        subscriber = peer["spec"].get("subscriber") or {}
        subscriber_id: str = subscriber.get("subscriberId") or ""
        customer_id: str = subscriber.get("customerId") or ""
        if not subscriber_id and not customer_id:
            return
        key = Key(peer["metadata"]["namespace"], peer["metadata"]["name"])
        self.seen.add(key)
        self.steps.pop(key, None)
        named = (subscriber_id in declared.subscribers, customer_id in declared.customers)
        if named[0]:
            self.found_subscribers.add(subscriber_id)
        if named[1]:
            self.found_customers.add(customer_id)
        order = declared.order if any(named) else Order(declared.order.reason, suspend=False)
        has_lock = any(lock["reason"] == order.reason for lock in peer["spec"].get("suspensions") or ())
        if not order.suspend and not has_lock:
            return
        outcome = decide(peer, order, declared.as_of, by).outcome
        if outcome is not Outcome.UNCHANGED and not (outcome is Outcome.OUTDATED and order.suspend is has_lock):
            self.steps[key] = Step(key, order, outcome)

    def unknown(self, declared: Declaration) -> tuple[list[str], list[str]]:
        """Subscribers and customers that no peer has."""
        return (
            sorted(declared.subscribers - self.found_subscribers),
            sorted(declared.customers - self.found_customers),
        )


def compare(peers: Iterable[Mapping[str, Any]], declared: Declaration, by: str) -> Difference:
    """The difference for all these peers."""
    difference = Difference()
    for peer in peers:
        difference.look_at(peer, declared, by)
    return difference


def objection(difference: Difference, max_percent: float) -> str | None:
    """Why the difference is too large to be believed, or None. One peer alone is always believed."""
    changed = sum(step.changes for step in difference.steps.values())
    percent = difference.percent()
    if changed <= 1 or percent <= max_percent:
        return None
    return (
        f"{changed} of {len(difference.seen)} peers would change, {percent:.1f} % and more than the"
        f" {max_percent:g} % of guard.max_percent: look whether the list is whole, then send guard.force"
    )
