"""Patience with an API server that asks for it: HTTP 429 (RFC 6585 section 4) with Retry-After.

One answer holds back all requests of the process, those under way excepted: who asks for patience is not helped by
a thousand others that find out one by one.
"""

from __future__ import annotations

import asyncio
import random
import time

DEFAULT_SECONDS = 1.0
"""When the answer does not say how long."""
LONGEST_SECONDS = 5.0
"""A Lease has to be renewed by the same way within 10 s, or its holder ends."""
SPREAD = 0.2
"""Of the pause: those who waited must not all come in the same moment."""


class Pace:
    """When the next request may be made."""

    def __init__(self) -> None:
        self._until = 0.0

    def hold(self, seconds: float | None) -> None:
        """Make no request for so long; None: the answer did not say."""
        pause = DEFAULT_SECONDS if seconds is None else min(seconds, LONGEST_SECONDS)
        self._until = max(self._until, time.monotonic() + pause)

    async def wait(self) -> None:
        """Return when a request may be made."""
        while (left := self._until - time.monotonic()) > 0:  # noqa: ASYNC110 - somebody may ask for more meanwhile
            await asyncio.sleep(left * random.uniform(1, 1 + SPREAD))  # noqa: S311
