"""Where peers were last heard, for a device that does not know their sessions: bookkeeping over dumps, as in counters.

A device in a new life is silent until each client notices, and so is one that a peer was taken off and put back on.
With the last endpoint the server can begin the handshake itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .awaited import SESSION_SECONDS
from .device import DumpedPeer


class LastEndpoints:
    """By public key, of the peers that had a session on this device, or on its last life."""

    def __init__(self) -> None:
        self._endpoints: dict[str, str] = {}
        self._taken_off: dict[str, tuple[float, str]] = {}
        """Where peers that were taken off may still be, and until when (Unix seconds)."""
        self.on_disk: Mapping[str, str] = {}

    def restore(self, endpoints: Mapping[str, str]) -> None:
        """Begin with what is on disk."""
        self.on_disk = endpoints
        self._endpoints = dict(endpoints)

    def unsaved(self) -> dict[str, str] | None:
        """What should be on disk; None when it is."""
        return dict(self._endpoints) if self._endpoints != self.on_disk else None

    def all(self) -> dict[str, str]:
        """All that are known."""
        return dict(self._endpoints)

    def of(self, keys: Iterable[str]) -> dict[str, str]:
        """Those of some peers, as far as they are known."""
        return {key: self._endpoints[key] for key in keys if key in self._endpoints}

    def observe(self, peers: Mapping[str, DumpedPeer], now: float) -> None:
        """Take in a dump; ``now`` in Unix seconds. Who has not shaken hands in this life is where it was."""
        for key, peer in peers.items():
            if peer.endpoint and now - peer.last_handshake < SESSION_SECONDS:
                self._endpoints[key] = peer.endpoint
            elif peer.last_handshake:
                self._endpoints.pop(key, None)

    def take_off(self, keys: Iterable[str], now: float) -> None:
        """Peers go off the device; for as long as a client may believe in its session it is known where they were."""
        self._taken_off = {key: place for key, place in self._taken_off.items() if place[0] > now}
        for key in keys:
            if (endpoint := self._endpoints.pop(key, None)) is not None:
                self._taken_off[key] = now + SESSION_SECONDS, endpoint

    def put_back(self, keys: Iterable[str]) -> dict[str, str]:
        """Peers are on the device; where those of them are that had been taken off."""
        return {key: self._taken_off.pop(key)[1] for key in keys if key in self._taken_off}

    def clear(self) -> None:
        """Forget where peers are; what is on disk stays there until it is saved again."""
        self._endpoints.clear()
        self._taken_off.clear()
