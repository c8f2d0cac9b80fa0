"""The connection to one system: opened when it is needed, and closed after whatever went wrong.

While the system does not answer it is tried at growing distances, and whoever asks is told at once why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from .contract import ForeignSystem, Site
from .errors import SystemError, Throttled

logger = logging.getLogger(__name__)

PAUSE_FIRST, PAUSE_LAST = 1.0, 60.0
"""Seconds between looks at a system that does not answer; doubled each time."""
IDENTIFY_SECONDS = 60.0
"""After which a system is asked again what it is."""

Connect = Callable[[], Awaitable[ForeignSystem]]


class Connection:
    """One system, if it can be reached, and why it cannot."""

    def __init__(self, server: str, connect: Connect) -> None:
        """``server``: its name, in logs."""
        self._server = server
        self._connect = connect
        self.system: ForeignSystem | None = None
        """None: there is no connection now."""
        self.site: Site | None = None
        """What the system said last."""
        self.trouble: SystemError | None = None
        """Why nothing can be done at present."""
        self._identified = 0.0
        self._failures = 0

    async def open(self) -> tuple[ForeignSystem, Site]:
        """The system, and what it says of itself. Raises SystemError."""
        if self.system is None:
            system = await self._connect()
            self.system, self._identified = system, -IDENTIFY_SECONDS
        if self.site is None or time.monotonic() - self._identified >= IDENTIFY_SECONDS:
            self.site = await self.system.identify()
            self._identified = time.monotonic()
        return self.system, self.site

    async def close(self) -> None:
        """Let go of it; it is opened again when it is needed."""
        system, self.system = self.system, None
        if system is not None:
            await system.close()

    def answers(self) -> None:
        """The system has told its accounts."""
        if self.trouble is not None:
            logger.info("server %s: its system answers again", self._server)
            self.trouble = None

    def works(self) -> None:
        """All that was to be done is done: the next failure is a first one."""
        self._failures = 0

    def fail(self, error: Exception) -> SystemError:
        """Something went wrong; the trouble that there is now."""
        self._failures += 1
        if not isinstance(error, SystemError):
            # A mistake of ours, or an answer that nobody thought of, must not end the work on this system for good.
            logger.exception("server %s: the work on its system failed", self._server, exc_info=error)
            error = SystemError("the operator does not understand the system; its log says where")
        if type(error) is not type(self.trouble):
            logger.warning("server %s: %s", self._server, error)
        self.trouble = error
        return error

    def pause(self) -> float:
        """Seconds until the system is tried again after the failures that there were in a row."""
        pause: float = min(PAUSE_FIRST * 2 ** min(self._failures - 1, 10), PAUSE_LAST)
        return max(pause, self.trouble.seconds) if isinstance(self.trouble, Throttled) else pause
