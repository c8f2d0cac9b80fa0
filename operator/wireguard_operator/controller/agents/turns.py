"""Exchanges with whoever speaks for a device: one at a time, and none that goes on for an agent that was replaced.

An agent on a machine that is frozen answers nothing until a minute is over. Another pod serves by then, and what it has
to be told, a cut first of all, must not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .client import AgentError, AgentReplaced

GRACE_SECONDS = 1.0
"""For an agent that was replaced to end its answer: one that hands over is well, and has counters to tell."""


class Turns:
    """Of one device."""

    def __init__(self, doubt: Callable[[], None]) -> None:
        """``doubt``: from now on it is not known what the agent holds."""
        self._doubt = doubt
        self._lock = asyncio.Lock()
        self._exchange: asyncio.Timeout | None = None
        """The one that is under way."""
        self.agent = 0
        """The number of the one that speaks for the device."""

    def replace_agent(self) -> None:
        """Another one does from now on."""
        self.agent += 1
        if self._exchange is not None and not self._exchange.expired():
            self._exchange.reschedule(asyncio.get_running_loop().time() + GRACE_SECONDS)

    @asynccontextmanager
    async def turn(self, agent: int) -> AsyncIterator[None]:
        """The time for an exchange with that agent. Raises AgentReplaced."""
        async with self._lock:
            if agent != self.agent:
                raise AgentReplaced
            try:
                async with asyncio.timeout(None) as self._exchange:
                    yield
            except AgentError:
                self._doubt()
                raise
            except TimeoutError as error:
                self._doubt()
                if agent == self.agent:
                    raise
                raise AgentReplaced from error
            finally:
                self._exchange = None
            if agent != self.agent:
                self._doubt()  # its last word says nothing about the other one
