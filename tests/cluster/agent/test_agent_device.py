"""The driver for wireguard-go: the suite of all drivers, and what only this one has."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from agent_lab import Lab, end, unique

from tests.conformance.device_suite import DeviceConformance, inside
from wireguard_operator.agent.daemon import UAPI_DIRECTORY
from wireguard_operator.agent.device import Device, DeviceError
from wireguard_operator.agent.userspace import UserspaceDevice
from wireguard_operator.domain.device import Interface


def make_userspace(name: str, directory: Path, binary: Path) -> UserspaceDevice:
    return UserspaceDevice(name, binary=binary, uapi_directory=UAPI_DIRECTORY, crash_log=directory / "crash.log")


class TestUserspaceDevice(DeviceConformance):
    def make(self, lab: Lab, name: str, directory: Path) -> Device:
        return make_userspace(name, directory, lab.binary)

    async def test_a_death_is_noticed_and_the_next_life_has_another_identity(
        self, device: Device, interface: Interface
    ) -> None:
        await device.ensure(interface)
        first = await device.identity()
        waiting = asyncio.create_task(device.lost())
        end(int(first.split(".")[1]))
        await asyncio.wait_for(waiting, 10)
        assert await device.identity() == ""
        await device.ensure(interface)
        assert await device.identity() not in ("", first)

    async def test_a_socket_of_another_network_namespace_is_not_taken(
        self, device: Device, interface: Interface, lab: Lab, name: str, tmp_path: Path
    ) -> None:
        await device.ensure(interface)
        with inside(lab.client):
            stranger = make_userspace(name, tmp_path, lab.binary)
            with pytest.raises(DeviceError, match="another network namespace"):
                await stranger.ensure(interface)
        assert await device.identity() != ""


async def test_a_wireguard_go_that_ends_at_once_is_told_with_a_way_to_see_why(lab: Lab, tmp_path: Path) -> None:
    with inside(lab.server):
        device = make_userspace(unique("wgd"), tmp_path, Path("/bin/false"))
        with pytest.raises(DeviceError, match=r"ended at once \(exit code 1\).*LOG_LEVEL=error"):
            await device.ensure(lab.snapshot().interface)
