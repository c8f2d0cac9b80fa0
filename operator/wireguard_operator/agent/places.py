"""Where peers with a session are, and what changed since somebody last asked: bookkeeping over dumps, as in counters.

An endpoint alone does not find a peer again behind a Service that hides addresses: the node gives a client's packets
another source port for each pod that they go to. The index of the session, which the client writes into each data
packet, stays.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping

from .awaited import SESSION_SECONDS
from .device import DumpedPeer
from .firewall.port import Sender
from .protocol import Seen


class Places:
    """The last known place of each peer that has a session, in the order of their last change."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._count = 0
        self._seen: dict[str, tuple[int, Seen]] = {}

    def observe(self, peers: Mapping[str, DumpedPeer], senders: Iterable[Sender], now: float) -> None:
        """Take in a dump and who was heard lately; ``now`` in Unix seconds."""
        heard: defaultdict[str, set[int]] = defaultdict(set)
        for sender in senders:
            heard[sender.endpoint].add(sender.session)
        alive = {
            key: peer
            for key, peer in peers.items()
            if peer.endpoint and peer.last_handshake and now - peer.last_handshake < SESSION_SECONDS
        }
        for key in self._seen.keys() - alive.keys():
            del self._seen[key]
        for key, peer in alive.items():
            assert peer.endpoint is not None  # noqa: S101 - just looked
            before = self._seen.get(key)
            sessions = tuple(sorted(heard[peer.endpoint]))
            if not sessions and before is not None and before[1].last_handshake == peer.last_handshake:
                sessions = before[1].sessions  # a silent peer goes on with the session that it has
            seen = Seen(peer.endpoint, peer.last_handshake, sessions)
            if before is None or before[1] != seen:
                self._seen.pop(key, None)
                self._count += 1
                self._seen[key] = self._count, seen

    def of(self, key: str) -> Seen | None:
        """Where a peer is, if it has a session."""
        found = self._seen.get(key)
        return found[1] if found is not None else None

    def since(self, cursor: str) -> tuple[str, dict[str, Seen]]:
        """The next cursor, and who changed after ``cursor``; everybody for one that is not of this process."""
        epoch, _, number = cursor.partition(".")
        known = int(number) if epoch == self._epoch and number.isascii() and number.isdigit() else 0
        changed = {}
        for key, (count, seen) in reversed(self._seen.items()):
            if count <= known:
                break
            changed[key] = seen
        return f"{self._epoch}.{self._count}", changed
