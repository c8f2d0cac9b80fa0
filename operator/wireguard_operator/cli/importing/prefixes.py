"""From the allowed IPs of a device to addresses and routes of peers: pure.

WireGuard sends a packet to the peer with the longest prefix that holds its destination, so prefixes of two peers may
lie within each other. Routes of our peers do not overlap. What another peer has is therefore taken out of the larger
prefix, which is then several: each packet goes where it went before.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...api.peer import MAX_ROUTES
from ...domain.networks import Network, is_inside, is_usable
from ..cluster import CommandError

_BROADCAST = ipaddress.ip_network("255.255.255.255")


@dataclass(slots=True)
class Share:
    """What one peer has."""

    addresses: dict[int, str] = field(default_factory=dict)
    """By IP version."""
    routes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What will not be as it was; the peer's name goes before each."""


@dataclass(slots=True)
class _Claim:
    network: Network
    owner: str
    """Empty: the server's network."""
    holes: list[Network] = field(default_factory=list)
    """What others have of it."""


def shares(peers: Mapping[str, Sequence[str]], networks: Sequence[Network]) -> dict[str, Share]:
    """For each peer, by name, what becomes of its allowed IPs. Raises CommandError where two have the same one."""
    found = {name: Share() for name in peers}
    claims = [_Claim(network, "") for network in networks]
    owners: dict[Network, str] = {}
    for name, allowed in peers.items():
        for prefix in (ipaddress.ip_network(text, strict=False) for text in allowed):
            if (other := owners.setdefault(prefix, name)) != name:
                raise CommandError(
                    f"peers {other} and {name} both have the allowed IP {prefix}; WireGuard gives it to the one that"
                    " was named last: take it out of the other one"
                )
            if prefix.prefixlen and _is_unicast(prefix) and not any(is_inside(prefix, network) for network in networks):
                claims.append(_Claim(prefix, name))
            else:
                _take(found[name], prefix, networks)
    for claim in _apart(claims):
        if claim.owner:
            _route(found[claim.owner], claim)
    for name, share in found.items():
        if len(share.routes) > MAX_ROUTES:
            raise CommandError(
                f"peer {name} would have {len(share.routes)} routes, and {MAX_ROUTES} are the most: its prefixes are"
                " split around those of others that lie within them; give it smaller ones that lie beside them"
            )
    return found


def _is_unicast(prefix: Network) -> bool:
    """As the API server has it: Go's IsGlobalUnicast of the prefix's first address."""
    first = prefix.network_address
    special = first.is_unspecified or first.is_loopback or first.is_multicast or first.is_link_local
    return not special and prefix != _BROADCAST


def _take(share: Share, prefix: Network, networks: Iterable[Network]) -> None:
    """One that is no route."""
    address = str(prefix.network_address)
    if not prefix.prefixlen:
        reason = "a default route cannot lie behind a peer"
    elif not _is_unicast(prefix):
        reason = "not a network of unicast addresses"
    elif prefix.prefixlen < prefix.max_prefixlen:
        reason = "inside the server's networks only single addresses are given to peers"
    elif prefix.version in share.addresses:
        reason = f"the peer has {share.addresses[prefix.version]} of this network already"
    else:
        share.addresses[prefix.version] = address
        if not any(is_usable(network, prefix.network_address) for network in networks):
            share.remarks.append(
                f"cannot keep {address}, which is the server's own, or the network's first or last one"
            )
        return
    share.remarks.append(f"loses the allowed IP {prefix} ({reason})")


def _route(share: Share, claim: _Claim) -> None:
    parts = _without(claim.network, claim.holes)
    share.routes += map(str, parts)
    if claim.holes:
        others = ", ".join(map(str, claim.holes[:3])) + (" and more" if len(claim.holes) > 3 else "")
        share.remarks.append(f"has {claim.network} without {others}, which others have: {len(parts)} routes")


def _apart(claims: Iterable[_Claim]) -> list[_Claim]:
    """The claims in the order of their addresses, with those that lie in others as their holes."""
    found: list[_Claim] = []
    above: list[_Claim] = []
    for claim in sorted(
        claims, key=lambda one: (one.network.version, one.network.network_address, one.network.prefixlen)
    ):
        while above and not is_inside(claim.network, above[-1].network):
            above.pop()
        if above and above[-1].owner == claim.owner:
            continue  # the peer has it by the larger one
        if above:
            above[-1].holes.append(claim.network)
        above.append(claim)
        found.append(claim)
    return found


def _without(network: Network, holes: Sequence[Network]) -> list[Network]:
    """What is left of a network; a bit more than ``MAX_ROUTES`` at most, since nobody can use them."""
    parts: list[Network] = [network]
    for hole in holes:
        parts = [
            rest
            for part in parts
            for rest in (part.address_exclude(hole) if is_inside(hole, part) else [part])  # type: ignore[arg-type]
        ]
        if len(parts) > 2 * MAX_ROUTES:
            break
    return sorted(parts, key=lambda part: part.network_address)
