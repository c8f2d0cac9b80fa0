"""In which order device, port and packet filter are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import pytest
from fake_device import INTERFACE, FakeDevice, peer

from wireguard_operator.agent.data_plane import DataPlane
from wireguard_operator.agent.device import DeviceError
from wireguard_operator.agent.firewall.guard import Firewall
from wireguard_operator.agent.firewall.port import Port
from wireguard_operator.domain.device import Delta, DesiredState, DevicePeer, Interface


class Told:
    """Firewall and port of nothing, which note what they and the device are told."""

    def __init__(self, device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.bad: set[str] = set()
        self.refused: dict[str, str] = {}
        for name in ("ensure", "cut", "dump", "apply", "route", "kick", "close"):
            self._note(device, name, monkeypatch)

    def _note(self, device: FakeDevice, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        method = getattr(device, name)

        async def noted(*args: object, **named: object) -> object:
            self.calls.append(name)
            return await method(*args, **named)

        monkeypatch.setattr(device, name, noted)

    def take(self) -> list[str]:
        calls, self.calls = self.calls, []
        return calls


class ToldPort:
    def __init__(self, told: Told) -> None:
        self._told = told

    async def ensure(self, port: int) -> None:
        self._told.calls.append("port")


class ToldFirewall:
    def __init__(self, told: Told) -> None:
        self._told = told

    @property
    def refused(self) -> Mapping[str, str]:
        return self._told.refused

    async def ensure(self, interface: Interface, peers: Mapping[str, DevicePeer], holders: Mapping[str, str]) -> None:
        self._told.calls.append("rules")
        self._told.refused = {key: "policy" for key in peers if key in self._told.bad}

    async def change(self, upsert: Iterable[DevicePeer], remove: Sequence[str]) -> None:
        self._told.calls.append("rules")
        self._told.refused |= {new.public_key: "policy" for new in upsert if new.public_key in self._told.bad}

    async def settle(self) -> None:
        self._told.calls.append("settle")

    async def remove(self) -> None:
        self._told.calls.append("no rules")


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def told(device: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(device, monkeypatch)


@pytest.fixture
def plane(device: FakeDevice, told: Told) -> DataPlane:
    return DataPlane(device, cast(Firewall, ToldFirewall(told)), cast(Port, ToldPort(told)))


async def made(plane: DataPlane, told: Told, *peers: DevicePeer) -> DesiredState:
    state = DesiredState(INTERFACE, peers)
    plane.admit(state)
    await plane.reconcile(INTERFACE)
    told.take()
    return state


async def change(plane: DataPlane, state: DesiredState, delta: Delta) -> list[str]:
    state.apply(delta)
    final = await plane.change([*delta.remove, *(new.public_key for new in delta.upsert)], state)
    return [counters.public_key for counters in final]


async def test_the_port_is_closed_before_there_is_a_device_and_rules_are_there_before_peers(
    plane: DataPlane, told: Told
) -> None:
    plane.admit(DesiredState(INTERFACE, [peer(2)]))
    await plane.reconcile(INTERFACE)
    assert told.take() == ["port", "ensure", "dump", "rules", "apply", "settle", "route"]
    await plane.reconcile(INTERFACE)
    assert told.take() == ["port", "ensure", "dump", "rules", "settle", "route"]


async def test_traffic_of_a_peer_that_goes_ends_before_its_rules_do(plane: DataPlane, told: Told) -> None:
    state = await made(plane, told, peer(2), peer(3))
    key = peer(2).public_key
    assert await change(plane, state, Delta(upsert=(peer(4),), remove=(key,))) == [key]
    assert told.take() == ["cut", "dump", "rules", "apply", "settle", "route"]


async def test_a_peer_without_its_rules_is_not_on_the_device(plane: DataPlane, told: Told, device: FakeDevice) -> None:
    key = peer(3).public_key
    told.bad.add(key)
    state = await made(plane, told, peer(2), peer(3))
    assert device.peers.keys() == {peer(2).public_key}
    assert plane.errors() == {key: "policy"}
    await change(plane, state, Delta(upsert=(peer(4),)))
    assert device.peers.keys() == {peer(2).public_key, peer(4).public_key}
    told.bad = {peer(2).public_key}
    await change(plane, state, Delta(upsert=(peer(2, "10.8.0.22/32"),)))
    assert peer(2).public_key not in device.peers


async def test_a_device_that_is_gone_is_made_as_a_whole(plane: DataPlane, told: Told, device: FakeDevice) -> None:
    state = await made(plane, told, peer(2))
    device.die()
    await change(plane, state, Delta(upsert=(peer(3),)))
    assert told.take() == ["rules", "apply", "port", "ensure", "dump", "rules", "apply", "settle", "route"]
    assert device.peers.keys() == {peer(2).public_key, peer(3).public_key}


async def test_a_standby_calls_nobody(plane: DataPlane, told: Told, device: FakeDevice) -> None:
    called: list[Mapping[str, str]] = []
    plane.kicked = called.append
    where = {peer(2).public_key: "192.0.2.7:1000"}
    for speaks in (False, True):
        plane.endpoints.restore(where)
        plane.speaks = speaks
        await made(plane, told, peer(2))
        device.die()
    assert device.kicked == where
    assert called == [where]


async def test_the_rules_go_after_the_device(plane: DataPlane, told: Told) -> None:
    await plane.close(remove=False)
    await plane.close(remove=True)
    assert told.take() == ["close", "close", "no rules"]


async def test_who_must_not_be_on_the_device_goes_first_and_with_exact_counters(
    plane: DataPlane, told: Told, device: FakeDevice
) -> None:
    await made(plane, told, peer(1), peer(2))
    device.count(peer(1).public_key, 1000)
    plane.admit(DesiredState(INTERFACE, (peer(2),)))
    final = await plane.reconcile(INTERFACE)
    assert told.take()[:5] == ["port", "ensure", "dump", "cut", "dump"]
    assert [(last.public_key, last.rx_bytes) for last in final] == [(peer(1).public_key, 1000)]


@pytest.mark.parametrize("place", ["device", "rules"])
async def test_who_must_not_be_on_the_device_goes_though_it_cannot_be_made_as_it_should_be(
    plane: DataPlane, told: Told, device: FakeDevice, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    await made(plane, told, peer(1), peer(2))

    async def broken(*_: object) -> None:
        raise DeviceError("no such thing")

    if place == "device":
        device.problem = "the port is taken"
    else:
        monkeypatch.setattr(ToldFirewall, "ensure", broken)
    plane.admit(DesiredState(INTERFACE, (peer(2),)))
    with pytest.raises(DeviceError):
        await plane.reconcile(INTERFACE)
    assert device.peers[peer(1).public_key].allowed_ips == ()
    assert device.peers[peer(2).public_key].allowed_ips == peer(2).allowed_ips, "and the others go on"


async def test_counters_keep_their_name_where_the_sessions_could_not_be_ended(
    plane: DataPlane, told: Told, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another name they would be counted a second time."""
    await made(plane, told, peer(1))
    before = await plane.life()

    async def broken(*_: object) -> None:
        raise DeviceError("busy")

    with monkeypatch.context() as patch:
        patch.setattr(device, "apply", broken)
        with pytest.raises(DeviceError):
            await plane.end_sessions()
    assert await plane.life() == before
    await plane.end_sessions()
    assert await plane.life() != before
