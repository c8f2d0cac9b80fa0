"""Deletions that no watch told of are found, and soon when a watch had to begin anew."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf
import pytest

from tests.unit.controller.world import World, serving, until
from wireguard_operator.controller.watch import handlers, sweep
from wireguard_operator.kube.resources import PEERS


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(sweep, "RELIST_PAUSE", 0.01)


async def test_a_watch_that_lists_anew_has_ghosts_looked_for(world: World) -> None:
    await serving(world, "alice", "bob")
    looking = asyncio.create_task(world.sweep.repeat(3600))
    listed = len(world.kube.calls)
    await until(lambda: ("list", PEERS.plural, "") in world.kube.calls[listed:])
    await world.settle()
    world.kube.watch = None  # the watch is down when alice goes
    await world.delete(PEERS, "alice")
    await asyncio.sleep(0.1)
    assert len(world.agent.addresses) == 2
    world.kube.watch = world.see
    world.sweep.relisted()
    await until(lambda: len(world.agent.addresses) == 1)
    looking.cancel()


@pytest.mark.parametrize(("type_", "calls"), [(None, 1), ("ADDED", 0), ("MODIFIED", 0)])
async def test_objects_of_a_list_are_told_from_those_of_a_watch(world: World, type_: str | None, calls: int) -> None:
    await serving(world, "alice")
    registry, told = kopf.OperatorRegistry(), list[int]()
    handlers.register(registry, world.cache, lambda: told.append(1))
    body = next(body for (kind, _), body in world.kube.objects.items() if kind == PEERS)
    handler: Any = next(found for found in registry._watching.get_all_handlers() if found.fn.__name__ == "peer")
    await handler.fn(event={"type": type_, "object": body})
    assert len(told) == calls
