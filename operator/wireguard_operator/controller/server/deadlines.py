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
            # An entry that was replaced stays in the heap until its time and then means nothing.
            if self._current.get(peer) == when:
                del self._current[peer]
                self._due(peer)
