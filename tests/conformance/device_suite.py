"""What every device driver must do, written once: a driver joins by a subclass that says how to make one.

The test classes run where the driver's kind of device can be made: tests/cluster/agent for wireguard-go,
tests/kernel for the kernel's module. What is looked at from outside is looked at with `wg` and `ip`.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.agent.agent_lab import Lab, Namespace, Ping, eventually, make_peers, unique
from wireguard_operator.agent.device import Device, DeviceError, DeviceGoneError, DumpedPeer
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


class DeviceConformance:
    """The suite. ``make`` is the only thing that a subclass must have."""

    def make(self, lab: Lab, name: str, directory: Path) -> Device:
        """A driver for the interface ``name``; called again for an heir."""
        raise NotImplementedError

    @pytest.fixture
    def name(self) -> str:
        return unique("wgd")

    @pytest.fixture
    def interface(self, lab: Lab) -> Interface:
        return lab.snapshot().interface

    @pytest.fixture
    async def device(self, lab: Lab, name: str, tmp_path: Path) -> AsyncIterator[Device]:
        with inside(lab.server):
            device = self.make(lab, name, tmp_path)
            yield device
            await device.close(remove=True)

    async def test_there_is_no_device_before_it_is_asked_for(self, device: Device) -> None:
        assert await device.identity() == ""
        with pytest.raises(DeviceGoneError):
            await device.dump()
        with pytest.raises(DeviceGoneError):
            await device.apply(make_peers(1), ())

    async def test_ensuring_twice_is_one_life_and_a_change_is_taken_over(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        await device.ensure(interface)
        first = await device.dump()
        await device.ensure(interface)
        key = generate_pair().private.reveal()
        changed = replace(interface, listen_port=51900, private_key=key, mtu=1380, addresses=("10.9.0.1/24",))
        await device.ensure(changed)
        second = await device.dump()
        assert first.device == second.device == await device.identity() != ""
        assert (first.private_key, first.listen_port) == (interface.private_key, 51820)
        assert (second.private_key, second.listen_port) == (changed.private_key, 51900)
        (shown,) = json.loads(lab.server.run("ip", "-j", "address", "show", "dev", name))
        assert shown["mtu"] == 1380
        assert "UP" in shown["flags"]
        assert [found["local"] for found in shown["addr_info"] if found["scope"] == "global"] == ["10.9.0.1"]

    async def test_a_port_that_is_taken_is_told_and_tried_again(self, device: Device, interface: Interface) -> None:
        await device.ensure(interface)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("", 51900))
            with pytest.raises(DeviceError, match="in use on this host"):
                await device.ensure(replace(interface, listen_port=51900))
        await device.ensure(replace(interface, listen_port=51900))
        assert (await device.dump()).listen_port == 51900

    async def test_a_private_key_that_is_not_clamped_is_set_once(self, device: Device, interface: Interface) -> None:
        raw = "/" * 42 + "8="  # all ones
        await device.ensure(replace(interface, private_key=raw))
        before = await device.dump()
        await device.ensure(replace(interface, private_key=raw))
        assert before.private_key == (await device.dump()).private_key != raw

    async def test_peers_are_as_they_were_applied(self, device: Device, interface: Interface) -> None:
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
        assert peers[one.public_key].endpoint is None

        changed = DevicePeer(one.public_key, ("10.10.0.1/32",))
        assert await device.apply((changed,), (two.public_key,)) == {}
        (left,) = (await device.dump()).peers.values()
        assert (left.allowed_ips, left.preshared_key) == (("10.10.0.1/32",), None)

    async def test_a_peer_may_be_without_any_allowed_ip(self, device: Device, interface: Interface) -> None:
        await device.ensure(interface)
        (peer,) = make_peers(1)
        assert await device.apply((peer,), ()) == {}
        assert await device.apply((replace(peer, allowed_ips=()),), ()) == {}
        assert (await device.dump()).peers[peer.public_key].allowed_ips == ()

    async def test_removing_what_is_not_there_is_no_error(self, device: Device, interface: Interface) -> None:
        await device.ensure(interface)
        assert await device.apply((), [peer.public_key for peer in make_peers(3)]) == {}
        assert (await device.dump()).peers == {}

    async def test_a_large_batch_is_put_and_taken_away(self, device: Device, interface: Interface) -> None:
        await device.ensure(interface)
        peers = make_peers(2_000)
        assert await device.apply(peers, ()) == {}
        found = (await device.dump()).peers
        assert {key: (peer.allowed_ips, peer.preshared_key) for key, peer in found.items()} == {
            peer.public_key: (peer.allowed_ips, peer.preshared_key) for peer in peers
        }
        assert await device.apply((), [peer.public_key for peer in peers[500:]]) == {}
        assert (await device.dump()).peers.keys() == {peer.public_key for peer in peers[:500]}

    async def test_bad_peers_in_a_batch_are_told_and_all_others_are_applied(
        self, device: Device, interface: Interface
    ) -> None:
        await device.ensure(interface)
        peers = list(make_peers(500))
        assert await device.apply(peers[400:450], ()) == {}
        bad = [3, 4, 250, 420, 499]
        for index in bad:
            peers[index] = replace(peers[index], allowed_ips=("10.1.2.3/32", "10.0.0.0/99"))
        peers[7] = replace(peers[7], allowed_ips=("10.1.2.4/32", "10.0.0.0/999", "nonsense"))
        bad.append(7)

        refused = await device.apply(peers, (make_peers(1, first=900)[0].public_key,))

        assert refused.keys() == {peers[index].public_key for index in bad}
        assert all("refused" in reason for reason in refused.values())
        found = (await device.dump()).peers
        assert found.keys() == {peer.public_key for index, peer in enumerate(peers) if index not in bad}
        assert all(found[peer.public_key].allowed_ips == peer.allowed_ips for peer in peers if peer.public_key in found)

    async def test_one_peer_may_have_thousands_of_allowed_ips(self, device: Device, interface: Interface) -> None:
        await device.ensure(interface)
        before, after = make_peers(2, first=5_000)
        networks = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(2_000)] + [
            f"2001:db8:{n:x}::/48" for n in range(1, 1_001)
        ]
        (large,) = make_peers(1)
        large = replace(large, allowed_ips=tuple(networks))
        assert await device.apply((before, large, after), ()) == {}
        peers = (await device.dump()).peers
        assert peers.keys() == {peer.public_key for peer in (before, large, after)}
        assert len(peers[large.public_key].allowed_ips) == 3_000
        assert set(peers[large.public_key].allowed_ips) == set(networks)
        assert peers[large.public_key].preshared_key == large.preshared_key

        assert await device.apply((replace(large, allowed_ips=tuple(networks[:1_500])),), ()) == {}
        assert set((await device.dump()).peers[large.public_key].allowed_ips) == set(networks[:1_500])

        broken = replace(large, allowed_ips=(*networks, "10.0.0.0/99"))
        assert (await device.apply((broken,), ())).keys() == {large.public_key}
        assert (await device.dump()).peers.keys() == {before.public_key, after.public_key}

    @pytest.mark.parametrize("order", [1, -1])
    async def test_allowed_ips_change_hands_in_any_order(
        self, device: Device, interface: Interface, order: int
    ) -> None:
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

    async def test_a_kick_sets_endpoints_of_known_peers_and_leaves_no_keepalive(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        await device.ensure(interface)
        four, six, zone, unknown = make_peers(4)
        assert await device.apply((four, six, zone), ()) == {}
        index = socket.if_nametoindex("eth0")
        wanted = {
            four.public_key: "192.0.2.2:4500",
            six.public_key: "[2001:db8::2]:4500",
            zone.public_key: f"[fe80::2%{index}]:4500",
        }
        await device.kick({**wanted, unknown.public_key: "192.0.2.9:4500"})
        assert {key: peer.endpoint for key, peer in (await device.dump()).peers.items()} == wanted
        shown = lab.server.run("wg", "show", name, "persistent-keepalive").split()
        assert shown[1::2] == ["off"] * 3

    async def test_routes_are_exactly_those_asked_for(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
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

    async def test_an_end_is_noticed_and_the_next_life_has_another_identity(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        await device.ensure(interface)
        first = await device.identity()
        waiting = asyncio.create_task(device.lost())
        lab.server.run("ip", "link", "add", unique("wgx"), "type", "veth", "peer", unique("wgy"))
        lab.server.run("ip", "link", "delete", name)
        await asyncio.wait_for(waiting, 10)
        assert await device.identity() == ""
        with pytest.raises(DeviceGoneError):
            await device.dump()
        await device.ensure(interface)
        second = await device.identity()
        assert second not in ("", first)
        assert (await device.dump()).device == second
        waiting = asyncio.create_task(device.lost())
        lab.server.run("ip", "link", "delete", name)
        await asyncio.wait_for(waiting, 10)

    async def test_an_end_that_no_agent_saw_is_another_life(
        self, device: Device, interface: Interface, lab: Lab, name: str, tmp_path: Path
    ) -> None:
        await device.ensure(interface)
        first = await device.identity()
        waiting = asyncio.create_task(device.lost())
        lab.server.run("ip", "link", "delete", name)
        await asyncio.wait_for(waiting, 10)
        await device.close(remove=False)
        heir = self.make(lab, name, tmp_path)
        await heir.ensure(interface)
        assert await heir.identity() not in ("", first)
        await heir.close(remove=False)

    async def test_a_second_driver_adopts_and_the_first_may_let_go(
        self, device: Device, interface: Interface, lab: Lab, name: str, tmp_path: Path
    ) -> None:
        await device.ensure(interface)
        assert await device.apply(make_peers(3), ()) == {}
        before = await device.dump()
        await device.close(remove=False)
        heir = self.make(lab, name, tmp_path)
        assert await heir.identity() == before.device
        await heir.ensure(interface)
        assert await heir.dump() == before
        await heir.close(remove=False)

    async def test_traffic_is_counted_and_no_session_notices_an_adoption(
        self, device: Device, interface: Interface, lab: Lab, name: str, tmp_path: Path
    ) -> None:
        await device.ensure(interface)
        client = lab.make_client()
        assert await device.apply((client.peer,), ()) == {}
        await lab.reach()
        before = (await device.dump()).peers[client.keys.public]
        assert before.rx_bytes > 0 < before.tx_bytes
        assert before.last_handshake > 0
        assert before.endpoint is not None and before.endpoint.startswith("192.0.2.2:")

        async def more_than(device: Device, peer: DumpedPeer) -> DumpedPeer:
            async def received() -> DumpedPeer:
                return (await device.dump()).peers[client.keys.public]

            return await eventually(received, lambda found: found.rx_bytes > peer.rx_bytes)

        ping = Ping(lab.client, "10.8.0.1")
        try:
            before = await more_than(device, before)
            await device.close(remove=False)
            heir = self.make(lab, name, tmp_path)
            await heir.ensure(interface)
            assert await heir.apply((client.peer,), ()) == {}
            after = await more_than(heir, before)
        finally:
            _, lost = ping.lost()
        assert (lost, after.last_handshake, after.endpoint) == (0, before.last_handshake, before.endpoint)
        await heir.close(remove=False)

    async def test_a_peer_that_is_cut_carries_nothing_and_keeps_its_counters(
        self, device: Device, interface: Interface, lab: Lab
    ) -> None:
        await device.ensure(interface)
        client, (other,) = lab.make_client(), make_peers(1)
        await device.apply((client.peer, other), ())
        await lab.reach()
        before = (await device.dump()).peers[client.keys.public]
        await device.cut((client.keys.public, make_peers(2)[1].public_key))
        assert not lab.client.ping("10.8.0.1", 1)
        after = (await device.dump()).peers
        assert after.keys() == {client.keys.public, other.public_key}
        assert after[client.keys.public].allowed_ips == () and after[other.public_key].allowed_ips == other.allowed_ips
        assert after[client.keys.public].rx_bytes >= before.rx_bytes > 0
        await device.apply((client.peer,), ())
        await lab.reach()

    async def test_closing_with_remove_ends_the_interface_and_once_more_does_nothing(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        await device.ensure(interface)
        assert await device.apply(make_peers(1_000), ()) == {}
        await device.close(remove=True)
        assert name not in lab.server.run("ip", "-o", "link", "show")
        assert await device.identity() == ""
        await device.close(remove=True)

    async def test_an_interface_of_somebody_else_is_not_taken(
        self, device: Device, interface: Interface, lab: Lab, name: str
    ) -> None:
        lab.server.run("ip", "link", "add", name, "type", "veth", "peer", unique("wgx"))
        with pytest.raises(DeviceError, match="ip link delete"):
            await device.ensure(interface)
        await device.close(remove=True)
        assert name in lab.server.run("ip", "-o", "link", "show")
