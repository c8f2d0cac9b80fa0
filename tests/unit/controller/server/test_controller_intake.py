"""Bulk work goes on beside the turns: nobody who must be cut waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.controller.world import World, serving, until
from wireguard_operator.api.base import Key
from wireguard_operator.controller.server.identity import Ready
from wireguard_operator.controller.server.intake import Intake
from wireguard_operator.controller.server.provisioner import Outcome, Provisioner
from wireguard_operator.controller.watch.records import ServerRecord
from wireguard_operator.kube.resources import BLOCKS, PEERS, SECRETS, SERVERS, ResourceType


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


async def alone(world: World) -> None:
    """Have server berlin there, and no controller."""
    await serving(world)
    await world.stop()


async def test_who_wants_a_route_of_a_peer_that_goes_while_both_are_provided_for_gets_it(world: World) -> None:
    await alone(world)
    await world.peer("alice", routes=["192.168.7.0/24"])
    await world.peer("bob", routes=["192.168.7.0/24"])
    gate = Gate(world, "create", BLOCKS)
    await world.start()
    await gate.reached()
    await world.delete(PEERS, "alice")
    await asyncio.sleep(0.1)
    gate.opened.set()
    await world.settle()
    assert "192.168.7.0/24" in world.agent.addresses and world.reason("bob") == "Ready"


async def test_who_wants_an_address_of_a_peer_that_goes_while_both_are_provided_for_gets_it(world: World) -> None:
    world.settings = replace(world.settings, cool_down=0.001)
    await alone(world)
    await world.peer("alice", addresses=["10.8.0.9"])
    await world.peer("bob", addresses=["10.8.0.9"])
    gate = Gate(world, "create", BLOCKS)
    await world.start()
    await gate.reached()
    await world.delete(PEERS, "alice")
    await asyncio.sleep(0.1)
    gate.opened.set()
    await until(lambda: world.reason("bob") == "Ready")  # the address rests for a moment
    assert world.agent.addresses == ["10.8.0.9/32"]


async def test_a_peer_that_went_on_meanwhile_is_not_sent_away_from_its_next_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, held = asyncio.Event(), asyncio.Event()
    prepare = Provisioner.prepare

    async def slow(self: Provisioner, server: ServerRecord, *rest: Any) -> Outcome:
        outcome = await prepare(self, server, *rest)
        if outcome.homeless:
            held.set()
            await opened.wait()
        return outcome

    monkeypatch.setattr(Provisioner, "prepare", slow)
    await serving(world, "alice", networks=["10.8.0.0/30"])
    await world.delete(PEERS, "alice")
    await world.settle()
    await world.peer("bob", serverSelector={})
    async with asyncio.timeout(3):
        await held.wait()
    paris = "https://192.0.2.2:8443"
    await world.server("paris", paris, networks=["10.9.0.0/24"])
    await world.patch(PEERS, "bob", serverSelector=None, serverRef={"name": "paris"})
    await world.settle()
    assert world.reason("bob") == "Ready"
    pushes = world.agents[paris].pushes
    opened.set()
    await world.settle()
    assert world.agents[paris].pushes == pushes and world.reason("bob") == "Ready"


async def test_no_secret_is_made_for_a_peer_that_went_while_its_batch_was_stopped(world: World) -> None:
    await serving(world, "alice")
    gate = Gate(world, "create", SECRETS)
    await world.peer("bob")
    await gate.reached()
    await world.delete(PEERS, "bob")
    await asyncio.sleep(0.1)
    await world.patch(SERVERS, "berlin", dns=["10.8.0.1"])
    await asyncio.sleep(0.1)
    gate.opened.set()
    await world.settle()
    assert (SECRETS, Key("isp", "bob-wireguard")) not in world.kube.objects
    assert list(world.held()) == ["10.8.0.2"]


async def test_a_batch_that_has_just_ended_is_stopped_as_well(world: World) -> None:
    await serving(world, "alice")
    (record,) = world.cache.peers.values()

    class Quick:
        async def prepare(self, *_: object) -> Outcome:
            return Outcome()

    woken = asyncio.Event()
    intake = Intake(cast(Provisioner, Quick()), world.clock, lambda _: False, woken.set)
    intake.add(record)
    intake.start(cast(ServerRecord, None), cast(Ready, None))
    await woken.wait()
    await intake.stop()
    assert intake.finished() is None and intake.clear() == [record] and intake.is_idle()


async def test_a_cut_does_not_wait_for_addresses_that_are_given_back(world: World) -> None:
    await serving(world, "alice", "bob", "carol")
    gate = Gate(world, "replace", BLOCKS)
    await world.delete(PEERS, "alice")
    await gate.reached()
    await world.patch(PEERS, "bob", enabled=False)
    await until(lambda: len(world.agent.addresses) == 1, 1)
    gate.opened.set()
    await world.settle()
    assert len(world.held()) == 2


async def test_addresses_are_given_back_though_peers_come_all_the_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.server.intake.BATCH", 1)
    await serving(world, "alice")
    uid = world.cache.peers[Key("isp", "alice")].uid
    await world.delete(PEERS, "alice")
    for i in range(30):
        await world.peer(f"p{i}")
    await until(lambda: uid not in world.held().values())
    assert len(world.held()) < 25
    await world.settle()
    assert len(world.agent.addresses) == len(world.held()) == 30


async def test_a_peer_that_goes_during_a_new_controller_s_first_look_leaves_nothing_behind(world: World) -> None:
    await serving(world, "alice")
    await world.stop()
    (block,) = [body for (kind, _), body in world.kube.objects.items() if kind == BLOCKS]
    block["spec"]["allocations"]["10.8.0.77"] = {"uid": "gone", "peer": "isp/carol"}
    gate = Gate(world, "get", PEERS)
    await world.start()
    await gate.reached()
    await world.delete(PEERS, "alice")
    await asyncio.sleep(0.05)
    gate.opened.set()
    await until(lambda: not world.held())
    assert world.agent.addresses == []
