"""Which peers' counters changed since somebody last asked: a pure bookkeeping over successive dumps.

Of 10,000 subscribers most are silent between two polls, so only the others are sent. A cursor names a moment of one
agent process; one from another process, or nonsense, gets every peer, so nothing can be missed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from .device import DumpedPeer
from .protocol import PeerCounters


def counters_of(peer: DumpedPeer) -> PeerCounters:
    """A dumped peer without its settings."""
    return PeerCounters(peer.public_key, peer.rx_bytes, peer.tx_bytes, peer.last_handshake, peer.endpoint)


class ChangeLog:
    """The last counters of each peer, with the time of their last change in a clock of its own."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._clock = 0
        self._last: dict[str, tuple[int, PeerCounters]] = {}

    def observe(self, peers: Mapping[str, DumpedPeer]) -> None:
        """Take in a dump; peers that are gone are forgotten."""
        self._clock += 1
        last = self._last
        self._last = {}
        for key, peer in peers.items():
            counters = counters_of(peer)
            before = last.get(key)
            self._last[key] = before if before is not None and before[1] == counters else (self._clock, counters)

    def since(self, cursor: str | None) -> tuple[str, tuple[PeerCounters, ...]]:
        """The next cursor, and the peers that changed after ``cursor``; all of them without a valid one."""
        epoch, _, clock = (cursor or "").partition(".")
        known = int(clock) if epoch == self._epoch and clock.isascii() and clock.isdigit() and len(clock) < 20 else -1
        changed = tuple(counters for time, counters in self._last.values() if time > known)
        return f"{self._epoch}.{self._clock}", changed
