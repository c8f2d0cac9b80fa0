"""A server's networks: which are in force, the server's own address in each, and how many peers they hold.

The networks of a specification come into force as long as no peer holds an address that they leave out. Otherwise the
former ones stay, since taking a subscriber's address away is nothing that a typing mistake may do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..api.reasons import Reason
from ..api.server import MAX_PEERS, ServerSpec
from .conditions import Problem

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAMED = 3
"""Peers that a message names before it only counts them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The networks to work with."""

    networks: tuple[Network, ...]
    problem: Problem | None = None


def parse(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from their texts."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def plan(wanted: Sequence[Network], in_force: Sequence[Network], held: Iterable[tuple[Address, str]]) -> Plan:
    """The networks to work with, for peers that hold addresses (each with its peer's name)."""
    left_out = sorted(
        ((address, peer) for address, peer in held if not any(is_usable(network, address) for network in wanted)),
        key=lambda item: (item[0].version, int(item[0])),
    )
    if not left_out:
        return Plan(tuple(wanted))
    named = ", ".join(f"{address} ({peer})" for address, peer in left_out[:NAMED])
    more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    stays = tuple(in_force) or tuple(wanted)
    message = (
        f"spec.networks {_list(wanted)} leaves out addresses that peers hold, or needs them for the server itself:"
        f" {named}{more}; {_list(stays)} stays in force until those peers are deleted or moved"
    )
    return Plan(stays, Problem(Reason.NETWORK_IN_USE, message))


def _list(networks: Iterable[Network]) -> str:
    return ", ".join(map(str, networks))


def server_address(network: Network) -> Address:
    """The server's own address: the first host (IPv6's all-zero host is the subnet-router anycast, RFC 4291 2.6.1)."""
    return network[1]


def is_usable(network: Network, address: Address) -> bool:
    """Whether a peer can have the address: not the network's, the server's or IPv4's broadcast address."""
    if address.version != network.version or address not in network:
        return False
    taken = (network.network_address, server_address(network))
    return address not in taken and not (network.version == 4 and address == network.broadcast_address)


def capacity(spec: ServerSpec, networks: Iterable[Network]) -> int:
    """The most peers that a server can have: by its networks without what is reserved, and by ``maxPeers``."""
    reserved = parse(spec.reserved)
    return min([spec.max_peers or MAX_PEERS, *(_room(network, reserved) for network in networks)])


def _room(network: Network, reserved: Sequence[Network]) -> int:
    if any(is_inside(network, part) for part in reserved):
        return 0
    room = network.num_addresses - (3 if network.version == 4 else 2)
    for part in _merged(network, reserved):
        inside = part.num_addresses
        # The network's, the server's and the broadcast address were counted already.
        inside -= (network.network_address in part) + (server_address(network) in part)
        inside -= network.version == 4 and network.broadcast_address in part
        room -= inside
    return max(room, 0)


def _merged(network: Network, parts: Iterable[Network]) -> list[Network]:
    inside = [part for part in parts if is_inside(part, network)]
    v4 = [part for part in inside if isinstance(part, ipaddress.IPv4Network)]
    v6 = [part for part in inside if isinstance(part, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6)]


def is_inside(part: Network, whole: Network) -> bool:
    """Whether ``whole`` holds all of ``part``."""
    return part.version == whole.version and part.network_address in whole and part.broadcast_address in whole
