"""The driver for the kernel's module: the suite of all drivers, and what only this one has."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.agent.agent_lab import Lab, make_peers
from tests.conformance.device_suite import DeviceConformance
from wireguard_operator.agent.device import Device, DeviceError
from wireguard_operator.agent.kernel import KernelDevice
from wireguard_operator.domain.device import Interface


class TestKernelDevice(DeviceConformance):
    def make(self, lab: Lab, name: str, directory: Path) -> Device:
        return KernelDevice(name)

    async def test_an_interface_that_somebody_made_by_hand_is_adopted_with_its_peers(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        lab.server.run("ip", "link", "add", name, "type", "wireguard")
        (peer,) = make_peers(1)
        lab.server.run("wg", "set", name, "peer", peer.public_key, "allowed-ips", "10.8.0.9/32")
        assert await device.identity() == ""
        await device.ensure(interface)
        assert await device.identity() != ""
        assert (await device.dump()).peers[peer.public_key].allowed_ips == ("10.8.0.9/32",)

    async def test_an_interface_that_was_made_again_by_hand_is_another_life(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        await device.ensure(interface)
        first = await device.identity()
        index = Path(f"/proc/self/net/dev_snmp6/{name}").read_text().split()[1]
        lab.server.run("ip", "link", "delete", name)
        lab.server.run("ip", "link", "add", name, "index", index, "type", "wireguard")
        assert await device.identity() == ""
        await device.ensure(interface)
        assert await device.identity() not in ("", first)
        assert lab.server.run("ip", "-o", "link", "show", name).split(":")[0] == index

    async def test_the_interface_of_a_wireguard_go_is_not_taken(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        lab.server.run("ip", "tuntap", "add", name, "mode", "tun")
        with pytest.raises(DeviceError, match=f"kind tun.*a wireguard-go.*ip link delete {name}"):
            await device.ensure(interface)

    async def test_a_refusal_gives_the_kernels_reason(self, device: Device, interface: Interface) -> None:
        await device.ensure(interface)
        (peer,) = make_peers(1)
        refused = await device.apply((type(peer)(peer.public_key, ("10.0.0.0/99",)),), ())
        assert refused == {peer.public_key: "refused by the kernel: EINVAL (Invalid argument)"}
