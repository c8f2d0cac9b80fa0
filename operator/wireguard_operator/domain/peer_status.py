"""A peer's status, composed from what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..api.base import Key
from ..api.conditions import ConditionType
from ..api.peer import (
    PeerPhase,
    PeerStatus,
    PreviousKey,
    SecretBinding,
    ServerBinding,
    SuspensionMode,
    Traffic,
    WireGuardPeer,
)
from ..api.reasons import Reason, is_lasting
from .conditions import Finding, Problem, failed, find, merge, with_summary
from .key_ring import KeyRing
from .lifecycle import Verdict

_RESTRICTED = {SuspensionMode.WALLED_GARDEN: ", in the walled garden", SuspensionMode.THROTTLE: ", throttled"}


@dataclass(slots=True)
class PeerFacts:
    """What was found out about one peer so far."""

    verdict: Verdict | None = None
    addresses: tuple[str, ...] = ()
    seated: bool = False
    """The peer has a place on the server, whose own system gives it addresses."""
    address_problem: Problem | None = None
    routes: tuple[str, ...] = ()
    route_problem: Problem | None = None
    ring: KeyRing | None = None
    """The keys, as they are in the Secret."""
    secret_name: str | None = None
    config_revision: str | None = None
    key_problem: Problem | None = None
    on_device: bool = False
    """The device carries the peer, by all that the agent has said so far."""
    settled: bool = False
    """The agent has acknowledged just what is wanted now."""
    program_problem: Problem | None = None
    online: bool = False
    last_handshake: datetime | None = None
    endpoint: str | None = None
    traffic: Traffic | None = None
    stats_time: datetime | None = None

    @property
    def programmed(self) -> bool:
        """On the device, just as wanted."""
        return self.on_device and self.settled


def recall(peer: WireGuardPeer) -> PeerFacts:
    """What an earlier process wrote into the status and only it can know: the device's side.

    The tunnels go on while no controller runs; a new one must not take back what is true.
    """
    status = peer.status
    programmed = find(status.conditions, ConditionType.PROGRAMMED)
    return PeerFacts(
        addresses=status.addresses,
        on_device=programmed is not None and programmed.status != "False",
        settled=programmed is not None
        and (programmed.status, programmed.reason) == ("True", Reason.PROGRAMMED)
        and status.observed_generation == peer.metadata.generation,
        online=bool(status.online),
        last_handshake=status.last_handshake_time,
        endpoint=status.endpoint,
        traffic=status.traffic,
        stats_time=status.last_stats_time,
    )


def compose(peer: WireGuardPeer, facts: PeerFacts, server: Key | None, now: datetime) -> PeerStatus:
    """The status that ``facts`` amount to. Raises ValueError before the life cycle has judged."""
    if facts.verdict is None:
        raise ValueError("no verdict yet")
    generation = peer.metadata.generation
    # What is not known (yet) stays as it was said: that there were keys is what tells lost ones from none.
    ring, said = facts.ring, peer.status
    previous = (
        PreviousKey(public_key=ring.previous.public, until=ring.previous.until) if ring and ring.previous else None
    )
    return PeerStatus(
        observed_generation=generation,
        phase=_phase(facts, facts.verdict),
        conditions=merge(peer.status.conditions, _findings(facts, facts.verdict), generation, now),
        server_ref=ServerBinding(name=server.name, namespace=server.namespace) if server else None,
        addresses=facts.addresses,
        routes=facts.routes,
        public_key=(ring.current.public if ring.current.token is None else None) if ring else said.public_key,
        key_generation=ring.generation if ring else said.key_generation,
        previous_key=previous if ring else said.previous_key,
        secret_ref=SecretBinding(name=facts.secret_name) if facts.secret_name else said.secret_ref,
        config_revision=facts.config_revision or said.config_revision,
        online=facts.online and facts.on_device,
        last_handshake_time=facts.last_handshake,
        endpoint=facts.endpoint,
        traffic=facts.traffic,
        last_stats_time=facts.stats_time,
    )


def _phase(facts: PeerFacts, verdict: Verdict) -> PeerPhase:
    if verdict.objection is not None:
        return PeerPhase.PENDING if facts.on_device else verdict.objection.phase
    if facts.programmed and verdict.restriction is not None:
        return PeerPhase.SUSPENDED
    if facts.programmed:
        return PeerPhase.ACTIVE if facts.online else PeerPhase.INACTIVE
    problem = facts.address_problem or facts.key_problem or facts.program_problem
    return PeerPhase.FAILED if problem is not None and is_lasting(problem.reason) else PeerPhase.PENDING


def _findings(facts: PeerFacts, verdict: Verdict) -> list[Finding]:
    steps = [verdict.accepted, _allocated(facts), _keys(facts), _programmed(facts, verdict)]
    return [*steps, *with_summary(_ready(steps, verdict))]


def _allocated(facts: PeerFacts) -> Finding:
    kind = ConditionType.ADDRESS_ALLOCATED
    problem = facts.address_problem or facts.route_problem
    if problem:
        return failed(kind, problem)
    if facts.seated:
        return Finding(kind, True, Reason.ALLOCATED, "the system behind the server gives the client its addresses")
    if not facts.addresses:
        return Finding(kind, None, Reason.WAITING, "no address yet")
    return Finding(kind, True, Reason.ALLOCATED, ", ".join((*facts.addresses, *facts.routes)))


def _keys(facts: PeerFacts) -> Finding:
    kind = ConditionType.KEYS_READY
    if facts.key_problem:
        return failed(kind, facts.key_problem)
    if facts.secret_name is None or facts.ring is None:
        return Finding(kind, None, Reason.WAITING, "no keys yet")
    if facts.ring.current.token is not None:
        message = f"the token for Firezone's client is in Secret {facts.secret_name}"
        return Finding(kind, True, Reason.KEYS_READY, message)
    where = f"keys and wg0.conf are in Secret {facts.secret_name}"
    if facts.ring.previous is not None:
        until = facts.ring.previous.until
        message = f"new {where}; the former key works until they are used, at most until {until:%Y-%m-%d %H:%M:%S} UTC"
        return Finding(kind, True, Reason.KEYS_ROTATING, message)
    return Finding(kind, True, Reason.KEYS_READY, where)


def _programmed(facts: PeerFacts, verdict: Verdict) -> Finding:
    kind = ConditionType.PROGRAMMED
    if verdict.objection is not None:
        if facts.on_device:
            message = "still on the device; the agent has not confirmed the removal yet"
            return Finding(kind, True, Reason.REMOVING, message)
        return Finding(kind, False, verdict.objection.reason, "not on the device")
    if facts.programmed:
        how = _RESTRICTED[verdict.restriction.mode] if verdict.restriction is not None else ""
        return Finding(kind, True, Reason.PROGRAMMED, f"on the device{how}")
    problem = facts.program_problem
    if facts.on_device:
        # Never False: whoever waits for that wants to know that the tunnel is cut.
        reason, why = (problem.reason, f": {problem.message}") if problem else (Reason.WAITING, "")
        return Finding(kind, None, reason, f"on the device as it was before; the change is not confirmed yet{why}")
    return failed(kind, problem) if problem else Finding(kind, False, Reason.WAITING, "not yet on the device")


def _ready(steps: list[Finding], verdict: Verdict) -> Finding:
    """True when the world is as the spec says, which for a disabled peer is to be off the device."""
    objection = verdict.objection
    accepted, programmed = steps[0], steps[-1]
    if objection is not None and objection.accepted:
        if programmed.status is False:
            return Finding(ConditionType.READY, True, objection.reason, objection.message)
        return Finding(ConditionType.READY, False, programmed.reason, programmed.message)
    missing = [finding for finding in steps if not finding.status]
    if not missing and verdict.restriction is not None:
        return Finding(ConditionType.READY, True, verdict.restriction.reason, verdict.restriction.message)
    if not missing:
        return Finding(ConditionType.READY, True, Reason.READY, accepted.message)
    # A step that only waits must not hide what it waits for.
    first = next((finding for finding in missing if finding.reason is not Reason.WAITING), missing[0])
    return Finding(ConditionType.READY, False, first.reason, first.message)
