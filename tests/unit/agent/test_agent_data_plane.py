"""In which order device, port and packet filter are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import pytest
from fake_device import INTERFACE, FakeDevice, peer

from wireguard_operator.agent.data_plane import DataPlane
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
