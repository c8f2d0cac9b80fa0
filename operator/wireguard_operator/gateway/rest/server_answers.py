"""What is answered about a server: the fields of both generations of the contract at once."""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any
from uuid import UUID

from ..cache.records import ServerRecord
from .answers import Answer, metadata_of, tenant_id
from .server_requests import ServerStatus
from .statuses import server_status


class ServerAnswer(Answer):
    """A server."""

    id: UUID
    """Stays the same for ever, in another cluster too."""
    tenant_id: UUID
    """The tenant's name if that is a UUID, else one made from it."""
    tenant: str
    """The tenant, a namespace."""
    name: str
    """As it was given."""
    object_name: str
    """The name of the WireGuardServer."""
    description: str | None
    """Free text."""
    public_endpoint: str | None
    """host:port as in clients' configurations; null until a load balancer has an address."""
    public_host: str | None
    """The host of it."""
    public_port: int | None
    """The port of it."""
    listen_port: int
    """UDP port on which it listens."""
    server_ipv4: str | None
    """Its address in the tunnel, with the network that peers get addresses from."""
    server_ipv6: str | None
    """The same for IPv6."""
    vpn_address: str | None
    """The same as server_ipv4."""
    vpn_address_v6: str | None
    """The same as server_ipv6."""
    location: str | None
    """Where it stands."""
    public_key: str | None
    """Its public key; null for a moment after its creation."""
    has_private_key: bool
    """Whether there is a key; it is never told."""
    status: ServerStatus
    """active, inactive, degraded or maintenance."""
    is_active: bool
    """Whether status is active."""
    max_peers: int | None
    """The most peers that it takes."""
    current_peers: int
    """Peers that it has."""
    peer_count: int
    """The same as current_peers."""
    online_peers: int
    """Those of them with a handshake in the last 180 seconds."""
    next_peer_ip_offset: int
    """For older clients; addresses are given out by the operator."""
    has_capacity: bool
    """Whether there is room for another peer."""
    utilization_percent: float
    """Peers as a share of max_peers."""
    dns_servers: list[str]
    """DNS servers and search domains of clients."""
    allowed_ips: list[str]
    """What clients route into the tunnel."""
    persistent_keepalive: int
    """Seconds between keepalives; 0 is off."""
    total_rx_bytes: int
    """Received from its peers."""
    total_tx_bytes: int
    """Sent to its peers."""
    last_stats_update: datetime | None
    """When the counters were read."""
    metadata: dict[str, Any]
    """As it was given."""
    metadata_: dict[str, Any]
    """The same, for clients that know it by this name."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When it or its status was last written."""


def server_answer(server: ServerRecord) -> dict[str, Any]:
    """The fields of ServerAnswer."""
    status = server_status(server)
    endpoint = server.endpoint or server.public_endpoint
    host, _, port = (endpoint or "").rpartition(":")
    v4, v6 = _own_address(server.networks, 4), _own_address(server.networks, 6)
    most = server.max_peers if server.capacity is None else server.capacity
    metadata = metadata_of(server.metadata)
    return {
        "id": server.id,
        "tenant_id": tenant_id(server.key.namespace),
        "tenant": server.key.namespace,
        "name": server.title,
        "object_name": server.key.name,
        "description": server.description,
        "public_endpoint": endpoint,
        "public_host": host.strip("[]") or None,
        "public_port": int(port) if port else None,
        "listen_port": server.listen_port,
        "server_ipv4": v4,
        "server_ipv6": v6,
        "vpn_address": v4,
        "vpn_address_v6": v6,
        "location": _place(server.location),
        "public_key": server.public_key,
        "has_private_key": server.public_key is not None,
        "status": status.value,
        "is_active": status is ServerStatus.ACTIVE,
        "max_peers": most if server.max_peers is None else server.max_peers,
        "current_peers": server.peers,
        "peer_count": server.peers,
        "online_peers": server.online,
        "next_peer_ip_offset": server.peers + 2,
        "has_capacity": most is None or server.peers < most,
        "utilization_percent": round(100 * server.peers / most, 2) if most else 0.0,
        "dns_servers": list(server.dns),
        "allowed_ips": list(server.allowed_ips) or ["0.0.0.0/0", "::/0"],
        "persistent_keepalive": server.keepalive,
        "total_rx_bytes": server.rx_bytes,
        "total_tx_bytes": server.tx_bytes,
        "last_stats_update": server.stats_at,
        "metadata": metadata,
        "metadata_": metadata,
        "created_at": server.created_at,
        "updated_at": server.updated_at,
    }


def _own_address(networks: tuple[str, ...], version: int) -> str | None:
    """The server's address in its network of that family: the first."""
    for text in networks:
        if (":" in text) == (version == 6):
            network = ipaddress.ip_network(text)
            return f"{network[1]}/{network.prefixlen}"
    return None


def _place(location: dict[str, Any] | None) -> str | None:
    if not location:
        return None
    parts = (location.get(part) for part in ("city", "region", "country"))
    return location.get("name") or ", ".join(part for part in parts if part) or None
