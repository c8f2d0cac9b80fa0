"""Single peers as figures, read from the cache when Prometheus asks, in the text of both formats.

The library makes an object and a dictionary of each sample and looks at each character of it: 0.8 s for 10,000 peers,
against 0.08 s here. What makes the short way right: names of objects have nothing in them that must be escaped
(RFC 1123), but for those in references, and an integer is written alike in both formats.

A peer's totals are those of its status at full resolution. A status lags behind by up to ``traffic_interval``, so after
a restart the totals in it are smaller than what was told before, which Prometheus would take for a counter that began
anew, and count everything twice. Hence the bytes of a peer on the device are told only once this process has read the
counters of its server.
"""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ...api.base import Key
from ..watch.cache import Cache
from ..watch.records import PeerRecord

PEER = ("namespace", "peer", "server_namespace", "server")
"""A name alone could be that of several servers."""

RECEIVED = CounterMetricFamily(
    "wireguard_peer_receive_bytes_total", "Received from the subscriber (the subscriber's upload).", labels=PEER
)
SENT = CounterMetricFamily(
    "wireguard_peer_transmit_bytes_total", "Sent to the subscriber (the subscriber's download).", labels=PEER
)
HANDSHAKE = GaugeMetricFamily(
    "wireguard_peer_last_handshake_timestamp_seconds",
    "When the last handshake was; none before the first.",
    labels=PEER,
)
ONLINE = GaugeMetricFamily(
    "wireguard_peer_online", "1 while on the device with a handshake in the last 180 seconds.", labels=PEER
)
FAMILIES: tuple[Metric, ...] = (RECEIVED, SENT, HANDSHAKE, ONLINE)
"""Without samples."""


class Peers:
    """Reads the cache. Only attributes of records are read, so that may happen in another thread than the loop's."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def lines(self) -> dict[str, str]:
        """The lines of all samples, by the name of the family."""
        received, sent, handshake, online = [], [], [], []
        of_servers: dict[Key | None, str] = {}
        # To copy a dictionary's values is one step of the interpreter, whatever the loop does meanwhile.
        for record in list(self._cache.peers.values()):
            facts, key, server = record.facts, record.key, record.server_key
            where = of_servers.get(server) or of_servers.setdefault(server, _labels_of(server))
            labels = f'{{namespace="{key.namespace}",peer="{key.name}",{where}}}'
            online.append(f"wireguard_peer_online{labels} {int(facts.online and facts.on_device)}\n")
            if facts.last_handshake is not None:
                seconds = int(facts.last_handshake.timestamp())  # WireGuard tells whole seconds
                handshake.append(f"wireguard_peer_last_handshake_timestamp_seconds{labels} {seconds}\n")
            traffic = facts.traffic
            if traffic is not None and self._is_counted(record):
                received.append(f"wireguard_peer_receive_bytes_total{labels} {traffic.rx_bytes}\n")
                sent.append(f"wireguard_peer_transmit_bytes_total{labels} {traffic.tx_bytes}\n")
        lines = zip(FAMILIES, (received, sent, handshake, online), strict=True)
        return {family.name: "".join(found) for family, found in lines}

    def _is_counted(self, record: PeerRecord) -> bool:
        """Whether the totals are at least what any earlier process has told."""
        if not record.facts.on_device or record.server_key is None:
            return True
        server = self._cache.servers.get(record.server_key)
        return server is not None and server.facts.stats_time is not None


def _labels_of(server: Key | None) -> str:
    """Whatever a peer names, if its object is older than the rule that it must be a name."""
    name, namespace = (_escaped(server.name), _escaped(server.namespace)) if server is not None else ("", "")
    return f'server="{name}",server_namespace="{namespace}"'


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
