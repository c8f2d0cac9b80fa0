"""``WireGuardServer``: one VPN server — its endpoint, its networks and the machine that realises it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .access import AccessRules, WalledGarden
from .base import Column, Kind, Model, Resource, Time
from .conditions import Conditions
from .data_plane import DataPlane
from .fields import (
    CIDR,
    MTU,
    ONE_PER_FAMILY,
    UNICAST,
    UNIQUE,
    DNSEntry,
    HostName,
    Keepalive,
    Port,
    Text,
    rule,
    rules,
)
from .keys import KeyGeneration, PrivateKeyRef
from .limits import Limits, Throttle
from .selectors import AllowedNamespaces, Location

MAX_PEERS = 65536
"""The most that wireguard-go takes (device/constants.go, MaxPeers)."""


class ServerPhase(StrEnum):
    """One word for people; programs read the conditions."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"
    DEGRADED = "Degraded"
    MAINTENANCE = "Maintenance"


class Endpoint(Model):
    """Where subscribers reach the server."""

    host: HostName
    """Public DNS name or IP address, as it stands in the configurations of clients."""
    port: Port | None = None
    """Public UDP port if it differs from listenPort, e.g. behind a port forwarding."""


class Egress(Model):
    """What becomes of packets that leave the tunnel."""

    masquerade: bool | None = None
    """Whether they leave with the server's own address. Default true for pods, whose network knows no other, and false
    for hosts, where the administrator routes."""
    isolation: bool = False
    """Whether peers are kept from reaching one another through the server."""


class Maintenance(Model):
    """Work on the server."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.drain || self.enabled", "drain needs enabled: true; a server is drained only during maintenance"
            )
        )
    )

    enabled: bool = False
    """No selector chooses the server; the peers that are there are served."""
    drain: bool = False
    """Move the peers that a selector brought to other servers, as far as those have room."""
    message: Text | None = None
    """Free text."""


class ServerSpec(Model):
    """What the administrator wants."""

    endpoint: Endpoint | None = None
    """Where subscribers reach the server. Default for pods the address of their Service's load balancer."""
    listen_port: Port = 51820
    """UDP port on which WireGuard listens."""
    networks: Annotated[
        tuple[CIDR, ...],
        Field(
            min_length=1,
            max_length=2,
            json_schema_extra=rules(
                ONE_PER_FAMILY,
                rule(
                    "self.all(n, !isCIDR(n) || cidr(n).prefixLength() <= (cidr(n).ip().family() == 4 ? 30 : 126))",
                    "a network needs room for the server and a peer: at most /30 for IPv4 and /126 for IPv6",
                ),
                rule(
                    "self.all(n, !isCIDR(n) || cidr(n).prefixLength() >= (cidr(n).ip().family() == 4 ? 8 : 32))",
                    "a network is one pool of addresses, not half the Internet: at least /8 for IPv4 and /32 for IPv6",
                ),
                UNICAST,
                **UNIQUE,
            ),
        ),
    ]
    """Address pools of the tunnel: one IPv4 and/or one IPv6 network. The first host address is the server's. May grow;
    leaving out addresses that peers hold is refused."""
    reserved: Annotated[tuple[CIDR, ...], Field(max_length=64, json_schema_extra=UNIQUE)] = ()
    """Parts of the networks from which no address is given out."""
    max_peers: Annotated[int | None, Field(ge=1, le=MAX_PEERS)] = None
    """The most peers that the server takes. Default as many as its networks have addresses."""
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    """Namespaces whose peers may use the server. Default its own."""
    enabled: bool = True
    """False takes all peers off the device; addresses and keys are kept."""
    maintenance: Maintenance = Maintenance()
    """Work on the server."""
    location: Location | None = None
    """Where the server stands; selectors can choose by it."""
    private_key_secret_ref: Annotated[PrivateKeyRef | None, Field(alias="privateKeySecretRef")] = None
    """Take the server's private key from this Secret instead of making one."""
    key_generation: KeyGeneration = 0
    """Raise it to have a new server key made. Every client must import its configuration again."""
    dns: Annotated[tuple[DNSEntry, ...], Field(max_length=8, json_schema_extra=UNIQUE)] = ()
    """DNS servers and search domains for clients."""
    mtu: MTU | None = None
    """MTU of the tunnel on the server and, unless the peer says otherwise, on clients. Default 1420."""
    client_allowed_ips: Annotated[
        tuple[CIDR, ...], Field(alias="clientAllowedIPs", max_length=64, json_schema_extra=UNIQUE)
    ] = ()
    """What clients route into the tunnel. Default everything: 0.0.0.0/0 and ::/0."""
    persistent_keepalive: Keepalive = 25
    """Seconds between keepalives that clients send to hold NAT mappings open; 0 is off."""
    egress: Egress = Egress()
    """What becomes of packets that leave the tunnel."""
    access: AccessRules | None = None
    """What peers may reach that have no spec.access of their own. Default everything."""
    limits: Limits | None = None
    """How fast the tunnel of each peer may be that has no spec.limits of its own. Default no limit."""
    walled_garden: WalledGarden | None = None
    """What peers reach that are suspended with mode: WalledGarden. Without it they are cut."""
    throttle: Throttle | None = None
    """How fast peers are that are suspended with mode: Throttle. Without it they are cut."""
    data_plane: DataPlane = DataPlane()
    """What realises the server. Default pods that the operator makes."""


SERVER_RULES = (
    rule(
        "has(self.endpoint) || !has(self.dataPlane) || self.dataPlane.type != 'Host'",
        "is needed for type: Host, since nothing tells how subscribers reach that host",
        path=".endpoint",
    ),
    rule(
        "!has(self.dataPlane) || !(self.dataPlane.type in ['WGEasy', 'Firezone'])"
        " || !(has(self.access) || has(self.limits) || has(self.walledGarden) || has(self.throttle))",
        "access, limits, walledGarden and throttle go with dataPlane.type: Pod or Host; wg-easy and Firezone cannot"
        " enforce them",
    ),
    rule(
        "!has(self.dataPlane) || !(self.dataPlane.type in ['WGEasy', 'Firezone'])"
        " || !(has(self.privateKeySecretRef) || has(self.egress)"
        " || (has(self.keyGeneration) && self.keyGeneration > 0))",
        "privateKeySecretRef, keyGeneration and egress go with dataPlane.type: Pod or Host; wg-easy and Firezone keep"
        " their own key and route themselves",
    ),
    rule(
        "!has(self.reserved) || self.reserved.all(r, !isCIDR(r) ||"
        " self.networks.exists(n, isCIDR(n) && cidr(n).containsCIDR(r)))",
        "every entry must lie inside one of the networks",
        path=".reserved",
    ),
    rule(
        "!has(self.allowedNamespaces) ||"
        " (has(self.allowedNamespaces.selector) == (self.allowedNamespaces.from == 'Selector'))",
        "selector goes with from: Selector, and only with it",
        path=".allowedNamespaces",
    ),
)


class PeerCounts(Model):
    """Peers of the server."""

    total: int = 0
    """Peers that name this server."""
    active: int = 0
    """Peers on the device."""
    online: int = 0
    """Peers with a handshake in the last 180 seconds."""


class ServerTraffic(Model):
    """Sum over the server's peers, from the server's side."""

    rx_bytes: int = 0
    """Bytes received from subscribers."""
    tx_bytes: int = 0
    """Bytes sent to subscribers."""


class DataPlaneStatus(Model):
    """What the agent last said."""

    implementation: str | None = None
    """Userspace or Kernel."""
    version: str | None = None
    """Version of the agent."""
    revision: int | None = None
    """Revision of the desired state that is on the device."""
    active_pod: str | None = None
    """With two replicas: the pod that serves."""
    standby_pods: int | None = None
    """With two replicas: the pods that could take over at once."""


class ServerStatus(Model):
    """What the operator observed."""

    observed_generation: int | None = None
    """Generation of the spec that this status speaks of."""
    phase: ServerPhase | None = None
    """One word for people; programs read the conditions."""
    conditions: Conditions = ()
    """Accepted, KeysReady, Programmed, Available, Ready; Reconciling or Stalled while they are True."""
    public_key: Annotated[str | None, Field(max_length=64)] = None
    """The server's WireGuard public key."""
    endpoint: str | None = None
    """host:port as it stands in client configurations."""
    addresses: tuple[str, ...] = ()
    """The server's own addresses in the tunnel."""
    networks: tuple[str, ...] = ()
    """The networks in force: spec.networks, or the former ones while peers hold addresses that those leave out."""
    capacity: int | None = None
    """The most peers that the server can have."""
    utilization_percent: int | None = None
    """Peers as a share of the capacity."""
    key_generation: int | None = None
    """The spec.keyGeneration for which the key was made."""
    peers: PeerCounts | None = None
    """Counts of peers."""
    traffic: ServerTraffic | None = None
    """Sum over the peers."""
    last_stats_time: Time | None = None
    """When the counters were last read; up to ten minutes behind while they stay the same."""
    data_plane: DataPlaneStatus | None = None
    """What the agent last said."""


class WireGuardServer(Resource[ServerSpec, ServerStatus]):
    """One object of the kind."""

    spec: ServerSpec
    status: ServerStatus = ServerStatus()


SERVER = Kind(
    kind="WireGuardServer",
    plural="wireguardservers",
    singular="wireguardserver",
    short_names=("wgs",),
    model=WireGuardServer,
    description="A WireGuard server: public endpoint, address pools and the machine that realises it.",
    columns=(
        Column("Endpoint", ".status.endpoint"),
        Column("Phase", ".status.phase"),
        Column("Peers", ".status.peers.total", "integer"),
        Column("Online", ".status.peers.online", "integer"),
        Column("Capacity", ".status.capacity", "integer"),
        Column("Networks", ".status.networks", priority=1),
        Column("Location", ".spec.location.name", priority=1),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status', priority=1),
        Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
        Column("Public key", ".status.publicKey", priority=1),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    selectable=(".spec.location.country", ".spec.location.region", ".status.phase"),
    spec_rules=SERVER_RULES,
)
