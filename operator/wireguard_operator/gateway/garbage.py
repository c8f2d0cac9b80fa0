"""Short pauses of Python's garbage collector, which would look at all records of all peers in the midst of a request.

Records have no cycles and go with their last reference, so what is old is left alone (``gc.freeze``).
"""

from __future__ import annotations

import asyncio
import gc

THRESHOLDS = (5_000, 20, 1_000_000)
"""Allocations before a collection of the first generation; collections of one before one of the next: never of all."""
PAUSE_SECONDS = 5.0


async def keep() -> None:
    """Collect what is young and leave the rest alone, now and then, until cancelled."""
    gc.set_threshold(*THRESHOLDS)
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        gc.collect(1)
        gc.freeze()
