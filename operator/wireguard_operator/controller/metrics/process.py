"""The controller's own figures: queues, turns, requests and writes. Whoever does the work says so here.

A registry of its own, none of the library's global one, so that tests and processes never share figures. Names and
units follow the conventions of Prometheus; docs/metrics.md is generated from what is registered here.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from ... import __version__
from ...api.base import Key

Queue = Literal["cut", "change", "status", "event"]
Change = Literal["cut", "change"]
StatusOutcome = Literal["written", "gone", "retried", "refused"]
Operation = Literal["status", "snapshot", "delta", "counters", "endpoints", "role"]
AgentOutcome = Literal["ok", "mismatch", "refused", "unreachable", "failed"]

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
"""Buckets of single requests; 30 s is the client's time limit."""
WORK_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Buckets of work on a server, which may wait for an agent."""
SWEEP_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

# A series more for each counter and histogram, for the time at which it began; process_start_time_seconds says as much.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Figures of one process. Every method is cheap, never fails and may be called from the event loop only."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.traffic: dict[Key, tuple[int, int]] = {}
        """Bytes received from and sent to all subscribers of each server, as counted by this process."""
        self.desired: dict[Key, int] = {}
        """Revision of the state that each server's agent was last sent."""
        self._queues: dict[Callable[[], int], Queue] = {}
        self._depths: dict[Queue, int] = {}
        """At the last scrape; a queue that nobody says anything of any more is empty."""
        self._queue_depth = Gauge(
            "wireguard_operator_queue_depth",
            "What waits: peers to cut, peers to provide for, statuses and Events to write.",
            ["queue"],
            registry=registry,
        )
        self._turn = Histogram(
            "wireguard_operator_turn_duration_seconds",
            "Time of one turn of work on one server.",
            buckets=WORK_SECONDS,
            registry=registry,
        )
        self._programming = Histogram(
            "wireguard_operator_programming_duration_seconds",
            "Time from a watch's word of a change to the agent's acknowledgement; a cut takes a peer off the device.",
            ["kind"],
            buckets=WORK_SECONDS,
            registry=registry,
        )
        self._api_requests = Counter(
            "wireguard_operator_api_requests_total",
            "Requests to the API server but for watches; a page of a list is one. code is the HTTP status, or error"
            " when there was no answer.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._api_duration = Histogram(
            "wireguard_operator_api_request_duration_seconds",
            "Time of requests to the API server, answered or not.",
            ["verb", "resource"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._status_writes = Counter(
            "wireguard_operator_status_writes_total",
            "Writes of statuses: written, gone (the object is another one or none), retried, or refused for good.",
            ["kind", "outcome"],
            registry=registry,
        )
        self._agent_requests = Counter(
            "wireguard_operator_agent_requests_total",
            "Requests to agents: ok, mismatch (it holds another state than a delta starts from), refused (no trust),"
            " unreachable or failed.",
            ["operation", "outcome"],
            registry=registry,
        )
        self._agent_duration = Histogram(
            "wireguard_operator_agent_request_duration_seconds",
            "Time of requests to agents, answered or not.",
            ["operation"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self._agent_bytes = Counter(
            "wireguard_operator_agent_bytes_total",
            "Bodies of requests to agents and of their answers.",
            ["operation"],
            registry=registry,
        )
        self._takeovers = Counter(
            "wireguard_operator_takeovers_total",
            "Pods that became active in place of another one, by cause: Planned, PodGone or AgentSilent.",
            ["cause"],
            registry=registry,
        )
        self._ghosts = Counter(
            "wireguard_operator_sweep_ghosts_total",
            "Objects whose deletion no watch told of, found by a sweep.",
            ["resource"],
            registry=registry,
        )
        self._sweep = Histogram(
            "wireguard_operator_sweep_duration_seconds",
            "Time of one sweep, the search for what the watches missed.",
            buckets=SWEEP_SECONDS,
            registry=registry,
        )
        self._stalled = Gauge(
            "wireguard_operator_watch_stalled",
            "1 while the watches do not deliver what a sweep finds.",
            registry=registry,
        )
        self._leader = Gauge(
            "wireguard_operator_leader",
            "1 for the replica that works, 0 for one that stands by.",
            registry=registry,
        )
        self._events_dropped = Counter(
            "wireguard_operator_events_dropped_total",
            "Events that were not written because too many waited.",
            registry=registry,
        )
        self._ca_expiry = Gauge(
            "wireguard_operator_ca_expiry_timestamp_seconds",
            "When the certificate of the operator's CA, which all agents trust, runs out; 0 before it is read.",
            registry=registry,
        )
        Info(
            "wireguard_operator_build",
            "The controller's version.",
            registry=registry,
        ).info({"version": __version__, "python_version": platform.python_version()})
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def watch_queue(self, name: Queue, depth: Callable[[], int]) -> Callable[[], None]:
        """Have ``depth`` asked at each scrape; what several say of one queue is added. Call the answer to end that."""
        self._queues[depth] = name
        self._depths.setdefault(name, 0)

        def end() -> None:
            self._queues.pop(depth, None)

        return end

    def read_queues(self) -> None:
        """Ask for all queue depths: in the event loop, before figures are rendered in a thread."""
        self._depths = dict.fromkeys(self._depths, 0)
        for depth, name in self._queues.items():
            self._depths[name] += depth()
        for name, value in self._depths.items():
            self._queue_depth.labels(name).set(value)

    def turn(self, seconds: float) -> None:
        """A turn of work on a server took this long, well or not."""
        self._turn.observe(seconds)

    def programmed(self, kind: Change, seconds: float) -> None:
        """The agent has acknowledged a change of one peer, this long after the watch told of it."""
        self._programming.labels(kind).observe(seconds)

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """The API server answered with this HTTP status; 0: not at all. ``kube.client.Observer``."""
        self._api_requests.labels(verb, resource, str(code) if code else "error").inc()
        self._api_duration.labels(verb, resource).observe(seconds)

    def status_written(self, kind: str, outcome: StatusOutcome) -> None:
        """A status of that kind (plural resource name) was to be written, and this became of it."""
        self._status_writes.labels(kind, outcome).inc()

    def agent_request(self, operation: Operation, outcome: AgentOutcome, seconds: float, size: int) -> None:
        """An agent was asked; ``size`` is bytes of both bodies, as far as they were exchanged."""
        self._agent_requests.labels(operation, outcome).inc()
        self._agent_duration.labels(operation).observe(seconds)
        self._agent_bytes.labels(operation).inc(size)

    def traffic_counted(self, server: Key, received: int, sent: int) -> None:
        """So many more bytes came from and went to subscribers of a server (growth, not totals)."""
        before = self.traffic.get(server, (0, 0))
        self.traffic[server] = before[0] + max(received, 0), before[1] + max(sent, 0)

    def state_sent(self, server: Key, revision: int) -> None:
        """The server's agent is sent a state of this revision."""
        self.desired[server] = revision

    def taken_over(self, cause: str) -> None:
        """A pod serves in place of another one."""
        self._takeovers.labels(cause).inc()

    def ghost(self, resource: str) -> None:
        """A deletion that no watch told of was found."""
        self._ghosts.labels(resource).inc()

    def swept(self, seconds: float, *, stalled: bool) -> None:
        """A sweep took this long, and the watches do not deliver, or do."""
        self._sweep.observe(seconds)
        self._stalled.set(stalled)

    def leads(self, leader: bool) -> None:
        """This replica works, or does not."""
        self._leader.set(leader)

    def event_dropped(self) -> None:
        """An Event was not written."""
        self._events_dropped.inc()

    def authority_expires(self, timestamp: float) -> None:
        """The CA's certificate is valid until then (Unix seconds)."""
        self._ca_expiry.set(timestamp)
