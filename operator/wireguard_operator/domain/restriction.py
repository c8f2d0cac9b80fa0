"""From the specifications of a peer and its server to the policy that the device's packet filter enforces."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache

from ..api.access import AccessPort, AccessRule, Protocol, WalledGarden
from ..api.limits import Limits
from ..api.peer import PeerSpec, SuspensionMode
from ..api.server import ServerSpec
from .policy import ALL_PORTS, Access, InvalidPolicyError, Limit, Policy, Ports, normalise

DEFAULT_BURST = 64 << 10
"""Bytes: the largest packet that the kernel hands on in one piece."""

DNS_PORT = 53

_QUANTITY = re.compile(r"\+?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+|)")
_POWERS = " KMGTPE"
_SMALL = {"n": "1e-9", "u": "1e-6", "m": "1e-3"}


def policy_of(peer: PeerSpec, server: ServerSpec, suspended: SuspensionMode | None = None) -> Policy | None:
    """What is enforced; None: nothing. ``suspended``: how, for a peer that stays on the device meanwhile."""
    access = peer.access if peer.access is not None else server.access
    limits = peer.limits if peer.limits is not None else server.limits
    if suspended is SuspensionMode.WALLED_GARDEN:
        access = _garden(server.walled_garden or WalledGarden(), server.dns)
    throttle = server.throttle.bandwidth if suspended is SuspensionMode.THROTTLE and server.throttle else None
    return _policy(access, limits, throttle)


@lru_cache(maxsize=256)
def _garden(garden: WalledGarden, dns: tuple[str, ...]) -> tuple[AccessRule, ...]:
    """Nothing where the garden is empty: a rule without destinations would be about all of them."""
    resolvers = tuple(str(ipaddress.ip_network(entry)) for entry in dns if _is_address(entry))
    ports = tuple(AccessPort(protocol=protocol, port=DNS_PORT) for protocol in (Protocol.UDP, Protocol.TCP))
    portal = (AccessRule(to=garden.allow),) if garden.allow else ()
    return (*portal, AccessRule(to=resolvers, ports=ports)) if resolvers else portal


def _is_address(entry: str) -> bool:
    """Search domains stand between the addresses."""
    try:
        ipaddress.ip_address(entry)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def _policy(rules: tuple[AccessRule, ...] | None, limits: Limits | None, throttle: str | None) -> Policy | None:
    """Peers with the same specification share one policy: most have their server's."""
    access = tuple(map(_access, rules)) if rules is not None else None
    if access is not None:
        # What means nothing goes to the agent as it is, which refuses the peer and says why.
        with suppress(InvalidPolicyError):
            access = normalise(access)
    if access == (Access(),):
        access = None
    limits = limits or Limits()
    upload, download = _limit(limits.upload, limits.burst), _limit(limits.download, limits.burst)
    slow = _limit(throttle, None)
    policy = Policy(access, _slower(upload, slow), _slower(download, slow))
    return policy if policy != Policy() else None


def _access(rule: AccessRule) -> Access:
    ports = []
    for port in rule.ports:
        first, last = (port.port, port.end_port or port.port) if port.port is not None else ALL_PORTS
        ports.append(Ports(port.protocol.lower(), first, last))
    return Access(rule.to, tuple(ports))


def _slower(one: Limit | None, other: Limit | None) -> Limit | None:
    return min((limit for limit in (one, other) if limit is not None), key=lambda limit: limit.rate, default=None)


def _limit(bandwidth: str | None, burst: str | None) -> Limit | None:
    if bandwidth is None:
        return None
    try:
        return Limit(int(amount(bandwidth)) // 8, int(amount(burst)) if burst is not None else DEFAULT_BURST)
    except ValueError:
        return Limit(0, 0)  # left to the agent as above


def amount(quantity: str) -> Decimal:
    """A quantity as a number, e.g. 50M (apimachinery, resource.Quantity). Raises ValueError."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(f"{quantity[:32]!r} is not a quantity such as 50M or 256Ki")
    number, suffix = found.groups()
    if suffix[:1] in ("e", "E") and suffix[1:]:
        return Decimal(number + suffix)
    if suffix in _SMALL:
        return Decimal(number) * Decimal(_SMALL[suffix])
    power = _POWERS.index(suffix[:1].upper() or " ")
    return Decimal(number) * Decimal(1024 if suffix.endswith("i") else 1000) ** power
