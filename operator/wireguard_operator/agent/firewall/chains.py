"""From a peer's policy to nft rules. Pure.

A chain is named by what is in it. So its content never changes, peers with the same access rules share one chain, and
a change of a policy is a new chain, other elements in the maps and the end of the old chain, all in one transaction.

Rules look at each packet by itself and not at connections: a change takes hold of connections that are there already,
and a flood to forbidden destinations fills no connection table. Packets without ports because they are the later
fragments of a larger one pass where their first fragment would; without it they mean nothing to the receiver.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ...domain.policy import Access, InvalidPolicyError, Limit, Policy, Ports, normalise

PASS = "return"  # noqa: S105 - a verdict
"""Back to the chain that asked, which goes on with the packet."""

_FAMILIES = {4: ("ip", "icmp"), 6: ("ip6", "ipv6-icmp")}
_LATER_FRAGMENT = {4: "ip frag-off & 0x1fff != 0", 6: "exthdr frag exists frag frag-off != 0"}


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its rules."""

    name: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """How packets of one peer go through the table."""

    sent: str = PASS
    """Verdict for those from the peer."""
    received: str | None = None
    """Verdict for those to the peer; None: they are not looked at."""
    chains: tuple[Chain, ...] = ()
    """What the verdicts lead to; a chain comes after those that it calls."""


FREE = Way()
"""No rules and no limits: only the source address is checked."""


def way(public_key: str, policy: Policy | None) -> Way:
    """What the table does with a peer. Raises InvalidPolicyError."""
    if policy is None:
        return FREE
    chains: list[Chain] = []
    sent = PASS
    if policy.access is not None and normalise(policy.access) != (Access(),):
        access = access_chain(normalise(policy.access))
        chains.append(access)
        sent = f"goto {access.name}"
    if policy.upload is not None:
        # What is forbidden does not use up the rate of what is allowed.
        calls = tuple(f"jump {chain.name}" for chain in chains)
        upload = _named("upload", (*calls, _police(policy.upload)), public_key)
        chains.append(upload)
        sent = f"goto {upload.name}"
    received = None
    if policy.download is not None:
        download = _named("download", (_police(policy.download),), public_key)
        chains.append(download)
        received = f"goto {download.name}"
    return Way(sent, received, tuple(chains))


def access_chain(access: tuple[Access, ...]) -> Chain:
    """The chain of (normalised) access rules: what none of them allows is dropped."""
    return _named("access", (*(line for rule in access for line in _allow(rule)), "counter drop"))


def _allow(rule: Access) -> Iterator[str]:
    if not rule.to and not rule.ports:
        yield PASS
        return
    for version, (family, icmp) in _FAMILIES.items():
        networks = [text for text in rule.to if (":" in text) == (version == 6)]
        if rule.to and not networks:
            continue
        where = f"{family} daddr {_set(networks)}" if networks else f"meta nfproto ipv{version}"
        if not rule.ports:
            yield f"{where} {PASS}"
            continue
        whole = [icmp if port.protocol == "icmp" else port.protocol for port in rule.ports if port.is_whole]
        some = [port for port in rule.ports if not port.is_whole]
        if whole:
            yield f"{where} meta l4proto {_set(whole)} {PASS}"
        if some:
            yield f"{where} meta l4proto . th dport {_set(_port(port) for port in some)} {PASS}"
            protocols = dict.fromkeys(port.protocol for port in some)
            yield f"{where} {_LATER_FRAGMENT[version]} meta l4proto {_set(protocols)} {PASS}"


def _set(elements: Iterator[str] | list[str] | dict[str, None]) -> str:
    return f"{{ {', '.join(elements)} }}"


def _port(port: Ports) -> str:
    return f"{port.protocol} . {port.first}" + (f"-{port.last}" if port.last != port.first else "")


def _police(limit: Limit) -> str:
    if limit.rate <= 0 or limit.burst <= 0:
        raise InvalidPolicyError(f"a limit of {limit.rate} bytes/s, burst {limit.burst} bytes: both must be positive")
    return f"limit rate over {limit.rate} bytes/second burst {limit.burst} bytes drop"


def _named(kind: str, rules: tuple[str, ...], owner: str = "") -> Chain:
    """``owner``: what the chain is for alone; a limit is one subscriber's."""
    digest = hashlib.sha256("\n".join((owner, *rules)).encode()).hexdigest()
    return Chain(f"{kind}_{digest[:20]}", rules)
