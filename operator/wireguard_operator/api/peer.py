"""``WireGuardPeer``: one subscriber's tunnel."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Column, Kind, Model, Resource, Time
from .conditions import Conditions
from .fields import CIDR, MTU, DNSEntry, Keepalive, ObjectName, PublicKey, rule, rules


class PeerPhase(StrEnum):
    """One word for people; programs read the conditions."""

    PENDING = "Pending"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    DISABLED = "Disabled"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    FAILED = "Failed"


class ServerRef(Model):
    """The server of a peer."""

    name: ObjectName
    """Name of the WireGuardServer in the namespace of the peer."""


class Subscriber(Model):
    """Who the tunnel belongs to, in the words of the billing system. The operator only carries it."""

    customer_id: Annotated[str | None, Field(max_length=128)] = None
    """Identifier of the paying customer."""
    subscriber_id: Annotated[str | None, Field(max_length=128)] = None
    """Identifier of the service or line."""
    external_id: Annotated[str | None, Field(max_length=128)] = None
    """Identifier of this peer in a foreign system, commonly a UUID."""


class Suspension(Model):
    """One lock on the tunnel. Lifting it leaves the others."""

    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            json_schema_extra=rules(
                rule(
                    "!format.dns1123Label().validate(self).hasValue()",
                    "must be a word of lower-case letters, digits and '-', e.g. non-payment or abuse",
                )
            ),
        ),
    ]
    """Why, as a word that other systems can match, e.g. non-payment or abuse. One entry for each reason."""
    since: Time | None = None
    """From when. Default at once."""
    until: Time | None = None
    """When it ends by itself. Default never."""
    by: Annotated[str | None, Field(max_length=253)] = None
    """The person or system that asked for it."""
    message: Annotated[str | None, Field(max_length=1024)] = None
    """Free text."""


class ClientSettings(Model):
    """What stands in the client's configuration instead of the server's defaults."""

    dns: Annotated[tuple[DNSEntry, ...] | None, Field(max_length=8)] = None
    """DNS servers and search domains."""
    allowed_ips: Annotated[tuple[CIDR, ...] | None, Field(alias="allowedIPs", max_length=64)] = None
    """What the client routes into the tunnel."""
    mtu: MTU | None = None
    """MTU of the client's interface."""
    persistent_keepalive: Keepalive | None = None
    """Seconds between keepalives; 0 is off."""


class PeerSpec(Model):
    """What the provider wants for this subscriber."""

    server_ref: Annotated[ServerRef, Field(alias="serverRef")]
    """The server that carries the tunnel."""
    public_key: PublicKey | None = None
    """Public key of a device that keeps its private key to itself. Absent: the operator makes the key pair."""
    enabled: bool = True
    """False takes the peer off the device; address and keys are kept."""
    suspensions: Annotated[
        tuple[Suspension, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["reason"]},
        ),
    ] = ()
    """Locks on the tunnel by reason; any one of them keeps the peer off the device."""
    expires_at: Time | None = None
    """The peer is taken off the device at this time; a later time brings it back. Default never."""
    subscriber: Subscriber | None = None
    """Who the tunnel belongs to."""
    client: ClientSettings = ClientSettings()
    """What stands in the client's configuration instead of the server's defaults."""
    description: Annotated[str | None, Field(max_length=1024)] = None
    """Free text."""


class ServerBinding(Model):
    """The server that was decided on."""

    name: str
    """Name of the WireGuardServer."""
    namespace: str
    """Its namespace."""


class SecretBinding(Model):
    """The Secret that was made."""

    name: str
    """Name of the Secret in the namespace of the peer."""


class CounterSample(Model):
    """The device's own counters as they were last added to the totals; totals resume from here after a restart."""

    session: str
    """Identifies one life of the device; counters of different lives are never subtracted from one another."""
    rx_bytes: int = 0
    """Raw receive counter."""
    tx_bytes: int = 0
    """Raw transmit counter."""


class Traffic(Model):
    """Bytes since the peer was made, from the server's side; restarts do not reset it."""

    rx_bytes: int = 0
    """Received from the subscriber (the subscriber's upload)."""
    tx_bytes: int = 0
    """Sent to the subscriber (the subscriber's download)."""
    since: Time | None = None
    """When counting began."""
    sample: CounterSample | None = None
    """Raw counters that the totals include."""


class PeerStatus(Model):
    """What the operator observed."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    phase: PeerPhase | None = None
    """One word for people; programs read the conditions."""
    conditions: Conditions = ()
    """Accepted, AddressAllocated, KeysReady, Programmed, Ready."""
    server_ref: Annotated[ServerBinding | None, Field(alias="serverRef")] = None
    """The server that carries the tunnel."""
    addresses: tuple[str, ...] = ()
    """The subscriber's addresses in the tunnel, each with its prefix length."""
    public_key: Annotated[str | None, Field(max_length=64)] = None
    """The peer's public key."""
    secret_ref: Annotated[SecretBinding | None, Field(alias="secretRef")] = None
    """Secret with the keys and wg0.conf."""
    config_revision: Annotated[str | None, Field(max_length=64)] = None
    """Changes when the client must import its configuration again."""
    online: bool | None = None
    """Whether there was a handshake in the last 180 seconds."""
    last_handshake_time: Time | None = None
    """Time of the last handshake."""
    endpoint: str | None = None
    """Public address and port from which the subscriber was last seen."""
    traffic: Traffic | None = None
    """Bytes since the peer was made."""
    last_stats_time: Time | None = None
    """When the counters in this status were read."""


class WireGuardPeer(Resource[PeerSpec, PeerStatus]):
    """One object of the kind."""

    spec: PeerSpec
    status: PeerStatus = PeerStatus()


PEER = Kind(
    kind="WireGuardPeer",
    plural="wireguardpeers",
    singular="wireguardpeer",
    short_names=("wgp",),
    model=WireGuardPeer,
    description="A subscriber's WireGuard tunnel: the server it is on, its keys, addresses and client settings.",
    columns=(
        Column("Server", ".spec.serverRef.name"),
        Column("Address", ".status.addresses[0]"),
        Column("Phase", ".status.phase"),
        Column("Online", ".status.online", "boolean"),
        Column("Last handshake", ".status.lastHandshakeTime", "date"),
        Column("Rx", ".status.traffic.rxBytes", "integer", description="Bytes received from the subscriber"),
        Column("Tx", ".status.traffic.txBytes", "integer", description="Bytes sent to the subscriber"),
        Column("Endpoint", ".status.endpoint", priority=1),
        Column("Public key", ".status.publicKey", priority=1),
        Column("Expires", ".spec.expiresAt", "date", priority=1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
