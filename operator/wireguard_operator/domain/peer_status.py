"""A peer's status, composed from what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..api.conditions import ConditionType
from ..api.peer import PeerPhase, PeerStatus, SecretBinding, ServerBinding, Traffic, WireGuardPeer
from .conditions import Finding, is_true, merge
from .lifecycle import Verdict


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a step did not succeed."""

    reason: str
    message: str
    passing: bool = False
    """True: it is being tried again, and nobody has to do anything."""


@dataclass(slots=True)
class PeerFacts:
    """What the pipeline found out about one peer so far."""

    verdict: Verdict | None = None
    addresses: tuple[str, ...] = ()
    address_problem: Problem | None = None
    public_key: str | None = None
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
    programmed = is_true(status.conditions, ConditionType.PROGRAMMED)
    return PeerFacts(
        on_device=programmed,
        settled=programmed and status.observed_generation == peer.metadata.generation,
        online=bool(status.online),
        last_handshake=status.last_handshake_time,
        endpoint=status.endpoint,
        traffic=status.traffic,
        stats_time=status.last_stats_time,
    )


def compose(peer: WireGuardPeer, facts: PeerFacts, server: ServerBinding | None, now: datetime) -> PeerStatus:
    """The status that ``facts`` amount to. Raises ValueError before the life cycle has judged."""
    if facts.verdict is None:
        raise ValueError("no verdict yet")
    generation = peer.metadata.generation
    findings = _findings(facts, facts.verdict)
    return PeerStatus(
        observed_generation=generation,
        phase=_phase(facts, facts.verdict),
        conditions=merge(peer.status.conditions, findings, generation, now),
        server_ref=server,
        addresses=facts.addresses,
        public_key=facts.public_key,
        secret_ref=SecretBinding(name=facts.secret_name) if facts.secret_name else None,
        config_revision=facts.config_revision,
        online=facts.online and facts.on_device,
        last_handshake_time=facts.last_handshake,
        endpoint=facts.endpoint,
        traffic=facts.traffic,
        last_stats_time=facts.stats_time,
    )


def _phase(facts: PeerFacts, verdict: Verdict) -> PeerPhase:
    if verdict.objection is not None:
        return PeerPhase.PENDING if facts.on_device else verdict.objection.phase
    problem = facts.address_problem or facts.key_problem or facts.program_problem
    if problem is not None and not facts.programmed:
        return PeerPhase.PENDING if problem.passing else PeerPhase.FAILED
    if not facts.programmed:
        return PeerPhase.PENDING
    return PeerPhase.ACTIVE if facts.online else PeerPhase.INACTIVE


def _findings(facts: PeerFacts, verdict: Verdict) -> list[Finding]:
    accepted = verdict.accepted
    steps = [accepted, _allocated(facts), _keys(facts), _programmed(facts, verdict)]
    return [*steps, _ready(steps, verdict)]


def _allocated(facts: PeerFacts) -> Finding:
    kind = ConditionType.ADDRESS_ALLOCATED
    if facts.address_problem:
        return Finding(kind, False, facts.address_problem.reason, facts.address_problem.message)
    if not facts.addresses:
        return Finding(kind, None, "Waiting", "no address yet")
    return Finding(kind, True, "Allocated", ", ".join(facts.addresses))


def _keys(facts: PeerFacts) -> Finding:
    kind = ConditionType.KEYS_READY
    if facts.key_problem:
        return Finding(kind, False, facts.key_problem.reason, facts.key_problem.message)
    if facts.secret_name is None:
        return Finding(kind, None, "Waiting", "no keys yet")
    return Finding(kind, True, "KeysReady", f"keys and wg0.conf are in Secret {facts.secret_name}")


def _programmed(facts: PeerFacts, verdict: Verdict) -> Finding:
    kind = ConditionType.PROGRAMMED
    if verdict.objection is not None:
        if facts.on_device:
            return Finding(kind, True, "Removing", "still on the device; the agent has not confirmed the removal yet")
        return Finding(kind, False, verdict.objection.reason, "not on the device")
    if facts.programmed:
        return Finding(kind, True, "Programmed", "on the device")
    if facts.program_problem is not None:
        return Finding(kind, False, facts.program_problem.reason, facts.program_problem.message)
    return Finding(kind, None, "Waiting", "not yet on the device")


def _ready(steps: list[Finding], verdict: Verdict) -> Finding:
    """True when the world is as the spec says, which for a disabled peer is to be off the device."""
    objection = verdict.objection
    accepted, programmed = steps[0], steps[-1]
    if objection is not None and objection.accepted and programmed.status is False:
        return Finding(ConditionType.READY, True, objection.reason, objection.message)
    for finding in steps:
        if not finding.status:
            return Finding(ConditionType.READY, False, finding.reason, finding.message)
    return Finding(ConditionType.READY, True, "Ready", accepted.message)
