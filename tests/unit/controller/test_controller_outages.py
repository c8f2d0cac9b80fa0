"""When the API server, an agent or a part of the controller is away or ill."""

import asyncio
from datetime import timedelta

import pytest

from tests.unit.controller.world import World, refusing, serving, until
from wireguard_operator.api.base import Key
from wireguard_operator.kube.client import Object
from wireguard_operator.kube.errors import Forbidden, Unavailable
from wireguard_operator.kube.resources import BLOCKS, DEPLOYMENTS, EVENTS, PEERS, SECRETS, SERVERS, ResourceType


async def test_failures_in_one_batch_are_tried_again_though_the_next_batch_goes_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.server.intake.BATCH", 1)
    await world.server()
    await world.peer("alice")
    await world.peer("bob")
    world.kube.refuse = refusing(SECRETS, "alice", Unavailable("503"), "create")
    await world.start()
    await world.settle(1)
    world.kube.refuse = lambda *_: None
    await world.settle(1)
    assert world.reason("alice") == "Ready"


async def test_wakes_during_an_outage_do_not_add_up_to_more_and_more_tries(world: World) -> None:
    await serving(world, "alice")
    world.agent.down = True
    for i in range(60):
        await world.patch(PEERS, "alice", enabled=bool(i % 2))
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    tries = world.agent.tries
    await asyncio.sleep(0.5)
    assert world.agent.tries - tries <= 24  # 0.5 s / 0.05 s, twice asked in each


async def test_an_agent_s_nonsense_does_not_end_the_work_on_its_server(world: World) -> None:
    world.settings = type(world.settings)(stats_interval=0.02, traffic_interval=0.01)
    await serving(world, "alice")
    world.agent.handshakes[world.status()["publicKey"]] = 10**17
    await asyncio.sleep(0.2)
    world.agent.handshakes.clear()
    await world.peer("bob")
    await world.settle(1)
    assert world.reason("bob") == "Ready"


async def test_statuses_that_cannot_be_written_ask_an_absent_server_no_more_than_is_good_for_it(world: World) -> None:
    await world.start()
    world.kube.refuse = refusing(PEERS, "", Unavailable("down"), "patchstatus")
    for i in range(300):
        await world.peer(f"p{i}", serverRef={"name": "nowhere"})
    await asyncio.sleep(0.5)
    calls = len(world.kube.calls)
    await asyncio.sleep(0.5)
    assert len(world.kube.calls) - calls <= 4 * 0.5 / 0.05 * 1.5
    world.kube.refuse = lambda *_: None
    await until(lambda: all(world.reason(f"p{i}") == "ServerNotFound" for i in range(300)), 10)


async def test_a_peer_expires_though_the_api_server_is_away(world: World) -> None:
    await world.server()
    await world.peer("alice", expiresAt=(world.clock() + timedelta(hours=1)).isoformat())
    await world.start()
    await world.settle()
    assert world.agent.addresses

    def refuse(*_: object) -> None:
        raise Unavailable("away")

    world.kube.refuse = refuse
    world.supervisor.look_for_orphans()
    await asyncio.sleep(0.2)
    world.late = timedelta(hours=2)
    await asyncio.sleep(0.6)
    assert world.agent.addresses == []


async def test_a_peer_that_somebody_s_finalizer_holds_is_no_sign_of_a_watch_that_does_not_deliver(world: World) -> None:
    await serving(world, "alice")
    await world.kube.merge_patch(PEERS, "isp", "alice", {"metadata": {"finalizers": ["example.com/theirs"]}})
    await world.delete(PEERS, "alice")
    await world.settle()
    assert world.agent.addresses == []
    lists = world.kube.calls.count(("list", "namespaces", ""))
    for _ in range(3):
        await world.sweep.find_ghosts()
        assert not world.sweep.is_stalled
    assert world.kube.calls.count(("list", "namespaces", "")) == lists, "nothing is read anew"


async def test_an_object_that_cannot_be_read_is_no_sign_of_a_watch_that_does_not_deliver(world: World) -> None:
    await serving(world, "alice")
    await world.peer("bob", keyOverlapSeconds="a day")
    await world.settle()
    for _ in range(3):
        await world.sweep.find_ghosts()
        assert not world.sweep.is_stalled


async def test_a_watch_that_does_not_deliver_is_noticed(world: World) -> None:
    await serving(world, "alice")
    world.kube.watch = None
    await world.peer("bob")
    await world.sweep.find_ghosts()
    assert not world.sweep.is_stalled
    await world.sweep.find_ghosts()
    await world.settle()
    assert world.sweep.is_stalled and len(world.agent.addresses) == 2
    world.kube.watch = world.see
    await world.sweep.find_ghosts()
    assert not world.sweep.is_stalled


async def test_a_deletion_between_the_first_list_and_the_watch_is_found_soon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.watch.sweep.FIRST_LOOK", 0.1)
    await serving(world, "alice")
    world.kube.watch = None
    await world.delete(PEERS, "alice")
    world.kube.watch = world.see
    sweeping = asyncio.create_task(world.sweep.repeat(300))
    await asyncio.sleep(0.3)
    await world.settle()
    sweeping.cancel()
    assert world.agent.addresses == []


async def test_two_controllers_do_not_write_each_other_s_statistics_over_for_ever(world: World) -> None:
    world.settings = type(world.settings)(stats_interval=0.3, traffic_interval=0.3)
    await serving(world, "alice")
    world.agent.counted[world.status()["publicKey"]] = (1000, 2000)
    twin = World()
    twin.kube, twin.agents, twin.settings, twin.authority = world.kube, world.agents, world.settings, world.authority
    twin.late = timedelta(seconds=100)
    await twin.start()

    def tell(event: str, kind: ResourceType, body: Object) -> None:
        world.see(event, kind, body)
        twin.see(event, kind, body)

    world.kube.watch = tell
    await asyncio.sleep(0.7)
    calls = len(world.kube.calls)
    await asyncio.sleep(1)
    count = len(world.kube.calls) - calls
    await twin.stop()
    assert count < 30


async def test_a_child_that_was_deleted_unseen_is_missed(world: World) -> None:
    await world.start()
    meta = {"name": "berlin-wireguard", "namespace": "isp", "uid": "u", "resourceVersion": "7"}
    world.cache.children.see(DEPLOYMENTS, {"metadata": meta})
    await world.sweep.find_ghosts()
    assert not world.cache.children.uids(DEPLOYMENTS)


async def test_what_pods_boot_from_is_saved_with_pauses_and_no_trouble_with_it_ends_the_work(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def save(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("a mistake")

    monkeypatch.setattr("wireguard_operator.controller.server.pipeline.BOOT_LOOK_SECONDS", 0.02)
    monkeypatch.setattr("wireguard_operator.controller.server.boot.BootSecrets.save", save)
    await serving(world, "alice")
    await asyncio.sleep(0.1)
    assert calls > 1
    await world.peer("bob")
    await world.settle()
    assert world.reason("bob") == "Ready"


async def test_an_answer_that_cannot_be_understood_does_not_end_the_writing_of_events(world: World) -> None:
    await serving(world, "alice", "bob")

    def refuse(_: str, kind: ResourceType, __: str) -> None:
        if kind == EVENTS:
            raise ValueError("not JSON")

    world.kube.refuse = refuse
    await world.patch(PEERS, "alice", enabled=False)
    await world.settle()
    world.kube.refuse = lambda *_: None
    await world.patch(PEERS, "bob", enabled=False)
    await world.settle()
    assert world.notes("Disabled")


async def test_batches_that_fail_in_turns_are_tried_again_with_pauses(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.server.intake.BATCH", 1)
    await serving(world, "alice")
    world.kube.refuse = refusing(SECRETS, "p", Unavailable("503"), "create")
    for i in range(3):
        await world.peer(f"p{i}")
    await asyncio.sleep(0.3)
    calls = world.kube.calls.count(("create", "secrets", "p0-wireguard"))
    await asyncio.sleep(0.5)
    assert world.kube.calls.count(("create", "secrets", "p0-wireguard")) - calls <= 0.5 / 0.05 * 1.5
    world.kube.refuse = lambda *_: None
    await world.settle(1)
    assert all(world.reason(f"p{i}") == "Ready" for i in range(3))


async def test_a_new_controller_cuts_though_no_secret_can_be_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.server.intake.BATCH", 1)
    await serving(world, "p0", "p1", "p2")
    await world.stop()
    await world.patch(SERVERS, "berlin", dns=["10.8.0.1"])  # all configurations have to be written anew
    await world.patch(PEERS, "p0", enabled=False)
    world.kube.refuse = refusing(SECRETS, "p", Unavailable("503"), "replace")
    await world.start()
    await until(lambda: len(world.agent.addresses) == 2)


async def test_a_place_becomes_free_though_the_first_try_to_give_it_back_fails(world: World) -> None:
    await serving(world, "alice", maxPeers=1)
    await world.peer("bob")
    await world.settle()
    assert world.reason("bob") == "ServerFull"
    refusals = 1

    def refuse(verb: str, kind: ResourceType, _: str) -> None:
        nonlocal refusals
        if (verb, kind) == ("replace", BLOCKS) and refusals:
            refusals -= 1
            raise Unavailable("503")

    world.kube.refuse = refuse
    await world.delete(PEERS, "alice")
    await until(lambda: world.reason("bob") == "Ready")


async def test_a_holder_of_an_address_about_whom_nothing_may_be_known_stops_nobody(world: World) -> None:
    await serving(world, "alice")
    await world.stop()
    (block,) = [body for (kind, _), body in world.kube.objects.items() if kind == BLOCKS]
    block["spec"]["allocations"]["10.8.0.77"] = {"uid": "theirs", "peer": "other/carol"}
    await world.peer("bob")
    world.kube.refuse = refusing(PEERS, "carol", Forbidden("namespace other is not ours", 403), "get")
    await world.start()
    await until(lambda: world.reason("bob") == "Ready")
    assert world.held()["10.8.0.77"] == "theirs"


async def test_a_mistake_in_a_server_s_report_does_not_end_the_work_on_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(*_: object) -> None:
        raise RuntimeError("a mistake")

    await serving(world, "alice")
    monkeypatch.setattr("wireguard_operator.controller.server.work.ServerWork.report", report)
    pipeline = world.supervisor._pipelines[Key("isp", "berlin")]
    await world.peer("bob")
    await world.settle()
    assert world.reason("bob") == "Ready"
    assert world.supervisor._pipelines[Key("isp", "berlin")] is pipeline


async def test_what_took_no_change_of_the_device_is_not_measured_later(world: World) -> None:
    await serving(world, "alice", "bob")
    world.agent.down = True
    await world.patch(PEERS, "bob", enabled=False)
    await world.settle(0.3)
    await world.patch(PEERS, "alice", description="nothing for the device")
    await world.peer("carol")
    await world.delete(PEERS, "carol")
    await world.settle(0.3)
    world.agent.down = False
    await world.settle(1)
    assert world.supervisor._pipelines[Key("isp", "berlin")]._told == {}


async def test_work_that_is_told_to_stop_while_it_pauses_does_stop_though_it_is_woken_in_that_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serving(world, "alice")
    reached = world.agent._reached

    async def slow() -> None:
        await asyncio.sleep(0.06)  # a pause is as long as the turn before
        await reached()

    monkeypatch.setattr(world.agent, "_reached", slow)
    pipeline = world.supervisor._pipelines[Key("isp", "berlin")]
    pushes = world.agent.pushes
    await world.peer("bob")
    await until(lambda: world.agent.pushes > pushes)
    await asyncio.sleep(0.01)
    pipeline._urgent.set()
    async with asyncio.timeout(1):
        await world.supervisor.close()
