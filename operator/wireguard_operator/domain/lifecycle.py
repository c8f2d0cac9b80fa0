"""The life cycle of a peer: whether it belongs on the device, and if not, why.

The rules are data: an ordered list of small functions from the situation to an objection. The first objection
wins, so the order is the order of precedence. Phase and conditions follow from the verdict and from what
the device said; nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..api.base import Key, format_time
from ..api.conditions import ConditionType
from ..api.peer import PeerPhase, Suspension, SuspensionMode, WireGuardPeer
from ..api.reasons import Reason
from ..api.server import WireGuardServer
from .capabilities import System, shortfall
from .conditions import Finding, Problem
from .tenancy import admits


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the life cycle of a peer depends on."""

    peer: WireGuardPeer
    target: Key
    """Where the server is that the peer names, or that was chosen for it."""
    server: WireGuardServer | None
    now: datetime
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the peer's namespace."""
    seated: bool = False
    """The peer holds addresses of the server already."""
    system: System | None = System.OWN
    """What carries the server's peers; None: not known yet."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a peer does not belong on the device."""

    phase: PeerPhase
    reason: Reason
    message: str
    accepted: bool
    """True: the object asks for just this. False: the object waits for something or cannot be served."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A suspension that leaves the peer on the device."""

    mode: SuspensionMode
    """WalledGarden or Throttle."""
    message: str

    @property
    def reason(self) -> Reason:
        """The reason of the condition Ready."""
        return Reason.WALLED_GARDEN if self.mode is SuspensionMode.WALLED_GARDEN else Reason.THROTTLED


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided about a peer before addresses and keys are looked at."""

    objection: Objection | None = None
    restriction: Restriction | None = None
    """Of an admitted peer."""
    forgone: str = ""
    """What the peer asks for and goes without, in words."""
    until: datetime | None = None
    """When the clock alone may change it."""

    @property
    def admitted(self) -> bool:
        """Whether the peer belongs on the device."""
        return self.objection is None

    @property
    def provided_for(self) -> bool:
        """Whether the peer gets addresses and keys. One that is only switched off does, to be ready when it is back."""
        objection = self.objection
        return objection is None or objection.accepted or objection.reason is Reason.SERVER_DISABLED

    @property
    def accepted(self) -> Finding:
        """The condition Accepted."""
        if self.objection is not None and not self.objection.accepted:
            return Finding(ConditionType.ACCEPTED, False, self.objection.reason, self.objection.message)
        if self.forgone:
            return Finding(
                ConditionType.ACCEPTED, True, Reason.DEGRADED, f"the server carries this peer, but {self.forgone}"
            )
        return Finding(ConditionType.ACCEPTED, True, Reason.ACCEPTED, "the server carries this peer")


def is_hasty(peer: WireGuardPeer, now: datetime) -> bool:
    """Whether a change of the peer may be its end on the device, at a glance: then it is looked at before others."""
    spec = peer.spec
    return not spec.enabled or bool(spec.suspensions) or (spec.expires_at is not None and spec.expires_at <= now)


def _server_is_not_allowed(at: Situation) -> Objection | None:
    """A tenant must not learn which servers another one has, so a server that is not there looks the same."""
    namespace = at.peer.metadata.namespace
    if at.target.namespace == namespace or (
        at.server is not None and admits(at.server, namespace, at.namespace_labels)
    ):
        return None
    message = (
        f"namespace {namespace} may not use a WireGuardServer {at.target.name} of namespace {at.target.namespace};"
        " spec.allowedNamespaces of the server decides"
    )
    return Objection(PeerPhase.FAILED, Reason.SERVER_NOT_ALLOWED, message, accepted=False)


def _server_is_missing(at: Situation) -> Objection | None:
    if at.server is None:
        message = (
            f"there is no WireGuardServer {at.target.name} in namespace {at.target.namespace};"
            " create it or correct spec.serverRef"
        )
        return Objection(PeerPhase.PENDING, Reason.SERVER_NOT_FOUND, message, accepted=False)
    return None


def _server_goes_away(at: Situation) -> Objection | None:
    """A server that is being deleted serves the peers that it has until they are deleted or moved."""
    if at.server is not None and at.server.metadata.deletion_timestamp is not None and not at.seated:
        message = f"WireGuardServer {at.server.metadata.name} is being deleted and takes no new peers; name another"
        return Objection(PeerPhase.PENDING, Reason.SERVER_DELETING, message, accepted=False)
    return None


def _system_cannot(at: Situation) -> Objection | None:
    """Before what the peer itself asks for: it would be told that all is well until it is enabled."""
    if at.server is None or at.system is None:
        return None
    if not (refused := shortfall(at.peer.spec, at.server.spec, at.system).refused):
        return None
    message = (
        f"{at.system}, which is behind WireGuardServer {at.target.name}, cannot do {', '.join(refused)};"
        " leave that out, name another server, or allow to go without by spec.dataPlane.degradations of the server"
    )
    return Objection(PeerPhase.FAILED, Reason.NOT_SUPPORTED, message, accepted=False)


def _forgone(at: Situation) -> str:
    if at.server is None or at.system is None:
        return ""
    fields = shortfall(at.peer.spec, at.server.spec, at.system).forgone
    return f"without {', '.join(fields)}: {at.system} cannot do that" if fields else ""


def _disabled(at: Situation) -> Objection | None:
    if not at.peer.spec.enabled:
        return Objection(
            PeerPhase.DISABLED, Reason.DISABLED, "spec.enabled is false: off the device as asked", accepted=True
        )
    return None


def _expired(at: Situation) -> Objection | None:
    end = at.peer.spec.expires_at
    if end is None or at.now < end:
        return None
    message = f"expired at {format_time(end)}; a later spec.expiresAt brings the peer back"
    return Objection(PeerPhase.EXPIRED, Reason.EXPIRED, message, accepted=True)


def _suspended(at: Situation) -> Objection | None:
    locks = _locks(at)
    if not locks or _strictest(at, locks) is not SuspensionMode.CUT:
        return None
    message = "; ".join(_describe(lock) for lock in locks)
    if all(lock.mode is not SuspensionMode.CUT for lock in locks):
        # Whoever asked for less than a cut must be able to see why it is one.
        missing = {_NEEDS[lock.mode]: None for lock in locks if _in_force(at, lock) is SuspensionMode.CUT}
        message += f"; cut, since WireGuardServer {at.target.name} has no {' and no '.join(missing)}"
    return Objection(PeerPhase.SUSPENDED, Reason.SUSPENDED, message, accepted=True)


def _restriction(at: Situation) -> Restriction | None:
    """The suspension of an admitted peer."""
    locks = _locks(at)
    return Restriction(_strictest(at, locks), "; ".join(_describe(lock) for lock in locks)) if locks else None


def _locks(at: Situation) -> list[Suspension]:
    return [lock for lock in at.peer.spec.suspensions if holds(lock, at.now)]


_NEEDS = {SuspensionMode.WALLED_GARDEN: "spec.walledGarden", SuspensionMode.THROTTLE: "spec.throttle"}


def _in_force(at: Situation, lock: Suspension) -> SuspensionMode:
    """What a server cannot do is a cut: a suspension must not be without effect."""
    spec = at.server.spec if at.server is not None else None
    offered = spec is not None and (
        (lock.mode is SuspensionMode.WALLED_GARDEN and spec.walled_garden is not None)
        or (lock.mode is SuspensionMode.THROTTLE and spec.throttle is not None)
    )
    return lock.mode if offered else SuspensionMode.CUT


def _strictest(at: Situation, locks: list[Suspension]) -> SuspensionMode:
    return min((_in_force(at, lock) for lock in locks), key=list(SuspensionMode).index)


def holds(lock: Suspension, now: datetime) -> bool:
    """Whether the suspension is in force at that time."""
    return (lock.since is None or lock.since <= now) and (lock.until is None or now < lock.until)


def _describe(lock: Suspension) -> str:
    by = f" by {lock.by}" if lock.by else ""
    until = f" until {format_time(lock.until)}" if lock.until else ""
    return f"{lock.reason}{by}{until}"


def _server_is_disabled(at: Situation) -> Objection | None:
    if at.server is not None and not at.server.spec.enabled:
        message = (
            f"spec.enabled of WireGuardServer {at.server.metadata.name} is false: all its peers are off the device"
        )
        return Objection(PeerPhase.PENDING, Reason.SERVER_DISABLED, message, accepted=False)
    return None


CHECKS: tuple[Callable[[Situation], Objection | None], ...] = (
    _server_is_not_allowed,
    _server_is_missing,
    _server_goes_away,
    _system_cannot,
    # What the peer itself asks for is granted on a disabled server, too, and stays what it is when that comes back.
    _disabled,
    _expired,
    _suspended,
    _server_is_disabled,
)


def judge(situation: Situation) -> Verdict:
    """The verdict on a peer: the first objection in the order of ``CHECKS``, or none."""
    until = next_change(situation.peer, situation.now)
    for check in CHECKS:
        objection = check(situation)
        if objection is not None:
            return Verdict(objection, forgone=_forgone(situation), until=until)
    return Verdict(restriction=_restriction(situation), forgone=_forgone(situation), until=until)


def unplaced(peer: WireGuardPeer, problem: Problem, now: datetime) -> Verdict:
    """The verdict on a peer for which no server could be chosen."""
    objection = Objection(PeerPhase.PENDING, problem.reason, problem.message, accepted=False)
    return Verdict(objection, until=next_change(peer, now))


def next_change(peer: WireGuardPeer, now: datetime) -> datetime | None:
    """The next moment at which time alone may change the verdict; None: never."""
    moments = [peer.spec.expires_at, *(moment for lock in peer.spec.suspensions for moment in (lock.since, lock.until))]
    return min((moment for moment in moments if moment is not None and moment > now), default=None)
