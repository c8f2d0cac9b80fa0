"""Where the peers of a server are, taken from the device that has their sessions to the one that will have to.

A client learns only after 15 s, and a silent one after up to 130 s, that its server's device is another one. A device
that knows how to recognise its clients ends that with their first packet.
"""

from __future__ import annotations

import time

from ...agent.protocol import Endpoints, Seen
from ...domain.usage import ONLINE_SECONDS
from ..agents.client import AgentClient

BATCH = 5000
"""Peers in one request: some 600 kB, a tenth of that compressed."""


class Relay:
    """The last known places of one server's peers, in memory only: what is lost costs some clients 15 s."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, Seen]] = {}
        """By public key, with the number of the change; the newest at the end."""
        self._count = 0
        self._cursor = ""
        self._told: dict[str, int] = {}

    async def read(self, agent: AgentClient) -> None:
        """Take in what changed on the device that serves. Raises AgentError."""
        page = await agent.endpoints(self._cursor)
        self._cursor = page.cursor
        for key, seen in page.seen.items():
            self._seen.pop(key, None)
            self._count += 1
            self._seen[key] = self._count, seen
        oldest = time.time() - ONLINE_SECONDS
        for key in [key for key, (_, seen) in self._seen.items() if seen.last_handshake < oldest]:
            del self._seen[key]

    async def tell(self, device: str, agent: AgentClient) -> None:
        """Tell a device what it does not know yet. Raises AgentError."""
        known, news = self._told.get(device, 0), {}
        for key, (count, seen) in reversed(self._seen.items()):
            if count <= known:
                break
            news[key] = seen
        keys, reached = list(news), self._count
        for start in range(0, len(keys), BATCH):
            await agent.expect(Endpoints({key: news[key] for key in keys[start : start + BATCH]}))
        self._told[device] = reached

    def keep_to(self, devices: set[str]) -> None:
        """Devices that are not among these are gone."""
        self._told = {device: count for device, count in self._told.items() if device in devices}
