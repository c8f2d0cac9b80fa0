"""Servers as figures, and how many peers are in which phase, read from the cache when Prometheus asks.

Nothing is kept a second time but what the cache cannot tell: the sum of what a server's peers have used would fall when
one is deleted or moved, so bytes are counted apart, from the start of the process (``Metrics.traffic_counted``).
"""

from __future__ import annotations

from collections import Counter

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from ...api.conditions import ConditionType
from ...api.peer import PeerPhase
from ..watch.cache import Cache
from ..watch.records import ServerRecord
from .process import Metrics

SERVER = ("namespace", "server")


class Fleet(Collector):
    """Reads the cache. Only attributes of records are read, so that may happen in another thread than the loop's."""

    def __init__(self, cache: Cache, metrics: Metrics) -> None:
        self._cache = cache
        self._metrics = metrics

    @staticmethod
    def describe() -> list[Metric]:
        """All families, without samples."""
        return [*_ServerFamilies().all(), _phases()]

    def collect(self) -> list[Metric]:
        """All families."""
        # To copy a dictionary's values is one step of the interpreter, whatever the loop does meanwhile.
        phases = _phases()
        found = Counter(record.peer.status.phase for record in list(self._cache.peers.values()))
        for phase in PeerPhase:
            phases.add_metric([phase.value], found[phase])
        return [*self._servers(list(self._cache.servers.values())), phases]

    def _servers(self, records: list[ServerRecord]) -> list[Metric]:
        families = _ServerFamilies()
        for record in records:
            facts, labels = record.facts, (record.key.namespace, record.key.name)
            for state in ("total", "active", "online"):
                families.peers.add_metric([*labels, state], getattr(facts.peers, state))
            families.ready.add_metric(labels, _is_ready(record))
            families.connected.add_metric(labels, facts.data_plane is not None and facts.program_problem is None)
            received, sent = self._metrics.traffic.get(record.key, (0, 0))
            families.received.add_metric(labels, received)
            families.sent.add_metric(labels, sent)
            if facts.capacity is not None:
                families.capacity.add_metric(labels, facts.capacity)
            if facts.stats_time is not None:
                families.read.add_metric(labels, facts.stats_time.timestamp())
            if (desired := self._metrics.desired.get(record.key)) is not None:
                families.desired.add_metric(labels, desired)
            if (plane := facts.data_plane) is not None:
                about = (plane.implementation or "", plane.version or "", record.server.spec.data_plane.type.value)
                families.info.add_metric([*labels, *about], {})
                if plane.standby_pods is not None:
                    families.standby.add_metric(labels, plane.standby_pods)
                if plane.revision is not None:
                    families.acknowledged.add_metric(labels, plane.revision)
        return families.all()


class _ServerFamilies:
    """The families of servers."""

    def __init__(self) -> None:
        name = "wireguard_server"
        self.peers = GaugeMetricFamily(
            f"{name}_peers",
            "Peers of a server: in total, active (on the device), online (a handshake in the last 180 seconds).",
            labels=(*SERVER, "state"),
        )
        self.capacity = GaugeMetricFamily(f"{name}_capacity_peers", "The most peers it can have.", labels=SERVER)
        self.ready = GaugeMetricFamily(f"{name}_ready", "1 while the condition Ready is True.", labels=SERVER)
        self.connected = GaugeMetricFamily(
            f"{name}_agent_connected", "1 while the agent has answered and does as it is told.", labels=SERVER
        )
        self.standby = GaugeMetricFamily(
            f"{name}_standby_pods", "Pods that could take over at once, of a server with two replicas.", labels=SERVER
        )
        self.read = GaugeMetricFamily(
            f"{name}_counters_read_timestamp_seconds", "When the agent's counters were last read.", labels=SERVER
        )
        self.received = CounterMetricFamily(
            f"{name}_receive_bytes_total", "Received from all subscribers, as counted by this process.", labels=SERVER
        )
        self.sent = CounterMetricFamily(
            f"{name}_transmit_bytes_total", "Sent to all subscribers, as counted by this process.", labels=SERVER
        )
        self.desired = GaugeMetricFamily(
            f"{name}_desired_revision", "Revision of the state that the agent was last sent.", labels=SERVER
        )
        self.acknowledged = GaugeMetricFamily(
            f"{name}_acknowledged_revision", "Revision of the state that the agent has acknowledged.", labels=SERVER
        )
        self.info = InfoMetricFamily(
            name,
            "What the agent says of itself, and where it runs: Pod or Host.",
            labels=(*SERVER, "implementation", "version", "type"),
        )

    def all(self) -> list[Metric]:
        """In the order of the page."""
        return list(vars(self).values())


def _phases() -> GaugeMetricFamily:
    return GaugeMetricFamily("wireguard_peers", "Peers of all servers by phase.", labels=["phase"])


def _is_ready(record: ServerRecord) -> bool:
    conditions = record.status.get("conditions") or ()
    return any(one["type"] == ConditionType.READY and one["status"] == "True" for one in conditions)
