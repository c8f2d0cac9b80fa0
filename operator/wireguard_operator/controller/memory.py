"""Short pauses of Python's garbage collector, which would stop everything while it looks at all objects of all peers.

A full collection takes some 20 ms for each thousand peers, and a cut would wait for it. What a peer is made of has no
cycles and goes when the last reference does; so old objects are left alone (``gc.freeze``), and only young ones, among
which the cycles of finished tasks and exceptions are, are collected.
"""

from __future__ import annotations

import asyncio
import gc

THRESHOLDS = (5_000, 20, 1_000_000)
"""Allocations before a collection of the first generation; collections of one before one of the next: never of all."""
PAUSE_SECONDS = 5.0


def begin() -> None:
    """Collect young objects only, from now on in the whole process."""
    gc.set_threshold(*THRESHOLDS)


def settle() -> None:
    """Collect what is young, and leave all that is left alone for ever."""
    gc.collect(1)
    gc.freeze()


async def keep() -> None:
    """Settle now and then, until cancelled."""
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        settle()
