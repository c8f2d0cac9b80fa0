"""Keys and Secrets: lost, imported, rotated, and what must not come of trouble with them."""

import asyncio
import base64

import pytest

from tests.unit.controller.world import World, refusing, serving, until
from wireguard_operator.api.base import Key
from wireguard_operator.domain.keys import generate_pair
from wireguard_operator.kube.errors import Forbidden, KubeError, Unavailable
from wireguard_operator.kube.resources import PEERS, SECRETS, SERVERS, ResourceType


async def test_a_server_s_lost_key_stays_lost_until_somebody_acts(world: World) -> None:
    await serving(world, "alice")
    key = world.status("berlin", SERVERS)["publicKey"]
    await world.stop()
    await world.delete(SECRETS, "berlin-wireguard-server")
    await world.start()
    await world.settle(1)
    assert world.reason("berlin", kind=SERVERS) == "KeyLost"
    assert world.status("berlin", SERVERS)["publicKey"] == key
    assert (SECRETS, Key("isp", "berlin-wireguard-server")) not in world.kube.objects
    assert world.agent.addresses == ["10.8.0.2/32"]
    status = world.status()
    assert status["addresses"] == ["10.8.0.2/32"] and status["publicKey"] in world.agent.allowed_ips


async def test_a_peer_s_lost_key_stays_lost_until_somebody_acts(world: World) -> None:
    await serving(world, "alice", "bob")
    await world.stop()
    await world.delete(SECRETS, "alice-wireguard")
    await world.start()
    await world.settle(1)
    assert world.reason("alice") == "KeyLost"
    for i in range(2):
        await world.patch(PEERS, "alice", description=f"look at it again {i}")
        await world.settle(1)
        assert world.reason("alice") == "KeyLost"
        await world.restart()
        await world.settle(1)
        assert world.reason("alice") == "KeyLost"
    assert world.reason("alice", "Programmed") != "Programmed"
    assert world.status("berlin", SERVERS)["peers"]["active"] == 1


@pytest.mark.parametrize("error", [Forbidden("rbac", 403), Unavailable("503", 503)])
async def test_a_source_that_cannot_be_read_cuts_nobody_at_a_restart(world: World, error: KubeError) -> None:
    pair = generate_pair()
    data = {"privateKey": base64.b64encode(pair.private.reveal().encode()).decode()}
    await world.kube.create(SECRETS, "isp", {"metadata": {"name": "hers"}, "data": data})
    await world.server()
    await world.peer("alice", privateKeySecretRef={"name": "hers"})
    await world.start()
    await world.settle()
    assert pair.public in world.agent.allowed_ips
    await world.peer("bob", privateKeySecretRef={"name": "his"})
    await world.stop()
    world.kube.refuse = refusing(SECRETS, "h", error, "get")
    await world.start()
    await world.settle(1)
    assert pair.public in world.agent.allowed_ips
    assert world.reason("alice") == "Ready"
    if isinstance(error, Forbidden):
        assert world.reason("bob", "KeysReady") == "SecretRefused"


@pytest.mark.parametrize("error", [Forbidden("rbac", 403), Unavailable("503", 503)])
async def test_a_server_s_source_that_cannot_be_read_keeps_nobody_on_the_device(world: World, error: KubeError) -> None:
    pair = generate_pair()
    data = {"privateKey": base64.b64encode(pair.private.reveal().encode()).decode()}
    await world.kube.create(SECRETS, "isp", {"metadata": {"name": "ours"}, "data": data})
    await serving(world, "alice", "bob", privateKeySecretRef={"name": "ours"})
    world.kube.refuse = refusing(SECRETS, "ours", error, "get")
    await world.patch(PEERS, "alice", enabled=False)
    await world.settle(1)
    assert len(world.agent.addresses) == 1
    assert world.reason("bob") == "Ready"


async def test_peers_are_cut_though_the_server_s_own_things_are_in_disorder(world: World) -> None:
    await serving(world, "alice", "bob")
    world.kube.refuse = refusing(SECRETS, "berlin", Forbidden("quota", 403))
    del world.kube.objects[SECRETS, Key("isp", "berlin-agent-tls")]
    world.cache.children.lose(SECRETS, Key("isp", "berlin-agent-tls"))
    await world.patch(PEERS, "alice", enabled=False)
    await world.settle(1)
    assert world.reason("berlin", kind=SERVERS) == "SecretRefused"
    assert len(world.agent.addresses) == 1


async def test_what_waits_for_a_secret_is_tried_again_with_pauses(world: World) -> None:
    await serving(world, "bob")
    await world.peer("alice", privateKeySecretRef={"name": "hers"})
    await asyncio.sleep(0.2)
    assert world.reason("alice") == "SecretNotFound"
    calls = len(world.kube.calls)
    await asyncio.sleep(0.5)
    assert len(world.kube.calls) - calls <= 12


async def test_a_second_rotation_while_the_first_ends_leaves_the_key_in_use_its_overlap(world: World) -> None:
    await serving(world, "alice")
    await world.patch(PEERS, "alice", keyGeneration=1)
    await world.settle()
    second = world.status()["publicKey"]
    assert world.reason("alice", "KeysReady") == "KeysRotating"
    work = world.supervisor._pipelines[Key("isp", "berlin")]._work
    assert work is not None
    world.agent.handshakes[second] = 1
    record = world.cache.servers[Key("isp", "berlin")]
    await work.read_counters(record)
    body = world.kube.objects[PEERS, Key("isp", "alice")]
    body["spec"]["keyGeneration"] = 2
    body["metadata"]["generation"] += 1
    body["metadata"]["resourceVersion"] = "9000"
    world.see("MODIFIED", PEERS, body)
    await world.settle()
    assert world.status()["publicKey"] != second
    assert world.agent.allowed_ips[second] == ("10.8.0.2/32",)


async def test_a_new_key_is_looked_for_from_the_beginning_of_its_rotation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.server.pipeline.ROTATION_SECONDS", 0.05)
    await serving(world, "alice")
    await world.patch(PEERS, "alice", keyGeneration=1)
    await world.settle()
    second = world.status()["publicKey"]
    assert world.agent.allowed_ips[second] == ()
    world.agent.handshakes[second] = 1
    await until(lambda: world.agent.allowed_ips.get(second) == ("10.8.0.2/32",))


async def test_the_word_that_a_new_key_is_used_is_not_lost_on_a_peer_that_is_being_provided_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.server.pipeline.ROTATION_SECONDS", 3600)
    await serving(world, "alice")
    await world.patch(PEERS, "alice", keyGeneration=1)
    await world.settle()
    second = world.status()["publicKey"]
    held, opened = asyncio.Event(), asyncio.Event()
    called = world.kube._called

    async def hold(verb: str, kind: ResourceType, name: str) -> None:
        if (verb, kind) == ("replace", SECRETS):
            held.set()
            await opened.wait()
        await called(verb, kind, name)

    monkeypatch.setattr(world.kube, "_called", hold)
    await world.patch(PEERS, "alice", client={"mtu": 1300})
    async with asyncio.timeout(3):
        await held.wait()
    work = world.supervisor._pipelines[Key("isp", "berlin")]._work
    assert work is not None
    world.agent.handshakes[second] = 1
    await work.read_counters(world.cache.servers[Key("isp", "berlin")])
    opened.set()
    await until(lambda: world.agent.allowed_ips[second] == ("10.8.0.2/32",))
