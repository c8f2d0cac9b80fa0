"""The order and the pace of status writes."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.unit.controller.world import World, refusing, serving, until
from wireguard_operator.api.base import Key
from wireguard_operator.kube.errors import Conflict, Forbidden
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


def holding(world: World) -> asyncio.Event:
    """Holds up status writes until it is set."""
    opened = asyncio.Event()
    called = world.kube._called

    async def hold(verb: str, kind: ResourceType, name: str) -> None:
        if verb == "patchstatus":
            await opened.wait()
        await called(verb, kind, name)

    world.kube._called = hold  # type: ignore[method-assign]
    return opened


async def test_late_statistics_of_a_former_peer_do_not_swallow_the_status_of_the_new_one(world: World) -> None:
    names = [f"p{i}" for i in range(6)]
    await serving(world, "alice", *names)
    former = world.cache.peers[Key("isp", "alice")]
    opened = holding(world)
    for name in names:  # all workers are busy
        record = world.cache.peers[Key("isp", name)]
        record.facts.endpoint = "192.0.2.7:1"
        world.statuses.submit(record)
    await world.delete(PEERS, "alice")
    await world.peer("alice")
    await until(lambda: world.cache.peers.get(Key("isp", "alice"), former) is not former)
    await until(lambda: world.cache.peers[Key("isp", "alice")].facts.programmed)
    former.facts.endpoint = "192.0.2.7:2"
    world.statuses.submit_statistics(former)
    await until(lambda: not world.statuses._paced)
    opened.set()
    await world.settle()
    assert world.reason("alice") == "Ready"


async def test_refused_statuses_are_tried_again_once_in_a_while_however_often_they_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.writes.status_writer.REFUSED_DELAY", 0.1)
    await serving(world, "alice")
    world.kube.refuse = refusing(PEERS, "alice", Forbidden("rbac", 403), "patchstatus")
    (record,) = world.cache.peers.values()
    since = len(world.kube.calls)
    for port in range(1, 11):
        record.facts.endpoint = f"192.0.2.7:{port}"
        world.statuses.submit(record)
        tries = len(written(world, since))
        await until(lambda tries=tries: len(written(world, since)) > tries)  # type: ignore[misc]
    since = len(world.kube.calls)
    await asyncio.sleep(0.5)
    assert 3 <= len(written(world, since)) <= 7


async def test_a_write_that_met_another_one_is_made_again(world: World) -> None:
    await serving(world, "alice")
    (record,) = world.cache.peers.values()
    refusals = 1

    def refuse(verb: str, _: ResourceType, __: str) -> None:
        nonlocal refusals
        if verb == "patchstatus" and refusals:
            refusals -= 1
            raise Conflict("the object has been modified", 409)

    world.kube.refuse = refuse
    record.facts.endpoint = "192.0.2.7:1"
    world.statuses.submit(record)
    await until(lambda: world.status().get("endpoint") == "192.0.2.7:1")
