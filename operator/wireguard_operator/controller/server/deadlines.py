"""Moments at which the clock alone changes what is right: expiry, and the beginning and end of suspensions.

The clock is looked at every second at most, and not slept through to the deadline: a wall clock that is set, or a
machine that was suspended, must not keep a tunnel open.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime

from ...api.base import Key

LOOK_SECONDS = 0.25
SLACK = 64
"""Entries without meaning that the heap may have beside as many as there are deadlines."""


class Deadlines:
    """The next deadline of each peer. They follow from the objects, so a restart loses none."""

    def __init__(self, clock: Callable[[], datetime], due: Callable[[Key], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[datetime, Key]] = []
        self._current: dict[Key, datetime] = {}

    def set(self, peer: Key, when: datetime | None, *, sooner: bool = False) -> None:
        """Have the peer looked at again at ``when`` in place of any earlier wish; ``sooner``: at the first of both."""
        before = self._current.get(peer)
        if sooner and when is not None and before is not None:
            when = min(when, before)
        if when is None:
            self._current.pop(peer, None)
        elif self._current.get(peer) != when:
            self._current[peer] = when
            heapq.heappush(self._heap, (when, peer))
        if len(self._heap) > 2 * len(self._current) + SLACK:
            # Those of deleted peers would stay for the years that their subscriptions had to run.
            self._heap = [(moment, key) for key, moment in self._current.items()]
            heapq.heapify(self._heap)

    async def run(self) -> None:
        """Call ``due`` for each peer whose moment has come, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Call ``due`` for each peer whose moment has come."""
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            when, peer = heapq.heappop(self._heap)
            # An entry that was replaced stays in the heap for a while and means nothing.
            if self._current.get(peer) == when:
                del self._current[peer]
                self._due(peer)
