"""The packet filter of the kernel's WireGuard: what is forbidden does not arrive, and what is too much is dropped."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cluster.agent.agent_lab import Agent, Lab, make_peers
from tests.cluster.agent.agent_world import (
    ALLOWED,
    ALLOWED6,
    DENIED,
    DENIED6,
    FLOOD,
    World,
    asks,
    connect,
    peer_of,
    subscriber,
)
from tests.kernel.patience import answer
from wireguard_operator.domain.policy import Access, Limit, Policy, Ports


@pytest.fixture
async def agent(lab: Lab) -> Agent:
    agent = lab.make_agent()
    agent.start(driver="kernel")
    await answer(agent)
    return agent


@pytest.fixture
def world(lab: Lab) -> Iterator[World]:
    world = World(lab)
    try:
        yield world
    finally:
        world.close()


async def test_access_rules_let_through_what_they_say_and_nothing_else(lab: Lab, agent: Agent, world: World) -> None:
    client = subscriber(lab)
    ack = await agent.put(lab.snapshot(peer_of(client)))
    await connect(lab, client)
    for access, pings, udp7, udp8 in (
        ((Access(),), {ALLOWED, DENIED, ALLOWED6, DENIED6}, True, True),
        ((Access((f"{ALLOWED}/32", f"{ALLOWED6}/128")),), {ALLOWED, ALLOWED6}, True, True),
        ((Access((f"{ALLOWED}/32",), (Ports("udp", 7, 7),)),), set(), True, False),
        ((), set(), False, False),
    ):
        ack = await agent.delta(ack.applied, upsert=(peer_of(client, Policy(access)),))
        assert ack.errors == {}
        assert {a for a in (ALLOWED, DENIED, ALLOWED6, DENIED6) if lab.client.ping(a, 1)} == pings
        assert (asks(lab.client, ALLOWED, "udp", 7), asks(lab.client, ALLOWED, "udp", 8)) == (udp7, udp8)


async def test_no_packet_leaks_while_the_peer_its_rules_and_the_agent_come_and_go(
    lab: Lab, agent: Agent, world: World
) -> None:
    client = subscriber(lab)
    only = Policy((Access((f"{ALLOWED}/32", "10.8.0.1/32")),))
    await agent.put(lab.snapshot())
    client.connect()
    lab.client.run("ip", "route", "replace", "198.51.100.0/24", "dev", client.interface)
    flood = lab.client.spawn(sys.executable, "-c", FLOOD, DENIED, "0.05")
    try:
        ack = await agent.put(lab.snapshot(peer_of(client, only), revision=2))
        ack = await agent.delta(ack.applied, remove=(client.keys.public,))
        ack = await agent.delta(ack.applied, upsert=(peer_of(client, only),))
        await connect(lab, client)
        for number in range(5):
            access = (*(only.access or ()), Access((f"203.0.113.{number}/32",)))
            ack = await agent.delta(ack.applied, upsert=(peer_of(client, Policy(access)),))
        other = make_peers(1)[0]
        moved = (
            replace(peer_of(client, only), allowed_ips=("10.8.0.9/32",)),
            replace(other, allowed_ips=("10.8.0.2/32",)),
        )
        ack = await agent.delta(ack.applied, upsert=moved)
        back = replace(other, allowed_ips=("10.8.0.9/32",)), peer_of(client, only)
        ack = await agent.delta(ack.applied, upsert=back)
        agent.stop(signal.SIGKILL)
        agent.start(bundle=False, driver="kernel")
        assert (await answer(agent)).applied == ack.applied
        assert asks(lab.client, ALLOWED, "udp")
        # The flood was on its way all the time.
        assert flood.poll() is None
        shown = lab.server.run("nft", "list", "table", "inet", f"wireguard_{agent.interface}")
        assert "counter packets" in shown
    finally:
        flood.kill()
        flood.wait(10)
    assert world.arrived(DENIED) == 0


async def test_a_limit_drops_what_is_beyond_it_in_each_direction(lab: Lab, agent: Agent, world: World) -> None:
    client = subscriber(lab)
    ack = await agent.put(lab.snapshot(peer_of(client)))
    await connect(lab, client)
    # A rate of next to nothing: the burst passes, and then hardly anything.
    for policy in (Policy(upload=Limit(1, 20_000)), Policy(download=Limit(1, 20_000))):
        ack = await agent.delta(ack.applied, upsert=(peer_of(client),))
        assert lab.client.ping(ALLOWED, 2)
        ack = await agent.delta(ack.applied, upsert=(peer_of(client, policy),))
        options = ("-n", "-q", "-c60", "-i0.02", "-s1200", "-W1")
        said = await asyncio.to_thread(lab.client.run, "ping", *options, ALLOWED, check=False)
        received = int(said.split(" received")[0].split()[-1])
        assert 10 <= received <= 20, said
