"""A server's status, composed from what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..api.conditions import ConditionType
from ..api.server import (
    DataPlaneStatus,
    PeerCounts,
    ServerPhase,
    ServerStatus,
    ServerTraffic,
    WireGuardServer,
)
from .conditions import Finding, merge
from .peer_status import Problem


@dataclass(slots=True)
class ServerFacts:
    """What the pipeline found out about one server so far."""

    public_key: str | None = None
    endpoint: str | None = None
    addresses: tuple[str, ...] = ()
    agent_secret: str | None = None
    key_problem: Problem | None = None
    programmed: bool = False
    """The agent has acknowledged the desired state of some moment since it was last lost."""
    program_problem: Problem | None = None
    data_plane: DataPlaneStatus | None = None
    peers: PeerCounts = field(default_factory=PeerCounts)
    traffic: ServerTraffic = field(default_factory=ServerTraffic)
    stats_time: datetime | None = None


def compose(server: WireGuardServer, facts: ServerFacts, now: datetime) -> ServerStatus:
    """The status that ``facts`` amount to."""
    generation = server.metadata.generation
    return ServerStatus(
        observed_generation=generation,
        phase=_phase(facts),
        conditions=merge(server.status.conditions, _findings(facts), generation, now),
        public_key=facts.public_key,
        endpoint=facts.endpoint,
        addresses=facts.addresses,
        peers=facts.peers,
        traffic=facts.traffic,
        last_stats_time=facts.stats_time,
        data_plane=facts.data_plane,
    )


def _phase(facts: ServerFacts) -> ServerPhase:
    if facts.programmed and facts.program_problem is None:
        return ServerPhase.ACTIVE
    return ServerPhase.DEGRADED if facts.data_plane is not None else ServerPhase.INACTIVE


def _findings(facts: ServerFacts) -> list[Finding]:
    kind = ConditionType
    accepted = Finding(kind.ACCEPTED, True, "Accepted", "the specification is in order")
    if facts.key_problem:
        keys = Finding(kind.KEYS_READY, False, facts.key_problem.reason, facts.key_problem.message)
    elif facts.public_key is None:
        keys = Finding(kind.KEYS_READY, None, "Waiting", "no keys yet")
    else:
        keys = Finding(kind.KEYS_READY, True, "KeysReady", f"the agent's certificate is in Secret {facts.agent_secret}")
    if facts.program_problem:
        programmed = Finding(kind.PROGRAMMED, False, facts.program_problem.reason, facts.program_problem.message)
    elif facts.programmed:
        programmed = Finding(kind.PROGRAMMED, True, "Programmed", "the device is as desired")
    else:
        programmed = Finding(kind.PROGRAMMED, None, "Waiting", "waiting for the agent")
    steps = [accepted, keys, programmed]
    blocker = next((finding for finding in steps if not finding.status), None)
    if blocker is not None:
        return [*steps, Finding(kind.READY, False, blocker.reason, blocker.message)]
    return [*steps, Finding(kind.READY, True, "Ready", "serving")]
