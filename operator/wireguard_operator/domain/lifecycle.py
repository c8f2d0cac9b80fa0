"""The life cycle of a peer: whether it belongs on the device, and if not, why.

The rules are data: an ordered list of small functions from the situation to an objection. The first objection
wins, so the order is the order of precedence. Phase and conditions follow from the verdict and from what
the device said; nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ..api.base import format_time
from ..api.conditions import ConditionType
from ..api.peer import PeerPhase, Suspension, WireGuardPeer
from ..api.server import WireGuardServer
from .conditions import Finding


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the life cycle of a peer depends on."""

    peer: WireGuardPeer
    server: WireGuardServer | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a peer does not belong on the device."""

    phase: PeerPhase
    reason: str
    message: str
    accepted: bool
    """True: the object asks for just this. False: the object waits for something or cannot be served."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about a peer before addresses and keys are looked at."""

    objection: Objection | None = None
    until: datetime | None = None
    """When the clock alone may change it."""

    @property
    def admitted(self) -> bool:
        """Whether the peer belongs on the device."""
        return self.objection is None

    @property
    def accepted(self) -> Finding:
        """The condition Accepted."""
        if self.objection is not None and not self.objection.accepted:
            return Finding(ConditionType.ACCEPTED, False, self.objection.reason, self.objection.message)
        return Finding(ConditionType.ACCEPTED, True, "Accepted", "the server carries this peer")


def _server_is_missing(at: Situation) -> Objection | None:
    if at.server is None:
        name = at.peer.spec.server_ref.name
        message = f"there is no WireGuardServer {name} in namespace {at.peer.metadata.namespace}"
        return Objection(PeerPhase.PENDING, "ServerNotFound", message, accepted=False)
    return None


def _server_goes_away(at: Situation) -> Objection | None:
    if at.server is not None and at.server.metadata.deletion_timestamp is not None:
        message = f"WireGuardServer {at.server.metadata.name} is being deleted"
        return Objection(PeerPhase.PENDING, "ServerDeleting", message, accepted=False)
    return None


def _disabled(at: Situation) -> Objection | None:
    if not at.peer.spec.enabled:
        return Objection(
            PeerPhase.DISABLED, "Disabled", "spec.enabled is false: off the device as asked", accepted=True
        )
    return None


def _expired(at: Situation) -> Objection | None:
    end = at.peer.spec.expires_at
    if end is None or at.now < end:
        return None
    message = f"expired at {format_time(end)}; a later spec.expiresAt brings the peer back"
    return Objection(PeerPhase.EXPIRED, "Expired", message, accepted=True)


def _suspended(at: Situation) -> Objection | None:
    locks = [lock for lock in at.peer.spec.suspensions if _holds(lock, at.now)]
    if not locks:
        return None
    return Objection(PeerPhase.SUSPENDED, "Suspended", "; ".join(_describe(lock) for lock in locks), accepted=True)


def _holds(lock: Suspension, now: datetime) -> bool:
    return (lock.since is None or lock.since <= now) and (lock.until is None or now < lock.until)


def _describe(lock: Suspension) -> str:
    by = f" by {lock.by}" if lock.by else ""
    until = f" until {format_time(lock.until)}" if lock.until else ""
    return f"{lock.reason}{by}{until}"


CHECKS: tuple[Callable[[Situation], Objection | None], ...] = (
    _server_is_missing,
    _server_goes_away,
    _disabled,
    _expired,
    _suspended,
)


def judge(situation: Situation) -> Verdict:
    """The verdict on a peer: the first objection in the order of ``CHECKS``, or none."""
    until = next_change(situation.peer, situation.now)
    for check in CHECKS:
        objection = check(situation)
        if objection is not None:
            return Verdict(objection, until)
    return Verdict(None, until)


def next_change(peer: WireGuardPeer, now: datetime) -> datetime | None:
    """The next moment at which time alone may change the verdict; None: never."""
    moments = [peer.spec.expires_at, *(moment for lock in peer.spec.suspensions for moment in (lock.since, lock.until))]
    return min((moment for moment in moments if moment is not None and moment > now), default=None)
