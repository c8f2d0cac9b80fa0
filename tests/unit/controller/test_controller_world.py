"""The common way, in memory."""

from dataclasses import replace

from tests.unit.controller.world import World, serving, until
from wireguard_operator.kube.resources import PEERS, SERVERS


async def test_a_peer_is_served_and_a_restart_writes_nothing(world: World) -> None:
    await world.server()
    await world.peer()
    await world.start()
    await world.settle()
    assert world.reason("berlin", kind=SERVERS) == "Ready"
    assert world.reason() == "Ready"
    assert world.agent.addresses == ["10.8.0.2/32"]
    before, pushes = (
        {place: b["metadata"]["resourceVersion"] for place, b in world.kube.objects.items()},
        world.agent.pushes,
    )
    await world.restart()
    await world.settle()
    after = {place: b["metadata"]["resourceVersion"] for place, b in world.kube.objects.items()}
    assert after == before and world.agent.pushes == pushes
    await world.delete(PEERS, "alice")
    await world.settle()
    assert world.agent.addresses == [] and world.held() == {}


async def test_a_peer_that_never_came_costs_one_status_write_however_often_it_is_looked_for(world: World) -> None:
    world.settings = replace(world.settings, stats_interval=0.05)
    await serving(world, "alice")
    writes = [call for call in world.kube.calls if call[0] == "patchstatus" and call[2] == "alice"]
    tries = world.agent.tries
    await until(lambda: world.agent.tries > tries + 10)
    assert [call for call in world.kube.calls if call[0] == "patchstatus" and call[2] == "alice"] == writes
    assert len(writes) == 1
