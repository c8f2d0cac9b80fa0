"""What is sent to an agent, and what becomes of its word."""

from __future__ import annotations

import logging

import pytest

from tests.unit.controller.world import World, serving, until
from wireguard_operator.api.base import Key
from wireguard_operator.controller.agents.client import AgentReplaced, AgentUnreachable
from wireguard_operator.controller.server.delivery import Delivery

BERLIN, ALICE = Key("isp", "berlin"), Key("isp", "alice")


def delivery(world: World) -> Delivery:
    """That of server berlin."""
    work = world.supervisor._pipelines[BERLIN]._work
    assert work is not None
    return work._delivery


async def test_nothing_is_sent_before_everybody_has_been_looked_at(world: World) -> None:
    await serving(world, "alice")
    server, sends = world.cache.servers[BERLIN], delivery(world)
    sends.is_open, tries = False, world.agent.tries
    sends._link.doubt()
    assert await sends.push(server) and world.agent.tries == tries
    sends.open()
    assert await sends.push(server) and world.agent.tries > tries


async def test_an_agent_s_trouble_is_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await serving(world, "alice")
    server, sends = world.cache.servers[BERLIN], delivery(world)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            sends.failed(server, AgentUnreachable("no answer"))
    assert [record.message for record in caplog.records] == ["server isp/berlin: no answer"]


async def test_that_another_agent_speaks_for_the_device_is_no_trouble(world: World) -> None:
    await serving(world, "alice")
    server = world.cache.servers[BERLIN]
    delivery(world).failed(server, AgentReplaced())
    assert server.facts.program_problem is None


async def test_what_changed_nothing_is_forgotten_but_for_those_who_are_still_provided_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serving(world, "alice", "bob")
    sends, bob, carol = delivery(world), Key("isp", "bob"), Key("isp", "carol")
    monkeypatch.setattr(sends._intake, "has", lambda key: key == bob)
    sends._told.update({ALICE: 1.0, bob: 1.0, carol: 3.0})
    sends.forget_told(2.0)
    assert sends._told == {bob: 1.0, carol: 3.0}


async def test_of_who_goes_in_the_same_moment_as_the_server_the_last_usage_is_told(world: World) -> None:
    await serving(world, "alice")
    world.agent.counted[world.status()["publicKey"]] = (1000, 2000)
    world.cache.lose_peer(ALICE, world.cache.peers[ALICE].uid)
    world.cache.lose_server(BERLIN, world.cache.servers[BERLIN].uid)
    await until(lambda: bool(world.notes("FinalUsage")))
    assert world.notes("FinalUsage")[0].startswith("rxBytes=1000 txBytes=2000")
    assert world.agent.addresses == []
