"""The agent with the kernel's driver: which one it takes, and what it says where it cannot."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.agent.agent_lab import Agent, Lab, Ping, eventually, make_peers, unique
from tests.conformance.device_suite import inside
from tests.kernel.patience import answer
from wireguard_operator.agent import parts, protocol
from wireguard_operator.agent.device import Device, DeviceError
from wireguard_operator.agent.driver import make_device
from wireguard_operator.agent.kernel import KernelDevice
from wireguard_operator.agent.protocol import Role, RoleOrder
from wireguard_operator.agent.userspace import UserspaceDevice


@pytest.fixture
def no_module() -> Iterator[None]:
    """A kernel without WireGuard: the module is unloaded, and not found by who would load it again."""
    subprocess.run(["modprobe", "-r", "-d", os.environ["KERNEL_MODULES"], "wireguard"], check=True)
    yield
    subprocess.run(["modprobe", "-d", os.environ["KERNEL_MODULES"], "wireguard"], check=True)


async def test_the_kernel_carries_the_packets_where_it_can_and_a_restart_is_not_noticed(lab: Lab) -> None:
    agent = lab.make_agent()
    agent.start(driver="auto")
    assert (await answer(agent)).implementation == "Kernel"
    client = lab.make_client()
    ack = await agent.put(lab.snapshot(client.peer, *make_peers(3)))
    await lab.reach()
    ping = Ping(lab.client, "10.8.0.1")
    agent.stop()
    agent.start("--on-exit", "remove", bundle=False, driver="auto")
    status = await answer(agent)
    sent, lost = ping.lost()
    assert sent > 0 == lost
    assert (status.applied, status.device) == (ack.applied, ack.device)
    assert agent.interface in lab.server.run("ip", "-o", "link", "show", "type", "wireguard")
    agent.stop()
    assert lab.server.run("ip", "-o", "link", "show", "type", "wireguard") == ""


async def test_a_standby_is_silent_until_it_is_ordered_to_serve_and_again_afterwards(lab: Lab) -> None:
    agent = lab.make_agent()
    agent.start("--role", "standby", driver="kernel")
    await answer(agent)
    client = lab.make_client()
    await agent.put(lab.snapshot(client.peer, *make_peers(3)))
    lab.client.run("nft", "-f", "-", input=COUNT)
    client.connect()
    assert not lab.client.ping("10.8.0.1", 3)
    assert "packets 0 bytes 0" in lab.client.run("nft", "list", "counters")
    await order(agent, 1, Role.ACTIVE)
    client.forget()
    await lab.reach(seconds=60)
    _, body = await agent.request("GET", protocol.ENDPOINTS_PATH)
    seen = protocol.decode(protocol.Endpoints, body).seen[client.keys.public]
    assert seen.endpoint.startswith("192.0.2.2:")
    assert seen.sessions
    await order(agent, 2, Role.STANDBY)
    assert not lab.client.ping("10.8.0.1", 3)

    async def counters() -> set[int]:
        return {peer.rx_bytes + peer.last_handshake for peer in (await agent.counters()).peers}

    assert await eventually(counters, lambda found: found == {0}, seconds=60) == {0}, "no session lasts"
    agent.stop()


COUNT = """table inet count {
  counter came {}
  chain in { type filter hook prerouting priority -400; udp sport 51820 counter name came; }
}
"""


async def order(agent: Agent, term: int, role: Role) -> None:
    code, body = await agent.request("PUT", protocol.ROLE_PATH, RoleOrder(term, role))
    assert code == 200, body


async def test_an_agent_says_what_to_do_about_a_kernel_without_wireguard(no_module: None, lab: Lab) -> None:
    agent = lab.make_agent()
    agent.start(driver="kernel")
    assert (await answer(agent)).implementation == "Kernel"
    (part,) = parts.pack(lab.snapshot(*make_peers(3)), 1 << 20)
    code, body = await agent.request("PUT", protocol.STATE_PATH, part)
    assert code == 500
    assert "modprobe wireguard" in body.decode()
    assert (await agent.status()).applied is None
    agent.stop()


async def choose(lab: Lab, driver: str, directory: Path, name: str) -> Device:
    return await make_device(driver, name, binary=lab.binary, uapi_directory=directory, crash_log=directory / "log")


async def test_auto_takes_the_kernel_but_for_what_runs_already(lab: Lab, tmp_path: Path) -> None:
    name = unique("wgd")
    with inside(lab.server):
        assert isinstance(await choose(lab, "auto", tmp_path, name), KernelDevice)
        assert "wgprobe" not in lab.server.run("ip", "-o", "link", "show")
        assert isinstance(await choose(lab, "userspace", tmp_path, name), UserspaceDevice)
        lab.server.run("ip", "tuntap", "add", name, "mode", "tun")
        assert isinstance(await choose(lab, "auto", tmp_path, name), UserspaceDevice)
        lab.server.run("ip", "link", "delete", name)
        lab.server.run("ip", "link", "add", name, "type", "wireguard")
        assert isinstance(await choose(lab, "auto", tmp_path, name), KernelDevice)


async def test_auto_takes_wireguard_go_on_a_kernel_without_wireguard(no_module: None, lab: Lab, tmp_path: Path) -> None:
    with inside(lab.server):
        assert isinstance(await choose(lab, "auto", tmp_path, unique("wgd")), UserspaceDevice)
        with pytest.raises(DeviceError, match="this kernel has no WireGuard, and wireguard-go not found at /nowhere"):
            await make_device(
                "auto", unique("wgd"), binary=Path("/nowhere"), uapi_directory=tmp_path, crash_log=tmp_path / "log"
            )
