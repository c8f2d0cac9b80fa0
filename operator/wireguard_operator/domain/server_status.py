"""A server's status, composed from what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..api.conditions import ConditionType
from ..api.reasons import Reason
from ..api.server import (
    DataPlaneStatus,
    PeerCounts,
    ServerPhase,
    ServerStatus,
    ServerTraffic,
    WireGuardServer,
)
from .conditions import Finding, Problem, failed, merge, with_summary


@dataclass(slots=True)
class ServerFacts:
    """What was found out about one server so far."""

    public_key: str | None = None
    key_generation: int | None = None
    endpoint: str | None = None
    networks: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    capacity: int | None = None
    agent_secret: str | None = None
    key_keeper: str | None = None
    """The foreign system that has the server's key."""
    endpoint_problem: Problem | None = None
    pod_problem: Problem | None = None
    """Why there are no pods as there should be."""
    warnings: tuple[str, ...] = ()
    """What keeps the server from serving all that one would expect."""
    standby_problem: Problem | None = None
    """Why no pod could take over, where one should."""
    network_problem: Problem | None = None
    key_problem: Problem | None = None
    room_problem: Problem | None = None
    """Why the last peer that asked got no address; None once there is room again."""
    programmed: bool = False
    """The agent has acknowledged the desired state of some moment since it was last lost."""
    program_problem: Problem | None = None
    data_plane: DataPlaneStatus | None = None
    waits_for: tuple[str, ...] = ()
    """Peers that keep the server from being deleted."""
    peers: PeerCounts = field(default_factory=PeerCounts)
    traffic: ServerTraffic = field(default_factory=ServerTraffic)
    stats_time: datetime | None = None


def recall(server: WireGuardServer) -> ServerFacts:
    """What an earlier process wrote and must not be forgotten before it is found again.

    That there was a key is what tells a lost one from none; the networks in force may be others than the specified.
    """
    status = server.status
    return ServerFacts(
        public_key=status.public_key,
        key_generation=status.key_generation,
        endpoint=status.endpoint,
        networks=status.networks,
        addresses=status.addresses,
    )


STATS_TIME_AGE = timedelta(minutes=10)
"""How old ``lastStatsTime`` may get while all the rest stays the same: an idle server costs no write at each poll."""
NAMED = 5
"""Peers that a message names before it only counts them."""


def compose(server: WireGuardServer, facts: ServerFacts, now: datetime) -> ServerStatus:
    """The status that ``facts`` amount to."""
    generation, said = server.metadata.generation, server.status
    stats_time = facts.stats_time or said.last_stats_time
    if (facts.peers, facts.traffic) == (said.peers, said.traffic) and _is_recent(said.last_stats_time, now):
        stats_time = said.last_stats_time  # that nothing happened is no news
    return ServerStatus(
        observed_generation=generation,
        phase=_phase(server, facts),
        conditions=merge(server.status.conditions, _findings(server, facts), generation, now),
        public_key=facts.public_key,
        key_generation=facts.key_generation,
        endpoint=facts.endpoint,
        addresses=facts.addresses,
        networks=facts.networks,
        capacity=facts.capacity,
        utilization_percent=100 * facts.peers.total // facts.capacity if facts.capacity else None,
        peers=facts.peers,
        traffic=facts.traffic,
        last_stats_time=stats_time,
        data_plane=facts.data_plane,
    )


def _is_recent(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and now - moment < STATS_TIME_AGE


def _phase(server: WireGuardServer, facts: ServerFacts) -> ServerPhase:
    if not server.spec.enabled:
        return ServerPhase.INACTIVE
    if all(finding.status for finding in _steps(facts)):
        return ServerPhase.MAINTENANCE if server.spec.maintenance.enabled else ServerPhase.ACTIVE
    return ServerPhase.DEGRADED if facts.data_plane is not None else ServerPhase.INACTIVE


def _findings(server: WireGuardServer, facts: ServerFacts) -> list[Finding]:
    steps = _steps(facts)
    return [*steps, _available(server, facts), *_lacks(server, facts), *with_summary(_ready(server, facts, steps))]


def _lacks(server: WireGuardServer, facts: ServerFacts) -> list[Finding]:
    """What a server that serves does not have; of several the one that concerns most subscribers gives the reason."""
    lack = Reason.SYSTEM_DRIFTED if server.spec.data_plane.type.is_foreign else Reason.FORWARDING_OFF
    found = [Problem(lack, "; ".join(facts.warnings))] if facts.warnings else []
    found += [facts.standby_problem] if facts.standby_problem is not None else []
    text = "; ".join(problem.message for problem in found)
    return [Finding(ConditionType.DEGRADED, True, found[0].reason, text)] if found else []


def _steps(facts: ServerFacts) -> list[Finding]:
    return [_accepted(facts), _keys(facts), _programmed(facts)]


def _accepted(facts: ServerFacts) -> Finding:
    if facts.network_problem:
        return failed(ConditionType.ACCEPTED, facts.network_problem)
    return Finding(ConditionType.ACCEPTED, True, Reason.ACCEPTED, "the specification is in order")


def _keys(facts: ServerFacts) -> Finding:
    kind = ConditionType.KEYS_READY
    if facts.key_problem:
        return failed(kind, facts.key_problem)
    if facts.key_keeper is not None:
        return Finding(kind, True, Reason.KEYS_READY, f"{facts.key_keeper} keeps the server's key")
    if facts.public_key is None or facts.agent_secret is None:
        return Finding(kind, None, Reason.WAITING, "no keys yet")
    return Finding(kind, True, Reason.KEYS_READY, f"the agent's certificate is in Secret {facts.agent_secret}")


def _programmed(facts: ServerFacts) -> Finding:
    kind = ConditionType.PROGRAMMED
    problem = facts.pod_problem or facts.endpoint_problem or facts.program_problem
    if problem:
        return failed(kind, problem)
    if facts.programmed:
        return Finding(kind, True, Reason.PROGRAMMED, "the device is as desired")
    return Finding(kind, None, Reason.WAITING, "waiting for the agent")


def _available(server: WireGuardServer, facts: ServerFacts) -> Finding:
    kind = ConditionType.AVAILABLE
    if server.metadata.deletion_timestamp is not None:
        return Finding(kind, False, Reason.SERVER_DELETING, "the server is being deleted")
    if not server.spec.enabled:
        return Finding(kind, False, Reason.DISABLED, "spec.enabled is false")
    maintenance = server.spec.maintenance
    if maintenance.enabled:
        return Finding(kind, False, Reason.MAINTENANCE, maintenance.message or "spec.maintenance is on")
    if facts.room_problem:
        return failed(kind, facts.room_problem)
    if facts.capacity is not None and facts.peers.total >= facts.capacity:
        return Finding(kind, False, Reason.SERVER_FULL, f"{facts.peers.total} of {facts.capacity} peers")
    return Finding(kind, True, Reason.ROOM, "the server takes more peers")


def _ready(server: WireGuardServer, facts: ServerFacts, steps: list[Finding]) -> Finding:
    kind = ConditionType.READY
    if server.metadata.deletion_timestamp is not None and facts.waits_for:
        return Finding(kind, False, Reason.WAITING_FOR_PEERS, _waiting(facts.waits_for))
    if missing := [finding for finding in steps if not finding.status]:
        # A step that only waits must not hide what it waits for.
        first = next((finding for finding in missing if finding.reason is not Reason.WAITING), missing[0])
        return Finding(kind, False, first.reason, first.message)
    if not server.spec.enabled:
        return Finding(kind, True, Reason.DISABLED, "spec.enabled is false: all peers are off the device as asked")
    return Finding(kind, True, Reason.READY, "serving")


def _waiting(peers: tuple[str, ...]) -> str:
    named = ", ".join(peers[:NAMED]) + (f" and {len(peers) - NAMED} more" if len(peers) > NAMED else "")
    count = f"{len(peers)} peer{'s' if len(peers) > 1 else ''}"
    return f"being deleted; waits for {count} to be deleted or moved: {named}"
