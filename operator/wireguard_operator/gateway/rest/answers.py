"""What is answered about servers and peers: the fields of both generations of the contract at once.

The models describe the answers in the OpenAPI document. Answers themselves are dictionaries from the small records of
the cache, since a thousand rows through a model take longer than all the rest of a request.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json
from starlette.responses import Response

from ...api.base import format_time
from ..cache.identity import SPACE, server_key_id
from ..cache.records import PeerRecord, ServerRecord
from ..cache.store import Store
from .peer_requests import PeerStatus
from .server_requests import ServerStatus
from .statuses import peer_status, server_status

JSON = "application/json"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ServerAnswer(_Answer):
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


class PeerAnswer(_Answer):
    """A peer."""

    id: UUID
    """Stays the same for ever, in another cluster too: spec.subscriber.externalId."""
    tenant_id: UUID
    """The tenant's name if that is a UUID, else one made from it."""
    tenant: str
    """The tenant, a namespace."""
    server_id: UUID | None
    """Its server; null until one was chosen."""
    server_name: str | None
    """The name of that."""
    customer_id: str | None
    """Who pays."""
    subscriber_id: str | None
    """The service or line."""
    name: str
    """As it was given."""
    peer_name: str
    """The same as name."""
    object_name: str
    """The name of the WireGuardPeer."""
    description: str | None
    """Free text for subscribers."""
    public_key: str | None
    """Its public key; null until it has one."""
    has_private_key: bool
    """Whether the operator has the private key; false if the device keeps it."""
    has_preshared_key: bool
    """Whether there is a preshared key."""
    peer_ipv4: str | None
    """Its IPv4 address; null until it has one."""
    peer_ipv6: str | None
    """Its IPv6 address."""
    peer_ip: str | None
    """The same as peer_ipv4."""
    peer_address: str | None
    """The same as peer_ipv4."""
    peer_address_v6: str | None
    """The same as peer_ipv6."""
    allowed_ips: list[str]
    """What the client routes into the tunnel."""
    persistent_keepalive: int
    """Seconds between keepalives of the client."""
    status: PeerStatus
    """active, inactive, disabled, expired or suspended."""
    status_reason: str | None
    """Why it is not as asked, as a word."""
    status_message: str | None
    """The same as a sentence."""
    suspensions: list[dict[str, Any]]
    """Locks on the tunnel: reason, mode, since, until, by, message."""
    enabled: bool
    """Whether it is wanted on the device."""
    programmed: bool
    """Whether the device is as asked, which its server has confirmed."""
    last_handshake: datetime | None
    """When it last shook hands."""
    last_handshake_at: datetime | None
    """The same as last_handshake."""
    endpoint: str | None
    """Public address and port from which it was last seen."""
    endpoint_ip: str | None
    """The address of that."""
    rx_bytes: int
    """Received from it; restarts do not reset it."""
    tx_bytes: int
    """Sent to it."""
    total_bytes: int
    """Both."""
    last_stats_update: datetime | None
    """When the counters were read."""
    expires_at: datetime | None
    """When it is taken off the device."""
    expiration_date: datetime | None
    """The same as expires_at."""
    metadata: dict[str, Any]
    """As it was given."""
    metadata_: dict[str, Any]
    """The same, for clients that know it by this name."""
    notes: str | None
    """Free text for staff."""
    is_active: bool
    """Whether status is active."""
    is_expired: bool
    """Whether expires_at has passed."""
    is_online: bool
    """Whether there was a handshake in the last 180 seconds."""
    created_at: datetime
    """When it was made."""
    updated_at: datetime
    """When it or its status was last written."""


class CreatedPeer(PeerAnswer):
    """A peer that was made just now, with its keys if the caller may see configurations."""

    private_key: str | None = None
    """The private key, told here only and in the configuration."""
    preshared_key: str | None = None
    """The preshared key."""


@lru_cache(maxsize=1024)
def tenant_id(namespace: str) -> str:
    """A UUID for a tenant, since older clients expect one. A namespace that is named by one is that tenant."""
    return namespace if _UUID.fullmatch(namespace) else str(uuid.uuid5(SPACE, f"namespaces/{namespace}"))


def server_answer(server: ServerRecord) -> dict[str, Any]:
    """The fields of ServerAnswer."""
    status = server_status(server)
    endpoint = server.endpoint or server.public_endpoint
    host, _, port = (endpoint or "").rpartition(":")
    v4, v6 = _own_address(server.networks, 4), _own_address(server.networks, 6)
    most = server.max_peers if server.capacity is None else server.capacity
    metadata = _metadata(server.metadata)
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


def peer_answer(peer: PeerRecord, cache: Store, now: str) -> dict[str, Any]:
    """The fields of PeerAnswer."""
    status = peer_status(peer, now)
    server = cache.servers.get(peer.server) if peer.server is not None else None
    # Of another tenant's server nothing may be seen, not even whether it exists, before it has admitted the peer.
    if server is not None and server.key.namespace != peer.key.namespace and not peer.addresses:
        server = None
    own = server if server is not None and server.key.namespace == peer.key.namespace else None
    addresses = peer.addresses or peer.asked_addresses
    v4 = next((_single(text, 32) for text in addresses if ":" not in text), None)
    v6 = next((_single(text, 128) for text in addresses if ":" in text), None)
    defaults = server.allowed_ips if server is not None else ()
    metadata = _metadata(peer.metadata)
    fault = peer.fault
    return {
        "id": peer.id,
        "tenant_id": tenant_id(peer.key.namespace),
        "tenant": peer.key.namespace,
        "server_id": own.id if own is not None else server_key_id(peer.server) if peer.server else None,
        "server_name": own.title if own is not None else peer.server.name if peer.server else None,
        "customer_id": peer.customer_id,
        "subscriber_id": peer.subscriber_id,
        "name": peer.title,
        "peer_name": peer.title,
        "object_name": peer.key.name,
        "description": peer.description,
        "public_key": peer.public_key,
        "has_private_key": peer.keys_ready and not peer.device_key,
        "has_preshared_key": peer.keys_ready and peer.preshared,
        "peer_ipv4": v4,
        "peer_ipv6": v6,
        "peer_ip": v4,
        "peer_address": v4,
        "peer_address_v6": v6,
        "allowed_ips": list(peer.allowed_ips or defaults or ("0.0.0.0/0", "::/0")),
        "persistent_keepalive": _keepalive(peer, server),
        "status": status.value,
        "status_reason": fault.reason if fault else None,
        "status_message": fault.message if fault else None,
        "suspensions": [
            {
                "reason": lock.reason,
                "mode": lock.mode,
                "since": lock.since,
                "until": lock.until,
                "by": lock.by,
                "message": lock.message,
            }
            for lock in peer.suspensions
        ],
        "enabled": peer.enabled,
        "programmed": peer.programmed and peer.observed >= peer.generation,
        "last_handshake": peer.last_handshake,
        "last_handshake_at": peer.last_handshake,
        "endpoint": peer.endpoint,
        "endpoint_ip": peer.endpoint.rpartition(":")[0].strip("[]") if peer.endpoint else None,
        "rx_bytes": peer.rx_bytes,
        "tx_bytes": peer.tx_bytes,
        "total_bytes": peer.rx_bytes + peer.tx_bytes,
        "last_stats_update": peer.stats_at,
        "expires_at": peer.expires_at,
        "expiration_date": peer.expires_at,
        "metadata": metadata,
        "metadata_": metadata,
        "notes": peer.notes,
        "is_active": status is PeerStatus.ACTIVE,
        "is_expired": peer.expires_at is not None and peer.expires_at <= now,
        "is_online": peer.online,
        "created_at": peer.created_at,
        "updated_at": peer.updated_at,
    }


def respond(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, without a model in between."""
    return Response(to_json(content), status, headers, JSON)


def stamp(moment: datetime) -> str:
    """A time as all answers have it."""
    return format_time(moment)


def _own_address(networks: tuple[str, ...], version: int) -> str | None:
    """The server's address in its network of that family: the first."""
    for text in networks:
        if (":" in text) == (version == 6):
            network = ipaddress.ip_network(text)
            return f"{network[1]}/{network.prefixlen}"
    return None


def _single(text: str, length: int) -> str:
    return text if "/" in text else f"{text}/{length}"


def _keepalive(peer: PeerRecord, server: ServerRecord | None) -> int:
    if peer.keepalive is not None:
        return peer.keepalive
    return server.keepalive if server is not None else 25


def _place(location: dict[str, Any] | None) -> str | None:
    if not location:
        return None
    parts = (location.get(part) for part in ("city", "region", "country"))
    return location.get("name") or ", ".join(part for part in parts if part) or None


def _metadata(text: str | None) -> dict[str, Any]:
    """What a foreign system left; the annotation may have been spoilt by hand."""
    if not text:
        return {}
    try:
        found = from_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
