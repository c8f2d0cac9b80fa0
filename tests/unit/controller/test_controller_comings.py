"""Peers, servers and namespaces that come, go, move and come back."""

import asyncio

from tests.unit.controller.world import World, serving
from wireguard_operator.api.base import Key
from wireguard_operator.domain.keys import generate_pair
from wireguard_operator.kube.errors import Forbidden
from wireguard_operator.kube.resources import BLOCKS, NAMESPACES, PEERS, SERVERS, ResourceType


async def test_a_peer_that_came_before_its_namespace_was_known_is_looked_at_again(world: World) -> None:
    await serving(world, allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}})
    ref = {"name": "berlin", "namespace": "isp"}
    await world.peer("alice", namespace="gold", serverRef=ref)
    await world.settle()
    assert world.agent.addresses == []
    await world.namespace("gold", tier="gold")
    await world.settle()
    assert world.agent.addresses == ["10.8.0.2/32"]


async def test_pipelines_end_with_the_last_that_needs_them(world: World) -> None:
    await world.start()
    for i in range(5):
        await world.peer(f"p{i}", serverRef={"name": f"nowhere{i}"})
    await world.settle()
    assert world.reason("p1") == "ServerNotFound"
    tasks = len(asyncio.all_tasks())
    for i in range(5):
        await world.delete(PEERS, f"p{i}")
    await world.settle()
    assert len(asyncio.all_tasks()) <= tasks - 5
    await world.server("nowhere3")
    await world.peer("p3", serverRef={"name": "nowhere3"})
    await world.settle()
    assert world.reason("p3") == "Ready"


async def test_the_last_usage_of_a_suspended_peer_is_told_at_once(world: World) -> None:
    await serving(world, "alice", "bob")
    key = world.status("alice")["publicKey"]
    world.agent.counted[key] = (5, 7)
    await world.patch(PEERS, "alice", enabled=False)
    await world.settle()
    await world.delete(PEERS, "alice")
    await world.settle()
    assert [note.split(" since")[0] for note in world.notes("FinalUsage")] == ["rxBytes=5 txBytes=7"]


async def test_traffic_is_counted_once_when_a_peer_comes_back_before_its_server_noticed(world: World) -> None:
    world.settings = type(world.settings)(stats_interval=0.05, traffic_interval=0.01)
    await serving(world, "alice")
    await world.server("paris", "https://192.0.2.2:8443", networks=["10.9.0.0/24"])
    await world.settle(0.5)
    world.agent.counted[world.status()["publicKey"]] = (1000, 2000)
    await world.settle(0.5)
    assert world.status()["traffic"]["rxBytes"] == 1000
    world.agent.down = True
    await world.patch(PEERS, "alice", serverRef={"name": "paris"})
    await world.settle(0.5)
    await world.patch(PEERS, "alice", serverRef={"name": "berlin"})
    await world.settle(0.5)
    world.agent.down = False
    await world.settle(1)
    assert world.agent.addresses
    assert world.status()["traffic"]["rxBytes"] == 1000


async def test_a_new_peer_with_the_key_of_a_former_one_starts_from_zero(world: World) -> None:
    world.settings = type(world.settings)(stats_interval=0.05, traffic_interval=0.01)
    key = generate_pair().public
    await world.server()
    await world.peer("alice", publicKey=key)
    await world.start()
    await world.settle(0.5)
    world.agent.counted[key] = (1000, 2000)
    await world.settle(0.5)
    assert world.status()["traffic"]["rxBytes"] == 1000
    world.agent.down = True
    await asyncio.sleep(0.1)
    await world.delete(PEERS, "alice")
    await asyncio.sleep(0.1)
    await world.peer("alice", publicKey=key)
    await asyncio.sleep(0.1)
    world.agent.down = False
    await world.settle(1)
    world.agent.counted[key] = (world.agent.counted.get(key, (0, 0))[0] + 10, 0)
    await world.settle(1)
    assert world.status()["traffic"]["rxBytes"] == 10


async def test_a_server_that_is_made_again_has_nobody_on_its_device_before_its_agent_says_so(world: World) -> None:
    await serving(world, "alice")
    world.agent.down = True
    await world.kube.merge_patch(SERVERS, "isp", "berlin", {"metadata": {"finalizers": None}})
    world.kube.watch = None
    await world.delete(SERVERS, "berlin")
    world.kube.watch = world.see
    await world.server()
    await world.settle(1)
    assert world.reason("alice", "Programmed") != "Programmed"
    world.agent.down = False
    await world.settle(1)
    assert world.reason("alice", "Programmed") == "Programmed"


async def test_a_namespace_that_goes_is_not_held_up_by_what_cannot_be_written_in_it(world: World) -> None:
    await serving(world, "alice", "bob")
    terminating = {"metadata": {"deletionTimestamp": world.clock().isoformat(), "finalizers": ["kubernetes"]}}
    await world.kube.merge_patch(NAMESPACES, "isp", "isp", terminating)

    def refuse(verb: str, _: ResourceType, name: str) -> None:
        if verb == "create":
            raise Forbidden(f"unable to create {name}: the namespace is being terminated", 403)

    world.kube.refuse = refuse
    (block,) = [key.name for kind, key in world.kube.objects if kind == BLOCKS]
    await world.delete(BLOCKS, block)
    await world.delete(PEERS, "alice")
    await world.delete(SERVERS, "berlin")
    await world.settle(1)
    assert (SERVERS, Key("isp", "berlin")) not in world.kube.objects
    assert world.agent.addresses == []


async def test_a_peer_that_goes_away_and_comes_back_at_once_is_on_one_server_with_one_address(world: World) -> None:
    await serving(world, "alice")
    await world.server("paris", "https://192.0.2.2:8443", networks=["10.9.0.0/24"])
    await world.settle()
    for name in ("paris", "berlin", "paris", "berlin"):
        await world.patch(PEERS, "alice", serverRef={"name": name})
    await world.settle()
    assert world.agents["https://192.0.2.2:8443"].addresses == []
    assert len(world.agent.addresses) == 1 and len(world.held()) == 1 and world.reason() == "Ready"
