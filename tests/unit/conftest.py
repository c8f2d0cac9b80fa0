"""Which tests have an event loop with a clock of its own, and what the garbage collector leaves alone."""

import asyncio
import gc
from collections.abc import Callable, Mapping

import pytest

from tests.unit.clock import ClockLoop


@pytest.fixture
def clock() -> None:
    """Whoever asks for it has one."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """One for each test."""
    has_clock = "clock" in getattr(item, "fixturenames", ())
    return {"clock": ClockLoop} if has_clock else {"machine": asyncio.new_event_loop}


def pytest_collection_finish() -> None:
    """What was imported is never garbage; the collector would look at all of it again every few seconds."""
    gc.freeze()
