"""Who owns which routed prefix of a server.

WireGuard gives a packet to the one peer whose allowed IPs hold its address, so two prefixes of different peers must
not overlap, nor may one overlap the server's own networks. The older object wins, and a prefix that loses waits: when
the winner goes, its peer is looked at again. Prefixes that are granted never overlap, so that the neighbours in a
sorted list tell whether another one fits. Those that wait are found by their place in another one: when a route is
freed, nobody else's has to be looked at, however many wait.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..api.base import Key
from .claims import Claim

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Span(NamedTuple):
    version: int
    first: int
    last: int

    @classmethod
    def of(cls, network: Network) -> _Span:
        return cls(network.version, int(network.network_address), int(network.broadcast_address))

    def overlaps(self, other: _Span) -> bool:
        return self.version == other.version and self.first <= other.last and other.first <= self.last


class RouteTable:
    """The routed prefixes of one server's peers."""

    def __init__(self, own: Iterable[Network] = ()) -> None:
        """``own`` are the server's own networks, which no route may overlap."""
        self._own = tuple(own)
        self._granted: list[_Span] = []
        self._owner: dict[_Span, tuple[Claim, Network]] = {}
        self._refused: dict[Key, dict[Network, str]] = {}
        self._waiting = _Waiting()
        self._claims: dict[Key, tuple[Claim, frozenset[Network]]] = {}

    def enter(self, claim: Claim, wanted: Iterable[Network]) -> set[Key]:
        """Enter a peer's prefixes in place of its former ones; the other peers whose routes that may change."""
        prefixes = _outermost(wanted)
        before = self._claims.get(claim.peer)
        if before == (claim, prefixes) and claim.peer not in self._refused:
            return set()
        stays = before is not None and before[0] == claim
        affected = self._drop(claim.peer, keep=prefixes if stays else frozenset())
        if not prefixes:
            return affected
        self._claims[claim.peer] = claim, prefixes
        for prefix in sorted(prefixes, key=_Span.of):
            affected |= self._grant(claim, prefix)
        return affected - {claim.peer}

    def withdraw(self, peer: Key) -> set[Key]:
        """The peer has no routes any more; the peers that may get theirs now."""
        return self._drop(peer, keep=frozenset())

    def granted(self, peer: Key) -> tuple[Network, ...]:
        """The prefixes that are routed to the peer, in order."""
        _, prefixes = self._claims.get(peer, (None, frozenset[Network]()))
        return tuple(sorted(prefixes - self._refused.get(peer, {}).keys(), key=_Span.of))

    def refused(self, peer: Key) -> tuple[str, ...]:
        """Why the other prefixes are not, one sentence each, in the order of the prefixes."""
        refused = self._refused.get(peer, {})
        return tuple(refused[prefix] for prefix in sorted(refused, key=_Span.of))

    def _grant(self, claim: Claim, prefix: Network) -> set[Key]:
        span = _Span.of(prefix)
        for own in self._own:
            if span.overlaps(_Span.of(own)):
                self._refuse(claim.peer, prefix, f"the server's own network {own}")
                return set()
        rivals = [rival for rival in self._overlapping(span) if self._owner[rival][0].peer != claim.peer]
        for rival in rivals:
            other, network = self._owner[rival]
            if other < claim:
                self._refuse(claim.peer, prefix, _older(network, other.peer, claim.peer))
                return set()
        affected = set()
        for rival in rivals:
            other, network = self._owner[rival]
            self._remove(rival)
            # Somebody who waited for the rest of the rival's prefix can have it now.
            affected |= self._waiting.overlapping(rival) | {other.peer}
            self._refuse(other.peer, network, _older(prefix, claim.peer, other.peer))
        if span not in self._owner:
            insort(self._granted, span)
        self._owner[span] = claim, prefix
        return affected

    def _drop(self, peer: Key, keep: frozenset[Network]) -> set[Key]:
        _, prefixes = self._claims.pop(peer, (None, frozenset[Network]()))
        refused = self._refused.pop(peer, {})
        for prefix in refused:
            self._waiting.remove(_Span.of(prefix), peer)
        affected = set[Key]()
        for prefix in prefixes - refused.keys() - keep:
            span = _Span.of(prefix)
            self._remove(span)
            affected |= self._waiting.overlapping(span)
        return affected

    def _refuse(self, peer: Key, prefix: Network, by: str) -> None:
        message = f"route {prefix} overlaps {by}; correct spec.routes"
        self._refused.setdefault(peer, {})[prefix] = message
        self._waiting.add(_Span.of(prefix), peer)

    def _remove(self, span: _Span) -> None:
        del self._owner[span]
        del self._granted[bisect_left(self._granted, span)]

    def _overlapping(self, span: _Span) -> list[_Span]:
        """Granted spans that overlap; they lie next to one another, beginning with at most one to the left."""
        index = bisect_left(self._granted, span)
        found = [self._granted[index - 1]] if index and self._granted[index - 1].overlaps(span) else []
        while index < len(self._granted) and self._granted[index].overlaps(span):
            found.append(self._granted[index])
            index += 1
        return found


class _Waiting:
    """Refused prefixes with their peers, in order."""

    def __init__(self) -> None:
        self._entries: list[tuple[_Span, Key]] = []

    def add(self, span: _Span, peer: Key) -> None:
        insort(self._entries, (span, peer))

    def remove(self, span: _Span, peer: Key) -> None:
        del self._entries[bisect_left(self._entries, (span, peer))]

    def overlapping(self, span: _Span) -> set[Key]:
        """Peers whose refused prefixes overlap: networks lie inside one another or apart."""
        found = set()
        for other, peer in self._from(span.version, span.first):
            if not other.overlaps(span):
                break
            found.add(peer)
        for around in _around(span):
            for other, peer in self._from(around.version, around.first):
                if other.first != around.first or other.version != around.version:
                    break
                if other == around:
                    found.add(peer)
        return found

    def _from(self, version: int, first: int) -> Iterator[tuple[_Span, Key]]:
        start = bisect_left(self._entries, (version, first), key=lambda entry: entry[0][:2])
        return (self._entries[index] for index in range(start, len(self._entries)))


def _around(span: _Span) -> Iterator[_Span]:
    """The networks that the span lies in and that begin before it."""
    size, bits = span.last - span.first + 1, 32 if span.version == 4 else 128
    while size < 1 << bits:
        size *= 2
        first = span.first & -size
        if first != span.first:
            yield _Span(span.version, first, first + size - 1)


def _older(network: Network, owner: Key, loser: Key) -> str:
    """What a tenant may know of another one's routes is that they are in the way."""
    if owner.namespace != loser.namespace:
        return "a route of a peer in another namespace, which is older"
    return f"{network} of peer {owner}, which is older"


def _outermost(networks: Iterable[Network]) -> frozenset[Network]:
    """The networks without those that lie inside another one: they say nothing new."""
    kept: list[Network] = []
    for network in sorted(networks, key=lambda n: (n.version, int(n.network_address), n.prefixlen)):
        if not kept or not _Span.of(kept[-1]).overlaps(_Span.of(network)):
            kept.append(network)
    return frozenset(kept)
