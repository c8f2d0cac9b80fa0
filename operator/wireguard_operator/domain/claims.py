"""Who may use a public key on a server.

A WireGuard device knows a peer by its public key alone, so two peers with one key cannot both be served. The older
object wins, as with host names in the Gateway API; when it goes, the next one comes up by itself. A peer claims two
keys for as long as a rotation lasts.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from ..api.base import Key


@dataclass(frozen=True, order=True, slots=True)
class Claim:
    """A peer's claim; the least wins. The UID decides between objects of the same second."""

    created: datetime
    uid: str
    peer: Key


class Claims:
    """All claims on the public keys of one server."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Claim]] = {}
        self._by_peer: dict[Key, dict[str, Claim]] = {}

    def holder(self, public_key: str) -> Key | None:
        """The peer that may use the key."""
        claims = self._by_key.get(public_key)
        return claims[0].peer if claims else None

    def keys_of(self, peer: Key) -> frozenset[str]:
        """The keys that the peer claims."""
        return frozenset(self._by_peer.get(peer, ()))

    def enter(self, claim: Claim, public_keys: Collection[str]) -> set[Key]:
        """Enter the peer's claims in place of its former ones; the other peers whose standing that changes."""
        affected = set()
        for old in self.keys_of(claim.peer) - set(public_keys):
            affected |= self._take_back(claim.peer, old)
        for public_key in public_keys:
            if self._by_peer.get(claim.peer, {}).get(public_key) == claim:
                continue
            affected |= self._take_back(claim.peer, public_key)
            before = self.holder(public_key)
            self._by_peer.setdefault(claim.peer, {})[public_key] = claim
            insort(self._by_key.setdefault(public_key, []), claim)
            if before is not None and self.holder(public_key) == claim.peer:
                affected.add(before)
        return affected

    def withdraw(self, peer: Key) -> set[Key]:
        """Take all claims of the peer back; the peers that come up in its place."""
        affected = set()
        for public_key in self.keys_of(peer):
            affected |= self._take_back(peer, public_key)
        return affected

    def _take_back(self, peer: Key, public_key: str) -> set[Key]:
        claim = self._by_peer.get(peer, {}).pop(public_key, None)
        if claim is None:
            return set()
        if not self._by_peer[peer]:
            del self._by_peer[peer]
        claims = self._by_key[public_key]
        position = bisect_left(claims, claim)
        del claims[position]
        if not claims:
            del self._by_key[public_key]
            return set()
        return {claims[0].peer} if position == 0 else set()
