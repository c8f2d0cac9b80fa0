"""The world in memory for all tests of the controller, with a clock of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.controller.world import World, quick_world


@pytest.fixture
async def world(clock: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """See ``quick_world``."""
    async with quick_world(monkeypatch) as world:
        yield world
