"""What a peer may reach through its tunnel, and how fast: the part of the desired state that a packet filter enforces.

Rules are kept in one normal form (merged, sorted, without overlaps), so that two specifications that mean the same
make the same state, the same digest and one chain of rules however many peers have them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

PROTOCOLS = ("icmp", "sctp", "tcp", "udp")
"""In the order of the normal form. ``icmp`` is ICMPv6 on IPv6."""

ALL_PORTS = (0, 65535)


class InvalidPolicyError(ValueError):
    """A policy that means nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Destination ports of one protocol, both ends included; ``ALL_PORTS`` for a protocol as a whole."""

    protocol: str
    first: int = ALL_PORTS[0]
    last: int = ALL_PORTS[1]

    @property
    def is_whole(self) -> bool:
        """Whether the port does not matter."""
        return (self.first, self.last) == ALL_PORTS


@dataclass(frozen=True, slots=True)
class Access:
    """Destinations that a peer may send to."""

    to: tuple[str, ...] = ()
    """Prefixes; none: every destination."""
    ports: tuple[Ports, ...] = ()
    """None: every protocol and port."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate in one direction; packets beyond it are dropped."""

    rate: int
    """Bytes a second."""
    burst: int
    """Bytes beyond one second's worth of the rate that may pass at once after a pause."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the packet filter does with one peer. The policy without any field set is not said at all (None)."""

    access: tuple[Access, ...] | None = None
    """The peer may send what one of these allows; an empty tuple allows nothing, None everything."""
    upload: Limit | None = None
    """From the peer."""
    download: Limit | None = None
    """To the peer."""


def words(policy: Policy) -> Iterable[str]:
    """The policy for a digest: different for policies that differ, and without what is not set."""
    if policy.access is not None:
        yield "access"
        for rule in policy.access:
            yield " ".join(("rule", *rule.to, *(f"{p.protocol}:{p.first}-{p.last}" for p in rule.ports)))
    for name, limit in (("upload", policy.upload), ("download", policy.download)):
        if limit is not None:
            yield f"{name} {limit.rate} {limit.burst}"


@lru_cache(maxsize=4096)
def normalise(access: tuple[Access, ...]) -> tuple[Access, ...]:
    """The normal form; equal rules become one. Raises InvalidPolicyError."""
    rules = {Access(prefixes(rule.to), ranges(rule.ports)): None for rule in access}
    if Access() in rules:
        return (Access(),)
    return tuple(sorted(rules, key=lambda rule: (rule.to, [(p.protocol, p.first, p.last) for p in rule.ports])))


def prefixes(texts: Sequence[str]) -> tuple[str, ...]:
    """Prefixes merged and in order, IPv4 first. Raises InvalidPolicyError."""
    v4: list[ipaddress.IPv4Network] = []
    v6: list[ipaddress.IPv6Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise InvalidPolicyError(f"access.to {text[:64]!r} is not an IP prefix") from None
        if isinstance(network, ipaddress.IPv4Network):
            v4.append(network)
        elif network.network_address.scope_id or network.network_address.ipv4_mapped:
            raise InvalidPolicyError(f"access.to {text[:64]!r}: zones and IPv4-mapped addresses are in no packet")
        else:
            v6.append(network)
    return tuple(map(str, (*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6))))


def ranges(ports: Sequence[Ports]) -> tuple[Ports, ...]:
    """Port ranges merged and in order. Raises InvalidPolicyError."""
    merged: list[Ports] = []
    for port in sorted(ports, key=lambda port: (port.protocol, port.first, port.last)):
        if port.protocol not in PROTOCOLS:
            raise InvalidPolicyError(f"access.ports {port.protocol[:16]!r} must be one of {', '.join(PROTOCOLS)}")
        if not ALL_PORTS[0] <= port.first <= port.last <= ALL_PORTS[1]:
            raise InvalidPolicyError(f"access.ports {port.first}-{port.last} must be a range within 0 to 65535")
        if port.protocol == "icmp" and not port.is_whole:
            raise InvalidPolicyError("access.ports: icmp has no ports")
        last = merged[-1] if merged else None
        if last is not None and last.protocol == port.protocol and port.first <= last.last + 1:
            merged[-1] = Ports(port.protocol, last.first, max(last.last, port.last))
        else:
            merged.append(port)
    return tuple(merged)
