"""From the specifications of a peer and its server to the policy that the device's packet filter enforces."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

from ..api.access import AccessRule
from ..api.peer import PeerSpec
from ..api.server import ServerSpec
from .policy import ALL_PORTS, Access, InvalidPolicyError, Policy, Ports, normalise


def policy_of(peer: PeerSpec, server: ServerSpec) -> Policy | None:
    """What is enforced; None: nothing."""
    access = peer.access if peer.access is not None else server.access
    return _policy(access)


@lru_cache(maxsize=4096)
def _policy(rules: tuple[AccessRule, ...] | None) -> Policy | None:
    """Peers with the same specification share one policy: most have their server's."""
    access = tuple(map(_access, rules)) if rules is not None else None
    if access is not None:
        # What means nothing goes to the agent as it is, which refuses the peer and says why.
        with suppress(InvalidPolicyError):
            access = normalise(access)
    if access == (Access(),):
        access = None
    policy = Policy(access)
    return policy if policy != Policy() else None


def _access(rule: AccessRule) -> Access:
    ports = []
    for port in rule.ports:
        first, last = (port.port, port.end_port or port.port) if port.port is not None else ALL_PORTS
        ports.append(Ports(port.protocol.lower(), first, last))
    return Access(rule.to, tuple(ports))
