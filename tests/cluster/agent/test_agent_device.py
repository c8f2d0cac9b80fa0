"""What every device driver must do; a driver joins by one more parameter of the fixture ``device``."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from agent_lab import Lab, Namespace, end, make_peers, unique

from wireguard_operator.agent.daemon import UAPI_DIRECTORY
from wireguard_operator.agent.device import Device, DeviceError, DeviceGoneError
from wireguard_operator.agent.userspace import UserspaceDevice
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair

CLONE_NEWNET = 0x40000000


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """This thread, and so the driver, in a network namespace. Python has os.setns from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace.name}", os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0
        yield
        assert libc.setns(home, CLONE_NEWNET) == 0
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


@pytest.fixture
def name() -> str:
    return unique("wgd")


@pytest.fixture
def interface() -> Interface:
    return Interface(generate_pair().private.reveal(), 51820, 1420, ("10.8.0.1/24", "fd08::1/64"))


@pytest.fixture(params=["userspace"])
async def device(
    request: pytest.FixtureRequest, lab: Lab, name: str, tmp_path: Path, wireguard_go: Path
) -> AsyncIterator[Device]:
    with inside(lab.server):
        device = make_userspace(name, tmp_path, wireguard_go)
        yield device
        await device.close(remove=True)


def make_userspace(name: str, directory: Path, binary: Path) -> UserspaceDevice:
    return UserspaceDevice(name, binary=binary, uapi_directory=UAPI_DIRECTORY, crash_log=directory / "crash.log")


async def test_there_is_no_device_before_it_is_asked_for(device: Device) -> None:
    assert await device.identity() == ""
    with pytest.raises(DeviceGoneError):
        await device.dump()


async def test_ensuring_twice_is_one_life_and_a_change_is_taken_over(device: Device, interface: Interface) -> None:
    await device.ensure(interface)
    first = await device.dump()
    await device.ensure(interface)
    changed = replace(interface, listen_port=51900, private_key=generate_pair().private.reveal(), addresses=())
    await device.ensure(changed)
    second = await device.dump()
    assert first.device == second.device == await device.identity() != ""
    assert (first.private_key, first.listen_port) == (interface.private_key, 51820)
    assert (second.private_key, second.listen_port) == (changed.private_key, 51900)


async def test_a_private_key_that_is_not_clamped_is_set_once(device: Device, interface: Interface) -> None:
    raw = "/" * 42 + "8="  # all ones
    await device.ensure(replace(interface, private_key=raw))
    before = await device.dump()
    await device.ensure(replace(interface, private_key=raw))
    assert before.private_key == (await device.dump()).private_key != raw


async def test_peers_are_as_they_were_applied(device: Device, interface: Interface) -> None:
    await device.ensure(interface)
    one, two = make_peers(2)
    two = DevicePeer(two.public_key, ("10.9.0.0/16", "2001:db8::/32"))
    assert await device.apply((one, two), ()) == {}
    peers = (await device.dump()).peers
    assert peers.keys() == {one.public_key, two.public_key}
    assert peers[one.public_key].preshared_key == one.preshared_key
    assert peers[two.public_key].preshared_key is None
    assert set(peers[two.public_key].allowed_ips) == set(two.allowed_ips)
    assert peers[one.public_key].last_handshake == peers[one.public_key].rx_bytes == 0

    changed = DevicePeer(one.public_key, ("10.10.0.1/32",))
    assert await device.apply((changed,), (two.public_key,)) == {}
    (left,) = (await device.dump()).peers.values()
    assert (left.allowed_ips, left.preshared_key) == (("10.10.0.1/32",), None)


async def test_removing_what_is_not_there_is_no_error(device: Device, interface: Interface) -> None:
    await device.ensure(interface)
    assert await device.apply((), [peer.public_key for peer in make_peers(3)]) == {}
    assert (await device.dump()).peers == {}


async def test_bad_peers_in_a_batch_are_told_and_all_others_are_applied(device: Device, interface: Interface) -> None:
    await device.ensure(interface)
    peers = list(make_peers(500))
    assert await device.apply(peers[400:450], ()) == {}
    bad = [3, 4, 250, 420, 499]
    for index in bad:
        peers[index] = replace(peers[index], allowed_ips=("10.1.2.3/32", "10.0.0.0/99"))

    refused = await device.apply(peers, (make_peers(1, first=900)[0].public_key,))

    assert refused.keys() == {peers[index].public_key for index in bad}
    assert all("refused" in reason for reason in refused.values())
    found = (await device.dump()).peers
    assert found.keys() == {peer.public_key for index, peer in enumerate(peers) if index not in bad}
    assert all(found[peer.public_key].allowed_ips == peer.allowed_ips for peer in peers if peer.public_key in found)


@pytest.mark.parametrize("order", [1, -1])
async def test_allowed_ips_change_hands_in_any_order(device: Device, interface: Interface, order: int) -> None:
    await device.ensure(interface)
    one, two, three = make_peers(3)
    assert await device.apply((one, two, three), ()) == {}
    moved = [
        replace(one, allowed_ips=two.allowed_ips),
        replace(two, allowed_ips=(*one.allowed_ips, *three.allowed_ips)),
    ]
    assert await device.apply(moved[::order], (three.public_key,)) == {}
    peers = (await device.dump()).peers
    assert {key: set(peer.allowed_ips) for key, peer in peers.items()} == {
        peer.public_key: set(peer.allowed_ips) for peer in moved
    }


async def test_routes_are_exactly_those_asked_for(device: Device, interface: Interface, lab: Lab, name: str) -> None:
    def shown() -> list[str]:
        return lab.server.run("ip", "route", "show", "dev", name, "proto", "87").split()

    await device.ensure(interface)
    assert await device.route(frozenset({"172.16.0.0/12", "2001:db8:1::/48"})) == {}
    assert "172.16.0.0/12" in shown()
    lab.server.run("ip", "route", "delete", "172.16.0.0/12")
    await device.ensure(interface)
    assert await device.route(frozenset({"172.16.0.0/12", "192.168.9.0/24"})) == {}
    assert {"172.16.0.0/12", "192.168.9.0/24"} <= set(shown())
    assert await device.route(frozenset()) == {}
    assert shown() == []


async def test_a_death_is_noticed_and_the_next_life_has_another_identity(device: Device, interface: Interface) -> None:
    await device.ensure(interface)
    first = await device.identity()
    waiting = asyncio.create_task(device.lost())
    end(int(first.split(".")[1]))
    await asyncio.wait_for(waiting, 10)
    assert await device.identity() == ""
    await device.ensure(interface)
    assert await device.identity() not in ("", first)


async def test_a_second_driver_adopts_and_the_first_may_let_go(
    device: Device, interface: Interface, name: str, tmp_path: Path, wireguard_go: Path
) -> None:
    await device.ensure(interface)
    assert await device.apply(make_peers(3), ()) == {}
    before = await device.dump()
    await device.close(remove=False)
    heir = make_userspace(name, tmp_path, wireguard_go)
    await heir.ensure(interface)
    assert await heir.dump() == before
    await heir.close(remove=False)


async def test_an_interface_of_somebody_else_is_not_taken(
    device: Device, interface: Interface, lab: Lab, name: str
) -> None:
    lab.server.run("ip", "link", "add", name, "type", "veth", "peer", unique("wgx"))
    with pytest.raises(DeviceError, match="ip link delete"):
        await device.ensure(interface)


async def test_a_socket_of_another_network_namespace_is_not_taken(
    device: Device, interface: Interface, lab: Lab, name: str, tmp_path: Path, wireguard_go: Path
) -> None:
    await device.ensure(interface)
    with inside(lab.client):
        stranger = make_userspace(name, tmp_path, wireguard_go)
        with pytest.raises(DeviceError, match="another network namespace"):
            await stranger.ensure(interface)
    assert await device.identity() != ""


async def test_a_wireguard_go_that_ends_at_once_is_told_with_a_way_to_see_why(
    lab: Lab, interface: Interface, tmp_path: Path
) -> None:
    with inside(lab.server):
        device = make_userspace(unique("wgd"), tmp_path, Path("/bin/false"))
        with pytest.raises(DeviceError, match=r"ended at once \(exit code 1\).*LOG_LEVEL=error"):
            await device.ensure(interface)
