"""What the cache says when something changed: it knows what is, others know what to do about it."""

from __future__ import annotations

from typing import Protocol

from ...api.base import Key
from .records import PeerRecord, ServerRecord


class Listener(Protocol):
    """Who does the work."""

    def server_changed(self, server: Key) -> None:
        """The server, its keys or its certificate is not as it was, or is gone."""
        ...

    def pods_changed(self, server: Key) -> None:
        """A pod of the server is new, not as it was, or gone."""
        ...

    def peer_changed(self, server: Key, peer: Key) -> None:
        """A peer of the server is new, not as it was, or gone."""
        ...

    def peer_unplaced(self, peer: Key) -> None:
        """A peer waits for a server to be chosen."""
        ...

    def status_changed(self, record: PeerRecord | ServerRecord) -> None:
        """Somebody else wrote the status."""
        ...
