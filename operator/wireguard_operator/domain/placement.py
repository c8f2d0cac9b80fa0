"""Which server carries a peer that asks for any that matches.

The rules are data: an ordered list of small functions from a candidate to the reason why it is passed over. One whose
system cannot do what the peer asks for is passed over, too. Of those that are left the least utilised wins; servers
that are Ready come first, then those that need not leave anything out, and names decide between equals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..api.base import Key
from ..api.peer import WireGuardPeer
from ..api.reasons import Reason
from ..api.selectors import ServerSelector
from ..api.server import WireGuardServer
from .capabilities import Shortfall, System, shortfall
from .conditions import Problem
from .tenancy import admits, is_at, matches

NAMED = 5
"""Servers that a message names before it only counts them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server as far as the choice depends on it."""

    server: WireGuardServer
    peers: int
    """Peers that are bound to it."""
    capacity: int
    ready: bool
    system: System | None = System.OWN
    """What carries its peers; None: not known yet."""
    full: str | None = None
    """Why it has no room although it should have by number, e.g. because its free addresses rest."""

    @property
    def utilization(self) -> float:
        """0 is empty, 1 is full."""
        return self.peers / self.capacity if self.capacity else 1.0


def choose(
    peer: WireGuardPeer,
    selector: ServerSelector,
    candidates: Iterable[Candidate],
    namespace_labels: Mapping[str, str],
) -> Key | Problem:
    """The server for a peer, or why there is none."""
    admitting = (c for c in candidates if admits(c.server, peer.metadata.namespace, namespace_labels))
    # In order, so that the same situation makes the same message.
    visible = sorted(admitting, key=lambda c: c.server.key)
    matching = [c for c in visible if _is_wanted(c, selector)]
    lacking = {c.server.key: _lacking(c, peer) for c in matching}
    reasons = [(c, objection(c) or _incapable(c, lacking[c.server.key])) for c in matching]
    passed_over = [(c, reason) for c, reason in reasons if reason is not None]
    left = [c for c, reason in reasons if reason is None]
    if left:
        best = min(left, key=lambda c: (not c.ready, len(lacking[c.server.key].forgone), c.utilization, c.server.key))
        return best.server.key
    return Problem(Reason.NO_SERVER_AVAILABLE, _explain(visible, matching, passed_over))


def objection(candidate: Candidate) -> str | None:
    """Why no selector may choose the server now, in a few words; None when one may."""
    return next((reason for check in CHECKS if (reason := check(candidate)) is not None), None)


def _lacking(candidate: Candidate, peer: WireGuardPeer) -> Shortfall:
    if candidate.system is None:
        return Shortfall()
    return shortfall(peer.spec, candidate.server.spec, candidate.system)


def _incapable(candidate: Candidate, lacking: Shortfall) -> str | None:
    return f"cannot do {', '.join(lacking.refused)} ({candidate.system})" if lacking.refused else None


def _is_wanted(candidate: Candidate, selector: ServerSelector) -> bool:
    server = candidate.server
    if selector.location is not None and not is_at(server.spec.location, selector.location):
        return False
    return matches(selector, server.metadata.labels)


def _is_deleting(candidate: Candidate) -> str | None:
    return "is being deleted" if candidate.server.metadata.deletion_timestamp is not None else None


def _is_disabled(candidate: Candidate) -> str | None:
    return None if candidate.server.spec.enabled else "is disabled"


def _is_in_maintenance(candidate: Candidate) -> str | None:
    return "is in maintenance" if candidate.server.spec.maintenance.enabled else None


def _has_no_room(candidate: Candidate) -> str | None:
    if candidate.peers >= candidate.capacity:
        return f"is full ({candidate.peers} of {candidate.capacity} peers)"
    return f"is full ({candidate.full})" if candidate.full else None


CHECKS: tuple[Callable[[Candidate], str | None], ...] = (
    _is_deleting,
    _is_disabled,
    _is_in_maintenance,
    _has_no_room,
)


def _explain(visible: list[Candidate], matching: list[Candidate], passed_over: list[tuple[Candidate, str]]) -> str:
    if not visible:
        return "no WireGuardServer admits peers of this namespace"
    if not matching:
        names = ", ".join(str(c.server.key) for c in visible[:NAMED])
        return f"spec.serverSelector matches none of the {len(visible)} servers that admit this namespace: {names}"
    named = "; ".join(f"{c.server.key} {reason}" for c, reason in passed_over[:NAMED])
    more = len(passed_over) - NAMED
    return named + (f"; and {more} more" if more > 0 else "")
