"""Who may use a public key on a server.

A WireGuard device knows a peer by its public key alone, so two peers with one key cannot both be served. The older
object wins, as with host names in the Gateway API; when it goes, the next one comes up by itself.
"""

from __future__ import annotations

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
        self._by_peer: dict[Key, tuple[str, Claim]] = {}

    def holder(self, public_key: str) -> Key | None:
        """The peer that may use the key."""
        claims = self._by_key.get(public_key)
        return claims[0].peer if claims else None

    def key_of(self, peer: Key) -> str | None:
        """The key that the peer claims."""
        entry = self._by_peer.get(peer)
        return entry[0] if entry else None

    def enter(self, public_key: str, claim: Claim) -> set[Key]:
        """Enter the claim in place of the peer's former one; the other peers whose standing that changes."""
        if self._by_peer.get(claim.peer) == (public_key, claim):
            return set()
        affected = self.withdraw(claim.peer)
        before = self.holder(public_key)
        self._by_peer[claim.peer] = public_key, claim
        self._by_key[public_key] = sorted((*self._by_key.get(public_key, ()), claim))
        if before is not None and self.holder(public_key) == claim.peer:
            affected.add(before)
        return affected - {claim.peer}

    def withdraw(self, peer: Key) -> set[Key]:
        """Take the peer's claim back; the peer that comes up in its place, if any."""
        public_key, claim = self._by_peer.pop(peer, (None, None))
        if public_key is None or claim is None:
            return set()
        held = self.holder(public_key) == peer
        rest = [other for other in self._by_key[public_key] if other != claim]
        if not rest:
            del self._by_key[public_key]
            return set()
        self._by_key[public_key] = rest
        return {rest[0].peer} if held else set()
