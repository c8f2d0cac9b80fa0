"""Peers that had a session on another device, or on the last life of this one, and have none here yet. Pure.

A client notices only after 15 s that nobody knows its session any more, so the server begins the handshake. When and to
which address is decided here. Behind a Service the address comes first: a packet that a pod sends without being asked
leaves the node from another port than the one that the client knows, where the client's NAT drops it, or the client
believes that the server has moved there, which it has only for as long as the node remembers the connection. So there
a peer is called as soon as it is heard, and not before. Where the agent has the server's address itself, as on a host,
it is called at its last address at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .firewall.port import Sender
from .protocol import Seen

SESSION_SECONDS = 180
"""A client shakes hands by itself after that (WireGuard paper, section 6.1: Reject-After-Time)."""
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between calls of one peer."""
OUTSTANDING = 96
"""Peers that are called and have not answered yet; the most recently seen ones come first. With more than 128
handshakes in its queue wireguard-go asks for cookies, which costs each of them five seconds."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a peer may be called."""

    endpoint: str
    is_certain: bool
    """By its session. By its last endpoint it may be another one: a node that hides addresses gives a port that was
    one client's to the next."""


@dataclass(slots=True)
class _Peer:
    seen: Seen
    calls: int = 0
    not_before: float = 0.0
    """Monotonic time of the next call."""
    called_at: _Place | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """Whom to call now."""

    endpoints: dict[str, str]
    """By public key."""
    again: frozenset[str]
    """Of these, who was called before: WireGuard sends a peer no second initiation within 5 s, unless it forgets it."""


class Awaited:
    """Who is awaited."""

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._by_session: dict[int, str] = {}
        self._by_endpoint: dict[str, str] = {}
        self._waiting: dict[str, _Place] = {}
        """Whose turn has not come."""

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def waits(self) -> bool:
        """Whether somebody could be called who is not, because so many others have not answered yet."""
        return bool(self._waiting)

    def take(self, seen: Mapping[str, Seen]) -> None:
        """These were seen so, which is news of those that are awaited already."""
        for key, place in seen.items():
            known = self._peers.get(key)
            if known is not None:
                self._forget_marks(key, known.seen)
                known.seen = place if place.sessions else replace(place, sessions=known.seen.sessions)
                place = known.seen
            else:
                self._peers[key] = _Peer(place)
            self._by_session |= dict.fromkeys(place.sessions, key)
            self._by_endpoint[place.endpoint] = key

    def called(self, keys: Iterable[str], now: float) -> None:
        """These were just called by somebody else; monotonic ``now``."""
        for key in keys:
            if (peer := self._peers.get(key)) is not None:
                _count(peer, now, None)

    def forget(self, keys: Iterable[str]) -> None:
        """These have a session, or are not on the device any more."""
        for key in keys:
            if (peer := self._peers.pop(key, None)) is not None:
                self._forget_marks(key, peer.seen)
                self._waiting.pop(key, None)

    def forget_heard(self) -> None:
        """Who was heard before counts as not heard."""
        self._waiting.clear()

    def expire(self, wall: float) -> None:
        """Who has had no handshake for so long (``wall``: Unix seconds) begins one by itself."""
        self.forget([key for key, peer in self._peers.items() if wall - peer.seen.last_handshake > SESSION_SECONDS])

    def heard(self, senders: Iterable[Sender], now: float) -> Calls:
        """Whom to call of those that send, and of those that wait; monotonic ``now``."""
        found = dict(self._waiting)
        for sender in senders:
            key = self._by_session.get(sender.session) or self._by_endpoint.get(sender.endpoint)
            if key is not None:
                place = _Place(sender.endpoint, sender.session in self._by_session)
                if self._is_better(key, place, found.get(key)):
                    found[key] = place
        return self._call(found, now)

    def all(self, now: float) -> Calls:
        """Whom to call without having heard anything; monotonic ``now``."""
        return self._call({key: _Place(peer.seen.endpoint, False) for key, peer in self._peers.items()}, now)

    def outstanding(self, now: float) -> int:
        """How many were called a moment ago; monotonic ``now``."""
        return sum(peer.not_before > now for peer in self._peers.values())

    def _is_better(self, key: str, place: _Place, other: _Place | None) -> bool:
        if other is None:
            return True
        if place.is_certain != other.is_certain:
            return place.is_certain
        # One session from two endpoints: the client has moved, and did not answer at the one that was called.
        return other == self._peers[key].called_at

    def _is_due(self, key: str, place: _Place, now: float) -> bool:
        peer = self._peers[key]
        was_guess = peer.called_at is not None and not peer.called_at.is_certain
        return peer.not_before <= now or (was_guess and place.is_certain)

    def _call(self, found: Mapping[str, _Place], now: float) -> Calls:
        due = [key for key, place in found.items() if self._is_due(key, place, now)]
        due.sort(key=lambda key: -self._peers[key].seen.last_handshake)
        chosen = due[: max(0, OUTSTANDING - self.outstanding(now))]
        self._waiting = {key: found[key] for key in due[len(chosen) :]}
        again = frozenset(key for key in chosen if self._peers[key].calls)
        for key in chosen:
            _count(self._peers[key], now, found[key])
        return Calls({key: found[key].endpoint for key in chosen}, again)

    def _forget_marks(self, key: str, seen: Seen) -> None:
        for session in seen.sessions:
            if self._by_session.get(session) == key:
                del self._by_session[session]
        if self._by_endpoint.get(seen.endpoint) == key:
            del self._by_endpoint[seen.endpoint]


def _count(peer: _Peer, now: float, place: _Place | None) -> None:
    peer.not_before = now + PAUSES[min(peer.calls, len(PAUSES) - 1)]
    peer.calls += 1
    peer.called_at = place
