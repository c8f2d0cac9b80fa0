"""The agent's core against a device that can be told to fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from fake_device import INTERFACE, FakeDevice, peer

from wireguard_operator.agent import counters as counters_module
from wireguard_operator.agent import service as service_module
from wireguard_operator.agent.device import Device, DeviceDump, DeviceError, DumpedPeer
from wireguard_operator.agent.protocol import Applied, DeltaRequest, Snapshot
from wireguard_operator.agent.service import ConflictError, InvalidRequestError, Service
from wireguard_operator.agent.store import Store, StoreError
from wireguard_operator.domain.device import DesiredState, DevicePeer, Interface

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.prepare()
    yield store
    store.close()


@pytest.fixture
def service(device: FakeDevice, store: Store) -> Service:
    driver: Device = device
    return Service(driver, store)


@asynccontextmanager
async def supervised(service: Service) -> AsyncIterator[None]:
    task = asyncio.create_task(service.supervise())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 20
    while not await probe():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def until_applied(service: Service) -> None:
    async def applied() -> bool:
        return (await service.status()).applied is not None

    await until(applied)


def delta(
    base: Applied, *upsert: DevicePeer, remove: Sequence[str] = (), interface: Interface | None = None
) -> DeltaRequest:
    return DeltaRequest(base, base.revision + 1, interface, upsert, tuple(remove))


async def test_a_snapshot_touches_only_what_differs(service: Service, device: FakeDevice) -> None:
    await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3), peer(4))))
    device.applied.clear()
    changed = peer(3, "10.8.0.30/32")
    ack = await service.snapshot(Snapshot(2, INTERFACE, (peer(2), changed)))
    assert device.applied == [([changed.public_key], [peer(4).public_key])]
    assert ack.applied == Applied(2, DesiredState(INTERFACE, (peer(2), changed)).digest)
    device.applied.clear()
    await service.snapshot(Snapshot(3, INTERFACE, (peer(2), changed)))
    assert device.applied == []


async def test_a_delta_needs_the_very_state_it_was_made_for(service: Service) -> None:
    with pytest.raises(ConflictError):
        await service.delta(delta(Applied(0, "")))
    ack = await service.snapshot(Snapshot(4, INTERFACE, ()))
    for base in (replace(ack.applied, revision=3), replace(ack.applied, digest="0")):
        with pytest.raises(ConflictError):
            await service.delta(delta(base))
    ack = await service.delta(delta(ack.applied, peer(2)))
    assert ack.applied == Applied(5, DesiredState(INTERFACE, [peer(2)]).digest)


async def test_final_counters_are_of_the_moment_before_the_removal(service: Service, device: FakeDevice) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3), peer(4))))
    device.count(peer(2).public_key, 100)
    device.count(peer(3).public_key, 200)
    ack = await service.delta(delta(ack.applied, remove=[peer(2).public_key, "never seen"]))
    assert [(final.public_key, final.rx_bytes) for final in ack.final] == [(peer(2).public_key, 100)]
    ack = await service.snapshot(Snapshot(3, INTERFACE, (peer(4),)))
    assert [(final.public_key, final.rx_bytes) for final in ack.final] == [(peer(3).public_key, 200)]


async def test_traffic_ends_before_the_last_counters_are_looked_for(service: Service, device: FakeDevice) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3))))
    await service.delta(delta(ack.applied, remove=[peer(2).public_key]))
    assert device.dumps[-1][peer(2).public_key].allowed_ips == ()
    assert device.dumps[-1][peer(3).public_key].allowed_ips == peer(3).allowed_ips


async def test_the_state_is_on_disk_before_the_device_is_touched(
    service: Service, device: FakeDevice, store: Store
) -> None:
    device.problem = "no such luck"
    with pytest.raises(DeviceError):
        await service.snapshot(Snapshot(9, INTERFACE, (peer(2),)))
    stored = store.load_state()
    assert stored is not None and stored[0] == 9
    assert (await service.status()).applied is None


async def test_a_state_is_not_said_to_be_applied_before_the_device_has_it(
    service: Service, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2),)))
    save, said = store.save_change, []

    def slowly(request: DeltaRequest, state: DesiredState) -> None:
        # Whoever asks now, say a controller that has lost patience with the delta, is on another thread's loop.
        said.append(asyncio.run(service.status()).applied)
        save(request, state)

    monkeypatch.setattr(store, "save_change", slowly)
    after = await service.delta(delta(ack.applied, peer(3)))
    assert said[0] is None or said[0].digest != after.applied.digest


async def test_a_full_disk_changes_nothing(
    service: Service, device: FakeDevice, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("no space left")

    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3))))
    device.applied.clear()
    with monkeypatch.context() as patch:
        patch.setattr(store, "save_state", full)
        patch.setattr(store, "save_change", full)
        with pytest.raises(StoreError):
            await service.snapshot(Snapshot(2, INTERFACE, ()))
        changed = delta(ack.applied, peer(2, "10.8.0.9/32"), peer(4), remove=[peer(3).public_key])
        with pytest.raises(StoreError):
            await service.delta(replace(changed, interface=replace(INTERFACE, mtu=1300)))
    assert (await service.status()).applied == ack.applied
    assert device.applied == []
    assert (await service.delta(changed)).applied.revision == 2


async def test_a_refused_peer_is_reported_until_the_device_takes_it(service: Service, device: FakeDevice) -> None:
    bad = peer(7)
    device.bad.add(bad.public_key)
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), bad)))
    assert ack.errors == {bad.public_key: "refused"}
    ack = await service.delta(delta(ack.applied, peer(3)))
    assert ack.errors == {bad.public_key: "refused"}
    device.bad.clear()
    ack = await service.delta(delta(ack.applied, peer(4)))
    assert ack.errors == {}
    assert device.peers.keys() == {peer(number).public_key for number in (2, 3, 4, 7)}


async def test_a_peer_that_becomes_bad_leaves_the_device(service: Service, device: FakeDevice) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3))))
    ack = await service.delta(delta(ack.applied, peer(2, "10.8.0.3/32")))
    assert ack.errors.keys() == {peer(2).public_key}
    assert device.peers.keys() == {peer(3).public_key}
    ack = await service.delta(delta(ack.applied, remove=[peer(3).public_key]))
    assert ack.errors == {}
    assert device.peers[peer(2).public_key].allowed_ips == ("10.8.0.3/32",)


async def test_one_delta_may_name_a_peer_twice(service: Service, device: FakeDevice) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2),)))
    last = peer(3, "10.8.0.33/32")
    ack = await service.delta(delta(ack.applied, peer(3), last, peer(2), remove=[peer(2).public_key]))
    assert ack.errors == {}
    assert device.peers[last.public_key].allowed_ips == last.allowed_ips
    assert ack.applied.digest == DesiredState(INTERFACE, (peer(2), last)).digest


async def test_a_prefix_that_cannot_be_routed_is_its_peers_error(service: Service, device: FakeDevice) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2, "192.168.66.0/24"), peer(3, "192.168.67.0/24"))))
    assert ack.errors == {peer(2).public_key: "no route to 192.168.66.0/24: taken"}
    assert device.routes == {"192.168.66.0/24", "192.168.67.0/24"}


@pytest.mark.parametrize("change", [{"listen_port": 0}, {"private_key": "x"}])
async def test_a_bad_interface_changes_nothing(service: Service, store: Store, change: dict[str, object]) -> None:
    bad = replace(INTERFACE, **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError):
        await service.snapshot(Snapshot(1, bad, ()))
    assert store.load_state() is None
    ack = await service.snapshot(Snapshot(1, INTERFACE, ()))
    with pytest.raises(InvalidRequestError):
        await service.delta(delta(ack.applied, interface=bad))
    assert (await service.status()).applied == ack.applied


async def test_a_device_that_dies_in_a_delta_is_brought_back_with_everything(
    service: Service, device: FakeDevice
) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3))))
    device.die_in_apply = True
    ack = await service.delta(delta(ack.applied, peer(4)))
    assert ack.device == "life 2"
    assert device.peers.keys() == {peer(number).public_key for number in (2, 3, 4)}


async def test_a_dead_device_holds_nothing(service: Service, device: FakeDevice) -> None:
    await service.snapshot(Snapshot(1, INTERFACE, ()))
    device.die()
    status = await service.status()
    assert (status.device, status.applied) == ("", None)


async def test_a_device_that_dies_comes_back_with_the_endpoints_of_those_who_are_online(
    service: Service, device: FakeDevice
) -> None:
    await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3))))
    device.count(peer(2).public_key, 5, "192.0.2.7:1000")
    await service.counters(None)
    async with supervised(service):
        device.die()
        await until_applied(service)
    assert device.life == 2
    assert device.peers.keys() == {peer(2).public_key, peer(3).public_key}
    assert device.kicked == {peer(2).public_key: "192.0.2.7:1000"}


async def test_a_peer_that_is_put_back_soon_is_called_from_our_side(service: Service, device: FakeDevice) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2),)))
    device.count(peer(2).public_key, 5, "192.0.2.7:1000")
    ack = await service.delta(DeltaRequest(ack.applied, 2, remove=(peer(2).public_key,)))
    assert device.kicked == {}
    await service.delta(DeltaRequest(ack.applied, 3, upsert=(peer(2),)))
    assert device.kicked == {peer(2).public_key: "192.0.2.7:1000"}


async def test_what_failed_is_tried_again_without_being_asked(service: Service, device: FakeDevice) -> None:
    device.problem = "port in use"
    with pytest.raises(DeviceError):
        await service.snapshot(Snapshot(1, INTERFACE, (peer(2),)))
    async with supervised(service):
        device.problem = ""
        await until_applied(service)
    assert device.peers.keys() == {peer(2).public_key}


async def test_what_somebody_changed_by_hand_is_set_right_in_time(
    service: Service, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "RECONCILE_SECONDS", 0.1)
    monkeypatch.setattr(service_module, "TICK_SECONDS", 0.05)
    await service.snapshot(Snapshot(1, INTERFACE, (peer(2),)))
    device.peers = {peer(9).public_key: DumpedPeer(peer(9).public_key)}

    async def right() -> bool:
        return device.peers.keys() == {peer(2).public_key}

    async with supervised(service):
        await until(right)


async def test_a_start_restores_the_state_and_the_endpoints_from_disk(
    service: Service, device: FakeDevice, store: Store
) -> None:
    ack = await service.snapshot(Snapshot(3, INTERFACE, (peer(2), peer(3))))
    device.count(peer(3).public_key, 5, "192.0.2.7:1000")
    await service.close(remove=False)
    device.die()
    heir = Service(device, store)
    await heir.restore()
    assert (await heir.status()).applied == ack.applied
    assert device.kicked == {peer(3).public_key: "192.0.2.7:1000"}
    assert device.closed == [False]


async def test_a_start_on_a_living_device_changes_nothing(service: Service, device: FakeDevice, store: Store) -> None:
    await service.snapshot(Snapshot(3, INTERFACE, (peer(2),)))
    device.count(peer(2).public_key, 5, "192.0.2.7:1000")
    await service.close(remove=False)
    device.applied.clear()
    await Service(device, store).restore()
    assert (device.life, device.applied, device.kicked) == (1, [], {})


async def test_a_start_with_a_device_that_resists_is_no_end(service: Service, device: FakeDevice, store: Store) -> None:
    await service.snapshot(Snapshot(3, INTERFACE, ()))
    device.problem = "port in use"
    heir = Service(device, store)
    await heir.restore()
    assert (await heir.status()).applied is None


async def test_without_a_state_a_device_is_left_alone(service: Service, device: FakeDevice) -> None:
    device.alive = True
    device.peers = {"somebody": DumpedPeer("somebody")}
    await service.restore()
    assert [counters.public_key for counters in (await service.counters(None)).peers] == ["somebody"]
    assert device.applied == []
    device.die()
    assert (await service.counters(None)).peers == ()
    await service.close(remove=True)
    assert device.closed == [True]


async def test_a_peer_that_is_removed_between_two_pages_is_not_on_the_next_one(
    device: FakeDevice, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last counters were in the answer to the removal: they would be counted twice."""
    monkeypatch.setattr(counters_module, "PAGE_PEERS", 1)
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2), peer(3), peer(4))))
    for number in (2, 3, 4):
        device.count(peer(number).public_key, 100)
    first = await service.counters("")
    assert first.more
    known = {counters.public_key for counters in first.peers}
    gone = next(peer(number).public_key for number in (2, 3, 4) if peer(number).public_key not in known)
    ack = await service.delta(DeltaRequest(ack.applied, 2, None, (), (gone,)))
    assert [counters.public_key for counters in ack.final] == [gone]
    rest, page = set[str](), first
    while page.more:
        page = await service.counters(page.cursor, more=True)
        rest |= {counters.public_key for counters in page.peers}
    assert rest and gone not in rest


async def test_a_look_after_the_device_is_no_reason_to_send_everything_again(
    device: FakeDevice, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "RECONCILE_SECONDS", 0.01)
    monkeypatch.setattr(service_module, "TICK_SECONDS", 0.01)
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(2),)))
    seen: list[Applied | None] = []
    looked, dump = asyncio.Event(), device.dump

    async def watched() -> DeviceDump:
        seen.append((await service.status()).applied)
        looked.set()
        return await dump()

    monkeypatch.setattr(device, "dump", watched)
    async with supervised(service), asyncio.timeout(3):
        await looked.wait()
    assert seen[0] == ack.applied


async def test_a_delta_that_fails_in_a_way_that_nobody_expected_is_not_believed_to_be_applied(
    service: Service, store: Store, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(1), peer(2))))

    def broken(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(store, "save_change", broken)
        with pytest.raises(RuntimeError):
            await service.delta(delta(ack.applied, remove=(peer(1).public_key,)))
    async with supervised(service):
        await until_applied(service)
    assert service.applied() == ack.applied, "the controller sees that its change is missing"
    ack = await service.delta(delta(ack.applied, remove=(peer(1).public_key,)))
    assert device.peers.keys() == {peer(2).public_key}


async def test_last_counters_are_told_until_the_controller_is_known_to_have_them(
    service: Service, device: FakeDevice
) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(1), peer(2), peer(3))))
    device.count(peer(1).public_key, 1000)
    ack = await service.delta(delta(ack.applied, remove=(peer(1).public_key,)))
    told = [(last.public_key, last.rx_bytes) for last in ack.final]
    assert told == [(peer(1).public_key, 1000)]
    final = (await service.status()).final
    assert [(last.public_key, last.rx_bytes) for last in final] == told, "the answer may have been lost"
    ack = await service.delta(delta(ack.applied, remove=(peer(2).public_key,)))
    assert {last.public_key for last in ack.final} == {peer(2).public_key}, "who knows the base knows them"


async def test_last_counters_of_a_removal_that_was_made_up_for_are_told(
    service: Service, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(1), peer(2))))
    device.count(peer(1).public_key, 1000)

    async def broken(*_: object) -> None:
        raise DeviceError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(device, "apply", broken)
        with pytest.raises(DeviceError):
            await service.delta(delta(ack.applied, remove=(peer(1).public_key,)))
    async with supervised(service):
        await until_applied(service)
    assert [last.rx_bytes for last in (await service.status()).final] == [1000]


async def test_last_counters_of_a_device_that_died_are_not_told_as_the_next_one_s(
    service: Service, device: FakeDevice
) -> None:
    ack = await service.snapshot(Snapshot(1, INTERFACE, (peer(1), peer(2))))
    device.count(peer(1).public_key, 1000)
    await service.delta(delta(ack.applied, remove=(peer(1).public_key,)))
    async with supervised(service):
        device.die()
        await until_applied(service)
    assert (await service.status()).final == ()
