"""Objects for what was found, and a word on all that will not be as it was: a pure decision."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ...api.base import manifest
from ...domain.networks import Network, server_address
from ...domain.secrets import PRESHARED_KEY, PRIVATE_KEY, imported
from ...kube.resources import PEERS, SECRETS, SERVERS
from ..cluster import CommandError
from .found import Device, Peer
from .prefixes import Share, shares

Body = dict[str, Any]

RESOURCES = {"Secret": SECRETS, "WireGuardPeer": PEERS, "WireGuardServer": SERVERS}
"""Where objects are made, by kind, in the order in which they are: keys before those who name them, and the server
last, so that no controller sees a server with half of its peers, which would be the only ones on the device."""
HIDDEN = "<hidden>"
"""What stands for a key in what people are shown."""
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
    remarks += _server_remarks(device, networks)
    objects = [imported(f"{target.server}-import", target.namespace, {PRIVATE_KEY: device.private_key})]
    # The server's name is taken, too: a peer's keys are in a Secret that is named in the same way.
    taken = {target.server}
    peers = {_name(peer, taken): peer for peer in device.peers}
    found = shares({name: peer.allowed_ips for name, peer in peers.items()}, networks)
    for name, peer in peers.items():
        remarks += (
            f"peer {name} {text}" for text in (*found[name].remarks, *_peer_remarks(peer, found[name], networks))
        )
        keys = {PRIVATE_KEY: peer.private_key, PRESHARED_KEY: peer.preshared_key}
        if known := {key: value for key, value in keys.items() if value is not None}:
            objects.append(imported(f"{name}-import", target.namespace, known))
        objects.append(manifest("WireGuardPeer", target.namespace, name, _peer_spec(peer, name, target, found[name])))
    server: Body = {
        "endpoint": {"host": target.endpoint},
        "listenPort": device.listen_port,
        "networks": [str(network) for network in networks],
        "privateKeySecretRef": {"name": f"{target.server}-import"},
        "dataPlane": dict(target.data_plane),
    }
    if device.mtu in MTU_RANGE:
        server["mtu"] = device.mtu
    objects.append(manifest("WireGuardServer", target.namespace, target.server, server))
    return Plan(in_order(objects), tuple(remarks))


def in_order(objects: Iterable[Body]) -> tuple[Body, ...]:
    """The objects in the order of RESOURCES."""
    kinds = list(RESOURCES)
    return tuple(sorted(objects, key=lambda body: kinds.index(body["kind"])))


def _networks(device: Device, target: Target) -> list[Network]:
    own = [ipaddress.ip_interface(text) for text in target.networks or device.addresses]
    # A link-local address is the link's, and clients have none in its network.
    found = {str(interface.network): None for interface in own if not interface.is_link_local}
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


def _server_remarks(device: Device, networks: Iterable[Network]) -> Iterator[str]:
    addresses = [ipaddress.ip_interface(text) for text in device.addresses]
    own = [ipaddress.ip_interface(f"{server_address(network)}/{network.prefixlen}") for network in networks]
    new = [address for address in own if addresses and address not in addresses]
    for address in new:
        yield f"the server's own address becomes {address}: in our networks it is the first host"
    for other in addresses:
        if other not in own and all(other not in address.network for address in new):
            yield f"the server loses its address {other}: it has the first one of each of its networks, and no other"
    if device.mtu is None:
        yield "no MTU is given: 1420 takes the place of wg-quick's, which is 80 less than that of the way out"
    elif device.mtu not in MTU_RANGE:
        yield f"the MTU {device.mtu} is outside 1280 to 9000: 1420 takes its place"


def _peer_remarks(peer: Peer, share: Share, networks: Iterable[Network]) -> Iterator[str]:
    if missing := sorted({network.version for network in networks} - share.addresses.keys()):
        yield f"is given an IPv{' and an IPv'.join(map(str, missing))} address that it did not have"
    if peer.keepalive:
        yield "is sent no keepalives by the server after a restart of the device; the client's do the same work"


def _peer_spec(peer: Peer, name: str, target: Target, share: Share) -> Body:
    spec: Body = {"serverRef": {"name": target.server}}
    if peer.private_key is not None:
        spec["privateKeySecretRef"] = {"name": f"{name}-import"}
    else:
        spec["publicKey"] = peer.public_key
    # Never: a preshared key that only one side has ends the tunnel.
    spec["presharedKey"] = (
        {"policy": "Always", "secretRef": {"name": f"{name}-import"}} if peer.preshared_key else {"policy": "Never"}
    )
    if share.addresses:
        spec["addresses"] = [share.addresses[version] for version in sorted(share.addresses)]
    if share.routes:
        spec["routes"] = share.routes
    if peer.name and peer.name != name:
        spec["description"] = peer.name
    return spec


def _name(peer: Peer, taken: set[str]) -> str:
    """A name that is the same at the next run, too: without a better one, from the public key."""
    wish = re.sub(r"[^a-z0-9]+", "-", peer.name.lower()).strip("-")[:NAME_LENGTH].strip("-")
    base = wish or f"peer-{hashlib.sha256(peer.public_key.encode()).hexdigest()[:10]}"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name
