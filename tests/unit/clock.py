"""An event loop with a clock of its own: time passes only while all wait, and then at once to the next that is due.

What a test sees thus depends on neither the machine's speed nor its load, and an hour's pause takes no time. Work in
threads is waited for with the clock at rest. There are no sockets: nobody could tell whether an answer is on its way.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any
from unittest import mock


class Stuck(Exception):
    """All wait, and nothing is due ever."""


class ClockLoop(asyncio.SelectorEventLoop):
    """While it runs, ``time.monotonic`` and ``time.time`` are its clock."""

    def __init__(self) -> None:
        self._now, self._epoch = time.monotonic(), time.time() - time.monotonic()
        self._in_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Seconds by the loop's own clock."""
        return self._now

    def run_forever(self) -> None:
        """Also what runs until something is complete comes by here."""
        with (
            mock.patch.object(time, "monotonic", self.time),
            mock.patch.object(time, "time", lambda: self._epoch + self._now),
        ):
            super().run_forever()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """The clock rests until it is done."""
        work = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        work.add_done_callback(self._came_back)
        return work

    async def shutdown_default_executor(self, *args: Any) -> None:
        """A thread waits for the others."""
        self._in_threads += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._in_threads -= 1

    def _came_back(self, _: asyncio.Future[Any]) -> None:
        self._in_threads -= 1


def stand_still(seconds: float) -> None:
    """Have time pass without anybody doing anything."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockLoop)
    loop._now += seconds


class _Selector(selectors.DefaultSelector):
    """Waits for threads alone."""

    def __init__(self, loop: ClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """The loop's pipe to itself."""
        if self.get_map():
            raise RuntimeError("a loop with a clock of its own has no sockets")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What came from threads; else the next that is due is due now."""
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._loop._in_threads:
            return super().select(None)
        if events := super().select(0):
            return events
        if timeout is None:
            raise Stuck
        self._loop._now += timeout
        return []
