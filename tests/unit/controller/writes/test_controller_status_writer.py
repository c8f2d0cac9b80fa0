"""The order and the pace of status writes."""

from __future__ import annotations

import asyncio
import time

from tests.unit.controller.world import World, serving, until
from wireguard_operator.kube.resources import PEERS, ResourceType


def written(world: World, since: int) -> list[str]:
    return [name for verb, kind, name in world.kube.calls[since:] if (verb, kind) == ("patchstatus", PEERS.plural)]


async def test_what_follows_from_a_cut_is_written_before_everything_else(world: World) -> None:
    names = [f"p{i}" for i in range(60)]
    await serving(world, *names)
    closed = asyncio.Event()
    called = world.kube._called

    async def hold(verb: str, kind: ResourceType, name: str) -> None:
        if verb == "patchstatus":
            await closed.wait()
        await called(verb, kind, name)

    world.kube._called = hold  # type: ignore[method-assign]
    since = len(world.kube.calls)
    for name in names[1:]:
        record = world.cache.peers[next(key for key in world.cache.peers if key.name == name)]
        record.facts.endpoint = "192.0.2.7:1"
        world.statuses.submit(record)
    await asyncio.sleep(0.05)
    await world.patch(PEERS, "p0", enabled=False)
    await asyncio.sleep(0.3)
    closed.set()
    await world.settle()
    order = written(world, since)
    assert len(order) == 60 and order.index("p0") <= 4  # four were in flight


async def test_statistics_are_written_at_their_own_pace_and_do_not_hold_up_changes(world: World) -> None:
    names = [f"p{i}" for i in range(30)]
    await serving(world, *names)
    since, began = len(world.kube.calls), time.monotonic()
    for key, record in world.cache.peers.items():
        if key.name != "p0":
            record.facts.endpoint = "192.0.2.7:1"
            world.statuses.submit_statistics(record)
    await world.patch(PEERS, "p0", enabled=False)
    await until(lambda: "p0" in written(world, since))
    assert len(written(world, since)) < 20
    await until(lambda: len(written(world, since)) == 30)
    assert time.monotonic() - began > 29 / 50 * 0.9


async def test_new_statistics_of_a_peer_that_waits_already_are_one_write(world: World) -> None:
    await serving(world, "alice")
    since = len(world.kube.calls)
    record = next(iter(world.cache.peers.values()))
    for port in range(1, 10):
        record.facts.endpoint = f"192.0.2.7:{port}"
        world.statuses.submit_statistics(record)
    await world.settle()
    assert written(world, since) == ["alice"]
    assert world.status()["endpoint"] == "192.0.2.7:9"
