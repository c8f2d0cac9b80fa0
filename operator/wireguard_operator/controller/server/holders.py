"""Who has something of a server: addresses, or an account where another system carries it.

Its peers do, and so does who has gone, until the device does not know it any more and its addresses are given back.
"""

from __future__ import annotations

from ...api.base import Key
from ...domain.claims import Claims
from ..watch.cache import Cache
from .roster import Roster


class Holders:
    """Of one server. In memory only: what a crash forgets, the search for orphans finds."""

    def __init__(self, cache: Cache, server: Key, roster: Roster, claims: Claims) -> None:
        self._cache = cache
        self._server = server
        self._roster = roster
        self._claims = claims
        self.leaving: set[str] = set()
        """UIDs whose addresses are free as soon as the device does not know them any more."""

    def uids(self) -> set[str]:
        """UIDs of the server's peers, and of those that have gone and are dealt with."""
        members = {self._cache.peers[key].uid for key in self._cache.peers_of(self._server)}
        return members | self._roster.uids() | self.leaving

    def accounts(self) -> dict[str, str | None]:
        """UIDs of all who may have accounts in a foreign system, with the public keys that their statuses name."""
        peers = [self._cache.peers[key] for key in self._cache.peers_of(self._server)]
        known = dict[str, str | None].fromkeys(self.leaving)
        for record in (*self._roster.members(), *peers):
            ring = record.facts.ring
            known[record.uid] = ring.current.public if ring is not None else record.peer.status.public_key
        return known

    def owner(self, public_key: str) -> str:
        """UID of the peer that uses a key."""
        record = self._cache.peers.get(self._claims.holder(public_key) or self._server)
        return record.uid if record is not None else ""
