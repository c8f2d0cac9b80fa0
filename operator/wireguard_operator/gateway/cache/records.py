"""What the gateway keeps of an object: what its answers say, and nothing else.

A peer takes about a kilobyte, a tenth of the object; a hundred thousand of them fit into a small pod.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...api.base import GROUP, Key, format_time
from ...api.conditions import ConditionType
from ...kube.client import Object
from .identity import peer_id, server_id

TITLE = f"{GROUP}/title"
"""Annotation: the name that a foreign system gave, where it is not the object's own."""
NOTES = f"{GROUP}/notes"
"""Annotation: free text of a foreign system."""
DESCRIPTION = f"{GROUP}/description"
"""Annotation of a server: free text, which peers have in their specification."""
METADATA = f"{GROUP}/metadata"
"""Annotation: a JSON object of a foreign system, kept as it came."""

SECONDS_FORM = len("2030-01-01T00:00:00Z")


@dataclass(slots=True, frozen=True)
class Fault:
    """Why an object is not as asked."""

    reason: str
    message: str
    stalled: bool
    """Somebody has to act; else it may come by itself."""


@dataclass(slots=True, frozen=True)
class Lock:
    """One entry of ``spec.suspensions``."""

    reason: str
    mode: str
    since: str | None
    until: str | None
    by: str | None
    message: str | None

    def holds(self, now: str) -> bool:
        """Whether it is in force at that time."""
        return (self.since is None or self.since <= now) and (self.until is None or now < self.until)


@dataclass(slots=True, frozen=True)
class PeerRecord:
    """One WireGuardPeer."""

    key: Key
    uid: str
    version: int
    generation: int
    id: str
    title: str
    description: str | None
    notes: str | None
    metadata: str | None
    customer_id: str | None
    subscriber_id: str | None
    server: Key | None
    """Named by the specification or, for a selector, by the status."""
    has_selector: bool
    device_key: bool
    """The device keeps its private key to itself."""
    public_key: str | None
    addresses: tuple[str, ...]
    asked_addresses: tuple[str, ...]
    routes: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    enabled: bool
    suspensions: tuple[Lock, ...]
    expires_at: str | None
    """As all times here in one form, so that they compare as text."""
    keepalive: int | None
    preshared: bool
    """Whether it was not declined."""
    phase: str
    observed: int
    """The generation that the status speaks of."""
    programmed: bool
    keys_ready: bool
    fault: Fault | None
    online: bool
    last_handshake: str | None
    endpoint: str | None
    rx_bytes: int
    tx_bytes: int
    stats_at: str | None
    key_generation: int
    keys_of: int
    """The keyGeneration for which the keys were made."""
    revision: str | None
    created_at: str
    updated_at: str


@dataclass(slots=True, frozen=True)
class ServerRecord:
    """One WireGuardServer."""

    key: Key
    uid: str
    version: int
    id: str
    title: str
    description: str | None
    metadata: str | None
    enabled: bool
    maintenance: bool
    location: dict[str, Any] | None
    public_endpoint: str | None
    endpoint: str | None
    listen_port: int
    networks: tuple[str, ...]
    addresses: tuple[str, ...]
    max_peers: int | None
    dns: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    keepalive: int
    public_key: str | None
    phase: str
    ready: bool
    available: bool
    conditions: tuple[tuple[str, str, str, str], ...]
    """Type, status, reason, message."""
    capacity: int | None
    utilization: int | None
    peers: int
    active: int
    online: int
    rx_bytes: int
    tx_bytes: int
    stats_at: str | None
    key_generation: int
    keys_of: int
    created_at: str
    updated_at: str


def peer_record(body: Object) -> PeerRecord:
    """The record of a WireGuardPeer."""
    meta, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    annotations = meta.get("annotations") or {}
    subscriber, client = spec.get("subscriber") or {}, spec.get("client") or {}
    traffic = status.get("traffic") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    return PeerRecord(
        key=_key(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta.get("generation", 0),
        id=peer_id(body),
        title=annotations.get(TITLE) or meta["name"],
        description=spec.get("description"),
        notes=annotations.get(NOTES),
        metadata=annotations.get(METADATA),
        customer_id=subscriber.get("customerId"),
        subscriber_id=subscriber.get("subscriberId"),
        server=_server_of(meta["namespace"], spec, status),
        has_selector="serverSelector" in spec,
        device_key="publicKey" in spec,
        public_key=status.get("publicKey") or spec.get("publicKey"),
        addresses=tuple(status.get("addresses") or ()),
        asked_addresses=tuple(spec.get("addresses") or ()),
        routes=tuple(spec.get("routes") or ()),
        allowed_ips=tuple(map(sys.intern, client.get("allowedIPs") or ())),
        enabled=spec.get("enabled", True),
        suspensions=tuple(map(_lock, spec.get("suspensions") or ())),
        expires_at=_time(spec.get("expiresAt")),
        keepalive=client.get("persistentKeepalive"),
        preshared=_has_preshared(spec),
        phase=sys.intern(status.get("phase") or "Pending"),
        observed=status.get("observedGeneration") or 0,
        programmed=_is_true(conditions, ConditionType.PROGRAMMED),
        keys_ready=_is_true(conditions, ConditionType.KEYS_READY),
        fault=_fault(conditions),
        online=bool(status.get("online")),
        last_handshake=status.get("lastHandshakeTime"),
        endpoint=status.get("endpoint"),
        rx_bytes=traffic.get("rxBytes", 0),
        tx_bytes=traffic.get("txBytes", 0),
        stats_at=status.get("lastStatsTime"),
        key_generation=spec.get("keyGeneration", 0),
        keys_of=status.get("keyGeneration") or 0,
        revision=status.get("configRevision"),
        created_at=meta["creationTimestamp"],
        updated_at=_updated(meta),
    )


def server_record(body: Object) -> ServerRecord:
    """The record of a WireGuardServer."""
    meta, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    annotations = meta.get("annotations") or {}
    peers, traffic = status.get("peers") or {}, status.get("traffic") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    endpoint, port = spec.get("endpoint"), spec.get("listenPort", 51820)
    return ServerRecord(
        key=_key(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        id=server_id(body),
        title=annotations.get(TITLE) or meta["name"],
        description=annotations.get(DESCRIPTION),
        metadata=annotations.get(METADATA),
        enabled=spec.get("enabled", True),
        maintenance=bool((spec.get("maintenance") or {}).get("enabled")),
        location=spec.get("location"),
        public_endpoint=_host_port(endpoint["host"], endpoint.get("port") or port) if endpoint else None,
        endpoint=status.get("endpoint"),
        listen_port=port,
        networks=tuple(status.get("networks") or spec["networks"]),
        addresses=tuple(status.get("addresses") or ()),
        max_peers=spec.get("maxPeers"),
        dns=tuple(spec.get("dns") or ()),
        allowed_ips=tuple(spec.get("clientAllowedIPs") or ()),
        keepalive=spec.get("persistentKeepalive", 25),
        public_key=status.get("publicKey"),
        phase=sys.intern(status.get("phase") or "Inactive"),
        ready=_is_true(conditions, ConditionType.READY),
        available=_is_true(conditions, ConditionType.AVAILABLE),
        conditions=tuple((c["type"], c["status"], c["reason"], c.get("message", "")) for c in conditions.values()),
        capacity=status.get("capacity"),
        utilization=status.get("utilizationPercent"),
        peers=peers.get("total", 0),
        active=peers.get("active", 0),
        online=peers.get("online", 0),
        rx_bytes=traffic.get("rxBytes", 0),
        tx_bytes=traffic.get("txBytes", 0),
        stats_at=status.get("lastStatsTime"),
        key_generation=spec.get("keyGeneration", 0),
        keys_of=status.get("keyGeneration") or 0,
        created_at=meta["creationTimestamp"],
        updated_at=_updated(meta),
    )


def _server_of(namespace: str, spec: dict[str, Any], status: dict[str, Any]) -> Key | None:
    if ref := spec.get("serverRef"):
        return _key(ref.get("namespace") or namespace, ref["name"])
    if bound := status.get("serverRef"):
        return _key(bound["namespace"], bound["name"])
    return None


def _has_preshared(spec: dict[str, Any]) -> bool:
    wanted = spec.get("presharedKey") or {}
    if wanted.get("secretRef") or wanted.get("policy") == "Always":
        return True
    generated = "publicKey" not in spec and "privateKeySecretRef" not in spec
    return wanted.get("policy", "Auto") == "Auto" and generated


def _lock(entry: dict[str, Any]) -> Lock:
    return Lock(
        reason=sys.intern(entry["reason"]),
        mode=sys.intern(entry.get("mode", "Cut")),
        since=_time(entry.get("since")),
        until=_time(entry.get("until")),
        by=entry.get("by"),
        message=entry.get("message"),
    )


def _time(text: str | None) -> str | None:
    """The time in UTC with whole seconds, however people wrote it."""
    if text is None or (len(text) == SECONDS_FORM and text.endswith("Z")):
        return text
    return format_time(datetime.fromisoformat(text))


def _key(namespace: str, name: str) -> Key:
    return Key(sys.intern(namespace), name)


def _is_true(conditions: dict[str, dict[str, Any]], type_: ConditionType) -> bool:
    return type_ in conditions and conditions[type_]["status"] == "True"


def _fault(conditions: dict[str, dict[str, Any]]) -> Fault | None:
    ready = conditions.get(ConditionType.READY)
    if ready is None or ready["status"] == "True":
        return None
    stalled = _is_true(conditions, ConditionType.STALLED)
    return Fault(sys.intern(ready["reason"]), ready.get("message", ""), stalled)


def _updated(meta: dict[str, Any]) -> str:
    """When anybody last wrote the object; the API server notes it for each manager."""
    created: str = meta["creationTimestamp"]
    times: Iterator[str] = (entry.get("time") or "" for entry in meta.get("managedFields") or ())
    return max((created, *times))


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
