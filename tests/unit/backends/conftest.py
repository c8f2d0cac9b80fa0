"""The world in memory for the tests of foreign systems, which are called through sockets."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.controller.world import World, quick_world


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """See ``quick_world``."""
    async with quick_world(monkeypatch) as world:
        yield world
