"""Which peers' counters changed since somebody last asked: a pure bookkeeping over successive dumps.

Of 10,000 subscribers most are silent between two polls, so only the others are sent. A cursor names a moment of one
agent process; one from another process, or nonsense, gets every peer, so nothing can be missed. What changes while
somebody reads page by page comes again on a later page.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping

from .device import DeviceDump, DumpedPeer
from .protocol import PAGE_PEERS, CountersPage, PeerCounters


def counters_of(peer: DumpedPeer) -> PeerCounters:
    """A dumped peer without its settings."""
    return PeerCounters(peer.public_key, peer.rx_bytes, peer.tx_bytes, peer.last_handshake, peer.endpoint)


class ChangeLog:
    """The last counters of each peer, in the order of their last change."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._count = 0
        self._last: dict[str, tuple[int, DumpedPeer]] = {}
        """By public key, with the number of the change; the newest at the end."""

    def observe(self, peers: Mapping[str, DumpedPeer]) -> None:
        """Take in a dump; peers that are gone are forgotten."""
        for key in self._last.keys() - peers.keys():
            del self._last[key]
        for key, peer in peers.items():
            before = self._last.get(key)
            if before is not None and before[1] is peer:
                continue
            if before is None or counters_of(before[1]) != counters_of(peer):
                self._last.pop(key, None)
                self._count += 1
                self._last[key] = self._count, peer

    def forget(self, keys: Iterable[str]) -> None:
        """Peers were taken off the device, and their last counters have been told."""
        for key in keys:
            self._last.pop(key, None)

    def since(self, cursor: str | None, most: int) -> tuple[str, tuple[PeerCounters, ...], bool]:
        """The next cursor, ``most`` of the peers that changed after ``cursor``, and whether there are more.

        Without a valid cursor every peer has changed.
        """
        epoch, _, number = (cursor or "").partition(".")
        valid = epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 20
        known = int(number) if valid else 0
        changed = []
        for count, peer in reversed(self._last.values()):
            if count <= known:
                break
            changed.append((count, peer))
        page = changed[::-1][:most]
        reached = page[-1][0] if page else max(known, 0)
        return f"{self._epoch}.{reached}", tuple(counters_of(peer) for _, peer in page), len(changed) > most


class Counters:
    """The counters of one device, whichever of its lives they belong to: in each of them they start from zero."""

    def __init__(self) -> None:
        self._changes = ChangeLog()
        self._device = ""
        """The life of the device that the change log is about."""
        self._restarts = 0
        """How often all peers were put on the device anew, each time with counters from zero."""

    @property
    def are_known(self) -> bool:
        """Whether a device has been looked at."""
        return bool(self._device)

    def observe(self, dump: DeviceDump) -> None:
        """Take in a dump."""
        if dump.device != self._device:
            # The counters of another life are other counters, though they may be equal.
            self._changes, self._device = ChangeLog(), dump.device
        self._changes.observe(dump.peers)

    def forget(self, keys: Iterable[str]) -> None:
        """See ``ChangeLog.forget``."""
        self._changes.forget(keys)

    def start_over(self) -> None:
        """All peers go off the device, and come back with counters from zero."""
        self._restarts += 1
        self._changes = ChangeLog()

    def life(self, device: str) -> str:
        """Where counters start from zero without a new device, the life gets another name all the same."""
        return f"{device}/{self._restarts}" if device and self._restarts else device

    def page(self, cursor: str | None) -> CountersPage:
        """The peers that changed after ``cursor``, as many as a page holds."""
        next_cursor, peers, is_more = self._changes.since(cursor, PAGE_PEERS)
        return CountersPage(self.life(self._device), next_cursor, peers, time.time(), is_more)
