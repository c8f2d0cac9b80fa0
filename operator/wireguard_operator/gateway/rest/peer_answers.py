"""What is answered about a peer: the fields of both generations of the contract at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ..cache.identity import server_key_id
from ..cache.records import PeerRecord, ServerRecord
from ..cache.store import Store
from .answers import Answer, metadata_of, tenant_id
from .peer_requests import PeerStatus
from .statuses import peer_status


class PeerAnswer(Answer):
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
    metadata = metadata_of(peer.metadata)
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


def _single(text: str, length: int) -> str:
    return text if "/" in text else f"{text}/{length}"


def _keepalive(peer: PeerRecord, server: ServerRecord | None) -> int:
    if peer.keepalive is not None:
        return peer.keepalive
    return server.keepalive if server is not None else 25
