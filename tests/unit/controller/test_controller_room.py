"""Addresses and room: nobody is sent to and fro, nothing is given out twice, and nobody loses what it has."""

import asyncio

from tests.unit.controller.world import World, serving
from wireguard_operator.api.base import Key
from wireguard_operator.kube.errors import Unavailable
from wireguard_operator.kube.resources import BLOCKS, PEERS, SERVERS, ResourceType


async def test_a_peer_without_room_is_moved_or_told_and_not_sent_to_and_fro(world: World) -> None:
    await serving(world, "a", "b", networks=["10.8.0.0/29"], maxPeers=5)
    for name in "cde":
        await world.peer(name)
    await world.settle()
    await world.delete(PEERS, "a")
    await world.settle()
    await world.peer("late", serverSelector={})
    await asyncio.sleep(0.3)
    calls = len(world.kube.calls)
    await asyncio.sleep(0.5)
    assert len(world.kube.calls) - calls < 5
    assert world.reason("late") == "NoServerAvailable"


async def test_a_peer_without_room_in_one_family_does_not_use_up_the_other(world: World) -> None:
    await serving(world, "a", "b", networks=["fd00:8::/64", "10.8.0.0/29"])
    for name in "cde":
        await world.peer(name)
    await world.settle()
    await world.delete(PEERS, "a")
    await world.settle()
    await world.peer("late", serverSelector={})
    await asyncio.sleep(0.3)
    calls = len(world.kube.calls)
    await asyncio.sleep(0.5)
    assert len(world.kube.calls) - calls < 5
    cooling = [a for (k, _), b in world.kube.objects.items() if k == BLOCKS for a in b["spec"]["cooling"]]
    assert len(cooling) == 2
    assert len(world.held()) == 8


async def test_a_server_with_refused_networks_does_not_send_a_peer_to_and_fro(world: World) -> None:
    await serving(world, "a", networks=["10.8.0.0/29"])
    for name in "bcde":
        await world.peer(name)
    await world.settle()
    await world.patch(SERVERS, "berlin", networks=["10.9.0.0/24"])
    await world.settle()
    assert world.reason("berlin", "Accepted", SERVERS) == "NetworkInUse"
    await world.delete(PEERS, "a")
    await world.settle()
    await world.peer("late", serverSelector={})
    await asyncio.sleep(0.3)
    calls = len(world.kube.calls)
    await asyncio.sleep(0.5)
    assert len(world.kube.calls) - calls < 5
    assert world.reason("late") == "NoServerAvailable"


async def test_a_deleted_address_block_comes_back_as_it_was(world: World) -> None:
    await serving(world, "alice", "bob")
    before = world.held()
    (block,) = [key.name for kind, key in world.kube.objects if kind == BLOCKS]
    await world.delete(BLOCKS, block)
    await world.peer("carol")
    await world.settle()
    assert before.items() <= world.held().items() and len(world.held()) == 3
    assert len(world.agent.addresses) == 3


async def test_a_server_that_got_another_family_still_waits_for_its_peers(world: World) -> None:
    await serving(world, "alice")
    await world.stop()
    await world.patch(SERVERS, "berlin", networks=["10.8.0.0/24", "fd00:8::/64"])
    await world.delete(SERVERS, "berlin")
    await world.start()
    await world.settle(1)
    assert world.agent.addresses[:1] == ["10.8.0.2/32"]
    assert world.reason("berlin", kind=SERVERS) == "WaitingForPeers"


async def test_who_cannot_have_an_address_of_a_new_family_goes_on_with_the_others(world: World) -> None:
    await serving(world, "alice", "bob", "carol")
    await world.patch(SERVERS, "berlin", networks=["10.8.0.0/24", "fd00:8::/126"])
    await world.settle()
    assert len([a for a in world.agent.addresses if a.startswith("10.")]) == 3
    await world.restart()
    await world.settle()
    assert len([a for a in world.agent.addresses if a.startswith("10.")]) == 3
    assert sorted(world.reason(name) for name in ("alice", "bob", "carol")).count("PoolExhausted") == 1


async def test_who_asks_for_a_taken_address_keeps_the_present_one_also_at_a_restart(world: World) -> None:
    await serving(world, "alice", "bob")
    address = world.status("alice")["addresses"][0].split("/")[0]
    before = world.agent.addresses
    await world.patch(PEERS, "bob", addresses=[address])
    await world.settle()
    assert world.reason("bob", "AddressAllocated") == "AddressTaken"
    assert world.agent.addresses == before
    await world.restart()
    await world.settle()
    assert world.agent.addresses == before
    assert world.reason("bob", "AddressAllocated") == "AddressTaken"
    # A stolen key must go, whatever else is wrong.
    stolen = world.status("bob")["publicKey"]
    await world.patch(PEERS, "bob", keyGeneration=1, keyOverlapSeconds=0)
    await world.settle()
    assert stolen not in world.agent.allowed_ips and world.agent.addresses == before


async def test_networks_in_force_are_remembered_though_the_first_turn_of_a_controller_fails(world: World) -> None:
    await serving(world, "alice")
    await world.patch(SERVERS, "berlin", networks=["10.9.0.0/24"])
    await world.settle()
    assert world.status("berlin", SERVERS)["networks"] == ["10.8.0.0/24"]
    await world.stop()
    lists = 0

    def refuse(verb: str, kind: ResourceType, _: str) -> None:
        nonlocal lists
        lists += verb == "list" and kind == BLOCKS
        if verb == "list" and kind == BLOCKS and 2 <= lists <= 5:
            raise Unavailable("503")

    world.kube.refuse = refuse
    await world.start()
    await world.settle(1)
    assert lists > 5
    assert world.status("berlin", SERVERS)["networks"] == ["10.8.0.0/24"]
    assert world.agent.addresses == ["10.8.0.2/32"] and world.reason("berlin", "Accepted", SERVERS) == "NetworkInUse"


async def test_an_address_is_given_back_only_after_the_device_let_go_also_when_a_search_finds_it(world: World) -> None:
    await serving(world, "alice", "bob")
    await world.server("paris", "https://192.0.2.2:8443", networks=["10.9.0.0/24"])
    await world.settle()
    (address,) = world.status("alice")["addresses"]
    early = []

    def refuse(verb: str, kind: ResourceType, name: str) -> None:
        if (verb, kind) == ("list", BLOCKS):
            body = world.kube.objects[PEERS, Key("isp", "alice")]
            body["spec"]["serverRef"] = {"name": "paris"}
            body["metadata"]["generation"] += 1
            world.see("MODIFIED", PEERS, world.kube._store("MODIFIED", PEERS, body))
        if (verb, kind) == ("replace", BLOCKS) and name.startswith("berlin"):
            early.append(address in world.agent.addresses)

    world.kube.refuse = refuse
    world.supervisor.look_for_orphans()
    await world.settle(1)
    assert early and not any(early)
    assert address not in world.agent.addresses


async def test_a_server_that_is_made_again_takes_over_the_blocks_that_went_with_its_forerunner(world: World) -> None:
    await serving(world, "alice", "bob")
    await world.stop()
    del world.kube.objects[SERVERS, Key("isp", "berlin")]
    await world.server()
    await world.start()
    await world.settle()
    before = world.held()
    assert len(before) == 2
    uid = world.kube.objects[SERVERS, Key("isp", "berlin")]["metadata"]["uid"]
    # The garbage collector takes what belongs to the former one alone.
    for (kind, _), body in list(world.kube.objects.items()):
        if kind == BLOCKS and all(owner["uid"] != uid for owner in body["metadata"]["ownerReferences"]):
            await world.kube.delete(kind, "isp", body["metadata"]["name"])
    await world.peer("carol")
    await world.settle()
    assert before.items() <= world.held().items() and len(world.held()) == 3


async def test_a_place_that_was_counted_but_never_taken_is_free_when_its_peer_goes(world: World) -> None:
    await serving(world, maxPeers=1)
    await world.peer("alice", addresses=["192.0.2.7"])
    await world.settle()
    assert world.reason("alice") == "AddressUnusable"
    await world.peer("bob", serverSelector={})
    await world.settle()
    assert world.reason("bob") == "NoServerAvailable"
    await world.delete(PEERS, "alice")
    await world.settle()
    assert world.reason("bob") == "Ready"


async def test_fewer_places_than_peers_take_nobody_s_place_away(world: World) -> None:
    await serving(world, "alice", "bob", "carol")
    await world.patch(SERVERS, "berlin", maxPeers=1)
    await world.settle()
    await world.restart()
    await world.settle()
    assert len(world.agent.addresses) == 3 and all(world.reason(name) == "Ready" for name in ("alice", "bob", "carol"))


async def test_a_peer_made_again_gets_its_static_address_when_its_former_self_has_left_the_device(world: World) -> None:
    await world.server()
    await world.peer("alice", addresses=["10.8.0.50"])
    await world.start()
    await world.settle()
    former = world.status()["publicKey"]
    world.agent.down = True
    await world.delete(PEERS, "alice")
    await world.peer("alice", addresses=["10.8.0.50"])
    await world.settle(0.5)
    assert world.reason("alice", "AddressAllocated") == "AddressTaken" and former in world.agent.allowed_ips
    world.agent.down = False
    await world.settle(1)
    assert world.reason() == "Ready"
    assert world.agent.addresses == ["10.8.0.50/32"] and former not in world.agent.allowed_ips
