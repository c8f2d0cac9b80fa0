"""``WireGuardPeer``: one subscriber's tunnel."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .access import AccessRules
from .base import Column, Key, Kind, Model, Resource, Time
from .conditions import Conditions
from .fields import (
    CIDR,
    MTU,
    ONE_ADDRESS_PER_FAMILY,
    UNICAST,
    UNIQUE,
    Deadline,
    DNSEntry,
    IPAddress,
    Keepalive,
    Line,
    ObjectName,
    PublicKey,
    Text,
    rule,
    rules,
)
from .keys import KeyGeneration, PresharedKey, PrivateKeyRef
from .limits import Limits
from .selectors import ServerSelector


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
    """Name of the WireGuardServer."""
    namespace: ObjectName | None = None
    """Its namespace, which must admit the peer's. Default the peer's own."""


class Subscriber(Model):
    """Who the tunnel belongs to, in the words of the billing system. The operator only carries it."""

    customer_id: Annotated[Line | None, Field(max_length=128)] = None
    """Identifier of the paying customer."""
    subscriber_id: Annotated[Line | None, Field(max_length=128)] = None
    """Identifier of the service or line."""
    external_id: Annotated[Line | None, Field(max_length=128)] = None
    """Identifier of this peer in a foreign system, commonly a UUID. Cannot be changed once it is set."""


class SuspensionMode(StrEnum):
    """What becomes of the tunnel meanwhile, the strictest first."""

    CUT = "Cut"
    WALLED_GARDEN = "WalledGarden"
    THROTTLE = "Throttle"


class Suspension(Model):
    """One lock on the tunnel. Lifting it leaves the others."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.since) || !has(self.until) || self.since < self.until",
                "must end after it begins: until is not later than since",
            )
        )
    )

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
    mode: SuspensionMode = SuspensionMode.CUT
    """Cut takes the peer off the device. WalledGarden lets it reach what spec.walledGarden of the server says, Throttle
    slows it down to spec.throttle; where the server says neither it is Cut. The strictest of several is in force."""
    since: Deadline | None = None
    """From when, e.g. 2030-01-01T00:00:00Z. Default at once."""
    until: Deadline | None = None
    """When it ends by itself. Default never."""
    by: Annotated[Line | None, Field(max_length=253)] = None
    """The person or system that asked for it."""
    message: Text | None = None
    """Free text."""


class ClientSettings(Model):
    """What stands in the client's configuration instead of the server's defaults."""

    dns: Annotated[tuple[DNSEntry, ...] | None, Field(max_length=8, json_schema_extra=UNIQUE)] = None
    """DNS servers and search domains."""
    allowed_ips: Annotated[
        tuple[CIDR, ...] | None, Field(alias="allowedIPs", max_length=64, json_schema_extra=UNIQUE)
    ] = None
    """What the client routes into the tunnel."""
    mtu: MTU | None = None
    """MTU of the client's interface."""
    persistent_keepalive: Keepalive | None = None
    """Seconds between keepalives; 0 is off."""


MAX_ROUTES = 64
"""The most routes of one peer."""


class PeerSpec(Model):
    """What the provider wants for this subscriber."""

    server_ref: Annotated[ServerRef | None, Field(alias="serverRef")] = None
    """The server that carries the tunnel. Naming another one moves the peer."""
    server_selector: ServerSelector | None = None
    """Instead of serverRef: the least utilised server that matches. Decided once, and again only when that server goes
    away or is drained; the choice is in status.serverRef."""
    public_key: PublicKey | None = None
    """Public key of a device that keeps its private key to itself. Absent: the operator makes the key pair."""
    private_key_secret_ref: Annotated[PrivateKeyRef | None, Field(alias="privateKeySecretRef")] = None
    """Import the private key from this Secret. It is clamped, and copied to the peer's own Secret."""
    preshared_key: PresharedKey = PresharedKey()
    """The preshared key."""
    key_generation: KeyGeneration = 0
    """Raise it to have new keys made."""
    key_overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86400)] = 86400
    """How long the old keys go on working after keyGeneration was raised, unless the new ones are used before."""
    addresses: Annotated[
        tuple[IPAddress, ...],
        Field(max_length=2, json_schema_extra=rules(ONE_ADDRESS_PER_FAMILY, **UNIQUE)),
    ] = ()
    """Addresses that the peer must have, one per family. Default any free one of each of the server's networks."""
    routes: Annotated[
        tuple[CIDR, ...],
        Field(
            max_length=MAX_ROUTES,
            json_schema_extra=rules(
                rule(
                    "self.all(r, !isCIDR(r) || cidr(r).prefixLength() > 0)",
                    "a route to everything (/0) cannot lie behind a peer; name the networks that do",
                ),
                UNICAST,
                **UNIQUE,
            ),
        ),
    ] = ()
    """Networks behind the peer, routed into its tunnel. None may overlap the server's networks or another route."""
    access: AccessRules | None = None
    """What the peer may reach through its tunnel. Default what the server says; an empty list is nothing, and a rule
    without any field, [{}], everything."""
    limits: Limits | None = None
    """How fast the tunnel may be. Default what the server says; {} is no limit."""
    enabled: bool = True
    """False takes the peer off the device; address and keys are kept."""
    suspensions: Annotated[
        tuple[Suspension, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["reason"]},
        ),
    ] = ()
    """Locks on the tunnel by reason; each by itself is enough."""
    expires_at: Deadline | None = None
    """When the peer is taken off the device, e.g. 2030-01-01T00:00:00Z; a later time brings it back. Default never."""
    subscriber: Subscriber | None = None
    """Who the tunnel belongs to."""
    client: ClientSettings = ClientSettings()
    """What stands in the client's configuration instead of the server's defaults."""
    description: Text | None = None
    """Free text."""


PEER_RULES = (
    rule(
        "has(self.serverRef) != has(self.serverSelector)",
        "needs either serverRef, to name the server, or serverSelector, to have one chosen",
    ),
    rule(
        "!has(self.publicKey) || !has(self.privateKeySecretRef)",
        "takes publicKey, for a device that keeps its private key, or privateKeySecretRef, to import one, not both",
    ),
    rule(
        "!has(oldSelf.subscriber) || !has(oldSelf.subscriber.externalId) || (has(self.subscriber)"
        " && has(self.subscriber.externalId) && self.subscriber.externalId == oldSelf.subscriber.externalId)",
        "cannot be changed once it is set: foreign systems know the peer by it",
        path=".subscriber.externalId",
    ),
)


class ServerBinding(Model):
    """The server that was decided on."""

    name: str
    """Name of the WireGuardServer."""
    namespace: str
    """Its namespace."""

    @property
    def key(self) -> Key:
        """Where the server is."""
        return Key(self.namespace, self.name)


class PreviousKey(Model):
    """A key that goes on working for a while after a rotation."""

    public_key: str
    """The public key."""
    until: Time
    """When it stops working at the latest."""


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
    """Accepted, AddressAllocated, KeysReady, Programmed, Ready; Reconciling or Stalled while they are True."""
    server_ref: Annotated[ServerBinding | None, Field(alias="serverRef")] = None
    """The server that carries the tunnel."""
    addresses: tuple[str, ...] = ()
    """The subscriber's addresses in the tunnel, each with its prefix length."""
    routes: tuple[str, ...] = ()
    """Networks behind the peer that are routed into its tunnel."""
    public_key: Annotated[str | None, Field(max_length=64)] = None
    """The peer's public key."""
    key_generation: int | None = None
    """The spec.keyGeneration for which the keys were made."""
    previous_key: PreviousKey | None = None
    """The key before the last rotation, as long as it works."""
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
        Column("Server", ".status.serverRef.name"),
        Column("Address", ".status.addresses[0]"),
        Column("Phase", ".status.phase"),
        Column("Online", ".status.online", "boolean"),
        Column("Last handshake", ".status.lastHandshakeTime", "date"),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status', priority=1),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
        Column("Rx", ".status.traffic.rxBytes", "integer", 1, "Bytes received from the subscriber"),
        Column("Tx", ".status.traffic.txBytes", "integer", 1, "Bytes sent to the subscriber"),
        Column("Endpoint", ".status.endpoint", priority=1),
        Column("Customer", ".spec.subscriber.customerId", priority=1),
        Column("Public key", ".status.publicKey", priority=1),
        # As text: kubectl prints a date that is still to come as <invalid>.
        Column("Expires", ".spec.expiresAt", priority=1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    selectable=(
        ".spec.serverRef.name",
        ".spec.publicKey",
        ".spec.subscriber.customerId",
        ".spec.subscriber.subscriberId",
        ".spec.subscriber.externalId",
        ".status.phase",
        ".status.serverRef.name",
    ),
    spec_rules=PEER_RULES,
)
