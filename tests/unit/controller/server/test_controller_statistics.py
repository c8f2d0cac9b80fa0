"""Traffic is counted once, and written no more often than is good for the API server."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.unit.controller.world import World, serving, until
from wireguard_operator.api.base import Key
from wireguard_operator.kube.resources import PEERS

BERLIN = Key("isp", "berlin")


async def read_counters(world: World) -> None:
    """Have the counters of server berlin read."""
    work = world.supervisor._pipelines[BERLIN]._work
    assert work is not None
    await work.read_counters(world.cache.servers[BERLIN])


def received(world: World, name: str) -> int:
    traffic = world.cache.peers[Key("isp", name)].facts.traffic
    assert traffic is not None
    return traffic.rx_bytes


async def test_a_new_key_that_goes_without_having_been_used_does_not_count_the_former_one_again(world: World) -> None:
    await serving(world, "alice")
    first = world.status()["publicKey"]
    world.agent.counted[first] = (1000, 2000)
    await read_counters(world)
    await world.patch(PEERS, "alice", keyGeneration=1)
    await world.settle()
    await world.patch(PEERS, "alice", keyGeneration=2)
    await world.settle()
    assert world.agent.allowed_ips[first] and len(world.agent.allowed_ips) == 2
    await read_counters(world)
    assert received(world, "alice") == 1000


async def test_the_last_bytes_of_a_peer_with_two_keys_are_counted_once(world: World) -> None:
    names = [f"p{i}" for i in range(8)]  # the order in which two keys leave is by chance
    await serving(world, *names)
    for name in names:
        world.agent.counted[world.status(name)["publicKey"]] = (1000, 2000)
    await read_counters(world)
    for name in names:
        await world.patch(PEERS, name, keyGeneration=1)
    await world.settle()
    assert len(world.agent.allowed_ips) == 16
    for key in world.agent.counted:
        world.agent.counted[key] = (1500, 2000)
    for name in names:
        await world.patch(PEERS, name, enabled=False)
    await world.settle()
    assert world.agent.allowed_ips == {}
    assert [received(world, name) for name in names] == [1500] * 8


async def test_a_new_controller_does_not_write_the_counters_of_all_who_are_online_at_once(world: World) -> None:
    world.settings = replace(world.settings, stats_interval=0.03, traffic_interval=3600)
    await serving(world, "alice")
    key = world.status()["publicKey"]
    world.agent.counted[key], world.agent.handshakes[key] = (1000, 2000), int(time.time())
    await until(lambda: bool(world.status().get("online")))
    await world.restart()
    since = len(world.kube.calls)
    world.agent.counted[key] = (5000, 6000)
    await until(lambda: received(world, "alice") == 5000)
    await world.settle(0.5)
    assert ("patchstatus", PEERS.plural, "alice") not in world.kube.calls[since:]
    world.agent.handshakes[key] = 1
    await until(lambda: not world.status()["online"])
