"""Objects for what was found, and a word on all that will not be as it was: a pure decision."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...api.base import manifest
from ...domain.networks import server_address
from ...domain.secrets import PRESHARED_KEY, PRIVATE_KEY, imported
from ...kube.resources import PEERS, SECRETS, SERVERS
from ..cluster import CommandError
from .found import Device, Peer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Body = dict[str, Any]

RESOURCES = {"Secret": SECRETS, "WireGuardPeer": PEERS, "WireGuardServer": SERVERS}
"""Where objects are made, by kind, in the order in which they are: keys before those who name them, and the server
last, so that no controller sees a server with half of its peers, which would be the only ones on the device."""
NAME_LENGTH = 50
MTU_RANGE = range(1280, 9001)
"""What spec.mtu takes."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the source does not say."""

    server: str
    namespace: str
    endpoint: str
    """Host of the clients' configurations."""
    networks: tuple[str, ...] = ()
    """Instead of those of the device's own addresses."""
    data_plane: tuple[tuple[str, object], ...] = ()
    """Of spec.dataPlane."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be made."""

    objects: tuple[Body, ...]
    """In the order of RESOURCES."""
    remarks: tuple[str, ...]
    """What changes for somebody, one sentence each."""


def plan(device: Device, target: Target) -> Plan:
    """The objects of a device. Raises CommandError when it cannot be one of ours."""
    networks = _networks(device, target)
    remarks = [f"setting {name} has no counterpart and is left out" for name in device.ignored]
    addresses = {ipaddress.ip_interface(text) for text in device.addresses}
    for network in networks:
        own = ipaddress.ip_interface(f"{server_address(network)}/{network.prefixlen}")
        if addresses and own not in addresses:
            remarks.append(f"the server's own address becomes {own}: in our networks it is the first host")
    mtu = device.mtu
    if mtu is not None and mtu not in MTU_RANGE:
        remarks.append(f"the MTU {mtu} is outside 1280 to 9000: 1420 takes its place")
        mtu = None
    objects = [imported(f"{target.server}-import", target.namespace, {PRIVATE_KEY: device.private_key})]
    # The server's name is taken, too: a peer's keys are in a Secret that is named in the same way.
    taken = {target.server}
    for peer in device.peers:
        name = _name(peer, taken)
        spec = _peer_spec(peer, name, target, networks, remarks)
        keys = {PRIVATE_KEY: peer.private_key, PRESHARED_KEY: peer.preshared_key}
        if known := {key: value for key, value in keys.items() if value is not None}:
            objects.append(imported(f"{name}-import", target.namespace, known))
        objects.append(manifest("WireGuardPeer", target.namespace, name, spec))
    server: Body = {
        "endpoint": {"host": target.endpoint},
        "listenPort": device.listen_port,
        "networks": [str(network) for network in networks],
        "privateKeySecretRef": {"name": f"{target.server}-import"},
        "dataPlane": dict(target.data_plane),
    }
    if mtu is not None:
        server["mtu"] = mtu
    objects.append(manifest("WireGuardServer", target.namespace, target.server, server))
    return Plan(in_order(objects), tuple(remarks))


def in_order(objects: Iterable[Body]) -> tuple[Body, ...]:
    """The objects in the order of RESOURCES."""
    kinds = list(RESOURCES)
    return tuple(sorted(objects, key=lambda body: kinds.index(body["kind"])))


def _networks(device: Device, target: Target) -> list[Network]:
    found = {str(ipaddress.ip_interface(text).network): None for text in target.networks or device.addresses}
    networks = [ipaddress.ip_network(text) for text in found]
    least = {4: 30, 6: 126}
    bad = [str(network) for network in networks if network.prefixlen > least[network.version]]
    families = [network.version for network in networks]
    if not networks or bad or len(set(families)) < len(families):
        has = ", ".join(map(str, networks)) or "none"
        raise CommandError(
            f"a server has one IPv4 and/or one IPv6 network, each with room for a peer (/30 and /126 at most), but the"
            f" device has {has}; say which with --network, e.g. --network 10.8.0.0/24"
        )
    return networks


def _peer_spec(peer: Peer, name: str, target: Target, networks: Iterable[Network], remarks: list[str]) -> Body:
    addresses: dict[int, str] = {}
    routes: list[str] = []
    lost: list[str] = []
    for text in peer.allowed_ips:
        prefix = ipaddress.ip_network(text, strict=False)
        inside = any(prefix.version == network.version and _overlap(prefix, network) for network in networks)
        if not prefix.prefixlen:
            lost.append(f"{prefix} (a default route cannot lie behind a peer)")
        elif not inside:
            routes.append(str(prefix))
        elif prefix.prefixlen < prefix.max_prefixlen:
            lost.append(f"{prefix} (inside the server's networks only single addresses are given to peers)")
        elif prefix.version in addresses:
            lost.append(f"{prefix} (the peer has {addresses[prefix.version]} of this network already)")
        else:
            addresses[prefix.version] = str(prefix.network_address)
    remarks.extend(f"peer {name} loses the allowed IP {text}" for text in lost)
    versions = {network.version for network in networks}
    if missing := sorted(versions - addresses.keys()):
        remarks.append(
            f"peer {name} is given an IPv{' and an IPv'.join(map(str, missing))} address that it did not have"
        )
    if peer.keepalive:
        remarks.append(
            f"peer {name}: after a restart of the device the server sends no keepalives; the client's do the same work"
        )
    spec: Body = {"serverRef": {"name": target.server}}
    if peer.private_key is not None:
        spec["privateKeySecretRef"] = {"name": f"{name}-import"}
    else:
        spec["publicKey"] = peer.public_key
    # Never: a preshared key that only one side has ends the tunnel.
    spec["presharedKey"] = (
        {"policy": "Always", "secretRef": {"name": f"{name}-import"}} if peer.preshared_key else {"policy": "Never"}
    )
    if addresses:
        spec["addresses"] = [addresses[version] for version in sorted(addresses)]
    if routes:
        spec["routes"] = routes
    if peer.name and peer.name != name:
        spec["description"] = peer.name
    return spec


def _overlap(prefix: Network, network: Network) -> bool:
    if isinstance(prefix, ipaddress.IPv4Network):
        return isinstance(network, ipaddress.IPv4Network) and prefix.overlaps(network)
    return isinstance(network, ipaddress.IPv6Network) and prefix.overlaps(network)


def _name(peer: Peer, taken: set[str]) -> str:
    """A name that is the same at the next run, too: without a better one, from the public key."""
    wish = re.sub(r"[^a-z0-9]+", "-", peer.name.lower()).strip("-")[:NAME_LENGTH].strip("-")
    base = wish or f"peer-{hashlib.sha256(peer.public_key.encode()).hexdigest()[:10]}"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name
