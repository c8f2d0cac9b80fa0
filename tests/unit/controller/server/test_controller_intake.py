"""Bulk work goes on beside the turns: nobody who must be cut waits for it."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.controller.world import World, serving, until
from wireguard_operator.kube.resources import PEERS, SECRETS, SERVERS, ResourceType


class Gate:
    """Holds up calls of a kind until it is opened."""

    def __init__(self, world: World, verb: str, kind: ResourceType) -> None:
        self.opened, self.held = asyncio.Event(), 0
        called = world.kube._called

        async def hold(what: str, about: ResourceType, name: str) -> None:
            if (what, about) == (verb, kind):
                self.held += 1
                await self.opened.wait()
            await called(what, about, name)

        world.kube._called = hold  # type: ignore[method-assign]

    async def reached(self) -> None:
        await until(lambda: self.held > 0)


@pytest.mark.parametrize("how", ["disable", "suspend", "expire", "delete", "server"])
async def test_a_cut_overtakes_peers_that_are_being_provided_for(world: World, how: str) -> None:
    await serving(world, "alice", "bob")
    gate = Gate(world, "create", SECRETS)
    for i in range(20):
        await world.peer(f"p{i}")
    await gate.reached()
    if how == "disable":
        await world.patch(PEERS, "alice", enabled=False)
    elif how == "suspend":
        await world.patch(PEERS, "alice", suspensions=[{"reason": "non-payment"}])
    elif how == "expire":
        await world.patch(PEERS, "alice", expiresAt="2020-01-01T00:00:00Z")
    elif how == "delete":
        await world.delete(PEERS, "alice")
    else:
        await world.patch(SERVERS, "berlin", enabled=False)
    await until(lambda: len(world.agent.addresses) == (0 if how == "server" else 1))
    gate.opened.set()
    await world.settle()
    assert len(world.agent.addresses) == (0 if how == "server" else 21)


async def test_a_peer_that_goes_while_it_is_provided_for_leaves_nothing_behind(world: World) -> None:
    await serving(world, "alice")
    gate = Gate(world, "create", SECRETS)
    await world.peer("bob")
    await gate.reached()
    await world.delete(PEERS, "bob")
    await asyncio.sleep(0.1)
    gate.opened.set()
    await world.settle()
    assert world.agent.addresses == ["10.8.0.2/32"]
    assert list(world.held()) == ["10.8.0.2"]


async def test_a_peer_that_is_cut_while_it_is_provided_for_does_not_get_on_the_device(world: World) -> None:
    await serving(world, "alice")
    gate = Gate(world, "create", SECRETS)
    await world.peer("bob")
    await gate.reached()
    await world.patch(PEERS, "bob", enabled=False)
    await asyncio.sleep(0.1)
    gate.opened.set()
    await world.settle()
    assert world.agent.addresses == ["10.8.0.2/32"]
    assert world.reason("bob", "Programmed") == "Disabled"


async def test_a_peer_that_waits_gets_one_status_write(world: World) -> None:
    await serving(world, "alice")
    gate = Gate(world, "create", SECRETS)
    names = [f"p{i}" for i in range(20)]
    for name in names:
        await world.peer(name)
    await gate.reached()
    await world.peer("late")
    await asyncio.sleep(0.2)
    gate.opened.set()
    await world.settle()
    writes = [name for verb, kind, name in world.kube.calls if (verb, kind) == ("patchstatus", PEERS.plural)]
    assert sorted(writes) == sorted(["alice", "late", *names])


async def test_a_change_of_the_server_stops_a_batch_and_provides_for_it_anew(world: World) -> None:
    await serving(world, "alice")
    gate = Gate(world, "create", SECRETS)
    for i in range(5):
        await world.peer(f"p{i}")
    await gate.reached()
    await world.patch(SERVERS, "berlin", dns=["10.8.0.1"])
    await asyncio.sleep(0.1)
    gate.opened.set()
    await world.settle()
    assert len(world.agent.addresses) == 6 and all(world.reason(f"p{i}") == "Ready" for i in range(5))
    assert len(world.held()) == 6
