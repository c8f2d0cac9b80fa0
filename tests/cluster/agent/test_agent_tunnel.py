"""From a snapshot to a ping: what the agent does to a real tunnel."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

from agent_lab import Agent, Lab, Ping, end, eventually, make_peers

from wireguard_operator.agent import parts, protocol
from wireguard_operator.domain.device import DesiredState, DevicePeer
from wireguard_operator.domain.keys import generate_preshared


async def test_a_snapshot_makes_the_tunnel(lab: Lab, agent: Agent) -> None:
    before = await agent.status()
    assert before.applied is None
    assert before.device == ""
    client = lab.make_client()
    snapshot = lab.snapshot(client.peer)

    ack = await agent.put(snapshot)

    state = DesiredState(snapshot.interface, snapshot.peers)
    assert ack.applied == protocol.Applied(1, state.digest)
    assert ack.errors == {}
    await lab.reach()
    status = await agent.status()
    assert status.applied == ack.applied
    assert status.device == ack.device
    assert status.implementation == "Userspace"
    page = await agent.counters()
    (peer,) = page.peers
    assert peer.rx_bytes > 0 < peer.tx_bytes
    assert peer.last_handshake > 0
    assert peer.endpoint is not None and peer.endpoint.startswith("192.0.2.2:")


async def test_subscribers_are_forwarded(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    await agent.put(lab.snapshot(client.peer))
    assert lab.server.run("cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    assert lab.server.run("cat", "/proc/sys/net/ipv6/conf/all/forwarding").strip() == "1"


async def test_a_removed_peer_is_cut_off_and_its_last_counters_are_told(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    ack = await agent.put(lab.snapshot(client.peer, *make_peers(3)))
    await lab.reach()

    ack = await agent.delta(ack.applied, remove=(client.keys.public,))

    assert not lab.client.ping("10.8.0.1", 1)
    (final,) = ack.final
    assert final.public_key == client.keys.public
    assert final.rx_bytes > 0 < final.tx_bytes
    back = await agent.delta(ack.applied, upsert=(client.peer,))
    assert back.final == ()
    client.forget()
    await lab.reach()


async def test_a_peer_that_is_missing_in_a_snapshot_is_cut_off(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    await agent.put(lab.snapshot(client.peer))
    await lab.reach()
    ack = await agent.put(lab.snapshot(*make_peers(1), revision=2))
    assert [final.public_key for final in ack.final] == [client.keys.public]
    assert not lab.client.ping("10.8.0.1", 1)


async def test_a_snapshot_that_changes_nothing_disturbs_no_session(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    await agent.put(lab.snapshot(client.peer))
    await lab.reach()
    handshake = (await agent.counters()).peers[0].last_handshake
    ping = Ping(lab.client, "10.8.0.1")
    for revision in range(2, 12):
        await agent.put(lab.snapshot(client.peer, *make_peers(50, first=revision * 50), revision=revision))
    sent, lost = ping.lost()
    assert sent > 5
    assert lost == 0
    peers = {peer.public_key: peer for peer in (await agent.counters()).peers}
    assert peers[client.keys.public].last_handshake == handshake


async def test_a_preshared_key_can_be_set_and_taken_away(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    secret = generate_preshared().reveal()
    ack = await agent.put(lab.snapshot(replace(client.peer, preshared_key=secret)))
    assert not lab.client.ping("10.8.0.1", 1)
    await agent.delta(ack.applied, upsert=(client.peer,))
    await lab.reach()


async def test_an_agent_killed_and_started_again_loses_no_packet(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    ack = await agent.put(lab.snapshot(client.peer))
    await lab.reach()
    before = (await agent.counters()).peers[0]
    ping = Ping(lab.client, "10.8.0.1")

    agent.stop(signal.SIGKILL)
    assert lab.client.ping("10.8.0.1", 2)
    agent.start(bundle=False)
    status = await agent.status()
    after = (await agent.counters("stale.7")).peers[0]

    sent, lost = ping.lost()
    assert sent > 20
    assert lost == 0
    assert status.applied == ack.applied
    assert status.device == ack.device
    assert after.last_handshake == before.last_handshake
    assert after.rx_bytes > before.rx_bytes


async def test_a_clean_stop_keeps_the_tunnels_unless_told_otherwise(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    await agent.put(lab.snapshot(client.peer))
    await lab.reach()
    assert agent.stop() == 0
    assert lab.client.ping("10.8.0.1", 2)

    agent.start("--on-exit", "remove", bundle=False)
    assert (await agent.status()).applied is not None
    assert agent.stop() == 0
    assert agent.interface not in lab.server.run("ip", "link")
    assert not lab.client.ping("10.8.0.1", 1)


async def test_a_wireguard_go_that_dies_is_started_again_with_everything(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    ack = await agent.put(lab.snapshot(client.peer, DevicePeer(make_peers(1)[0].public_key, ("172.20.0.0/16",))))
    await lab.reach()
    await agent.counters()

    end(agent.wireguard_go())

    status = await eventually(agent.status, lambda status: status.applied == ack.applied)
    assert status.device not in ("", ack.device)
    # The client would notice after 15 s; it is the agent that shakes hands, with the endpoint that it remembers.
    await lab.reach(seconds=8)
    assert agent.routes() == {"172.20.0.0/16"}
    assert len(agent.wg("peers")) == 2


async def test_an_interface_that_is_deleted_by_hand_comes_back(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    ack = await agent.put(lab.snapshot(client.peer))
    await lab.reach()
    await agent.counters()
    lab.server.run("ip", "link", "delete", agent.interface)
    await lab.reach(seconds=10)
    assert (await agent.status()).device != ack.device


async def test_the_state_comes_back_from_disk_without_a_controller(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    await agent.put(lab.snapshot(client.peer))
    await lab.reach()
    agent.stop()
    end(agent.wireguard_go())  # a host that was switched off; the socket's file stays
    assert not lab.client.ping("10.8.0.1", 0.5)

    agent.start(bundle=False)

    await lab.reach(seconds=10)  # with the endpoint from the disk; the client would need 15 s


async def test_a_damaged_state_file_leaves_the_tunnels_and_waits_for_a_snapshot(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    snapshot = lab.snapshot(client.peer)
    ack = await agent.put(snapshot)
    await lab.reach()
    agent.stop()
    file = agent.state / "state.json"
    file.write_bytes(file.read_bytes()[:-40])

    agent.start(bundle=False)

    status = await agent.status()
    assert status.applied is None
    assert status.device == ack.device
    assert lab.client.ping("10.8.0.1", 2)
    assert "damaged" in agent.log.read_text()
    assert (await agent.put(snapshot)).applied == ack.applied


async def test_an_allowed_ip_moves_between_peers_in_one_delta(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    other = make_peers(1)[0].public_key
    mine = DevicePeer(client.keys.public, ("10.8.0.50/32",))
    ack = await agent.put(lab.snapshot(DevicePeer(other, ("10.8.0.2/32",)), mine))
    assert not lab.client.ping("10.8.0.1", 1)

    for first, second in (((other, "10.8.0.50/32"), (client.keys.public, "10.8.0.2/32")),) * 2:
        ack = await agent.delta(
            ack.applied, upsert=(DevicePeer(first[0], (first[1],)), DevicePeer(second[0], (second[1],)))
        )
        assert ack.errors == {}
        assert agent.wg("allowed-ips") == {first[0]: [first[1]], second[0]: [second[1]]}
        await lab.reach()
        ack = await agent.delta(ack.applied, upsert=(mine, DevicePeer(other, ("10.8.0.2/32",))))
        assert agent.wg("allowed-ips") == {other: ["10.8.0.2/32"], client.keys.public: ["10.8.0.50/32"]}


async def test_what_was_changed_by_hand_is_set_right_by_a_snapshot(lab: Lab, agent: Agent) -> None:
    one, two = make_peers(2)
    snapshot = lab.snapshot(one, two)
    await agent.put(snapshot)
    lab.server.run("wg", "set", agent.interface, "peer", one.public_key, "allowed-ips", two.allowed_ips[0])
    lab.server.run("ip", "address", "flush", "dev", agent.interface)
    lab.server.run("ip", "link", "set", agent.interface, "down", "mtu", "1300")
    await agent.put(snapshot)
    assert agent.wg("allowed-ips") == {peer.public_key: list(peer.allowed_ips) for peer in (one, two)}
    shown = lab.server.run("ip", "address", "show", agent.interface)
    assert "mtu 1420" in shown and "10.8.0.1/24" in shown and "fd08::1/64" in shown and ",UP" in shown


async def test_routes_for_prefixes_behind_peers_come_and_go(lab: Lab, agent: Agent) -> None:
    one, two = (peer.public_key for peer in make_peers(2))
    ack = await agent.put(
        lab.snapshot(
            DevicePeer(one, ("10.8.0.2/32", "192.168.77.0/24", "2001:db8:77::/48")),
            DevicePeer(two, ("10.8.0.3/32", "fd08::3/128", "0.0.0.0/0")),
        )
    )
    assert agent.routes() == {"192.168.77.0/24", "2001:db8:77::/48"}  # no default route, nothing of the own networks
    ack = await agent.delta(
        ack.applied, upsert=(DevicePeer(one, ("10.8.0.2/32",)), DevicePeer(two, ("192.168.77.0/24", "172.16.5.5/32")))
    )
    assert agent.routes() == {"192.168.77.0/24", "172.16.5.5"}
    agent.stop(signal.SIGKILL)
    agent.start(bundle=False)
    ack = await agent.delta((await agent.status()).applied or ack.applied, remove=(two,))
    assert agent.routes() == set()


async def test_a_route_of_the_host_is_left_alone_and_told(lab: Lab, agent: Agent) -> None:
    lab.server.run("ip", "route", "add", "192.168.88.0/24", "via", "192.0.2.2")
    key = make_peers(1)[0].public_key
    ack = await agent.put(lab.snapshot(DevicePeer(key, ("192.168.88.0/24",))))
    assert ack.errors == {key: "no route to 192.168.88.0/24: this host has another route to it"}
    assert "via 192.0.2.2" in lab.server.run("ip", "route", "show", "192.168.88.0/24")
    lab.server.run("ip", "route", "delete", "192.168.88.0/24")
    ack = await agent.delta(ack.applied, upsert=(DevicePeer(make_peers(2)[1].public_key, ("10.8.0.9/32",)),))
    assert ack.errors == {}
    assert agent.routes() == {"192.168.88.0/24"}


async def test_a_client_reaches_what_lies_behind_another_peer(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    lab.client.run("ip", "address", "add", "192.168.50.1/32", "dev", "lo")
    await agent.put(lab.snapshot(replace(client.peer, allowed_ips=("10.8.0.2/32", "192.168.50.0/24"))))
    await lab.reach()
    assert lab.server.ping("192.168.50.1", 5)


async def test_a_port_that_is_in_use_is_named_and_taken_when_it_is_free(lab: Lab, agent: Agent) -> None:
    script = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 51999)); print(flush=True)"
    blocker = lab.server.spawn(
        sys.executable, "-c", f"{script}; sys.stdin.read()", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with blocker:
        assert blocker.stdout is not None and blocker.stdin is not None
        blocker.stdout.readline()
        (part,) = parts.pack(lab.snapshot(listen_port=51999), 1 << 20)
        code, body = await agent.request("PUT", protocol.STATE_PATH, part)
        assert code == 500
        assert b"UDP port 51999 is in use" in body
        assert (await agent.status()).applied is None
        blocker.stdin.close()
    # Nobody sends it again: the agent tries by itself, as long as the state is on its disk.
    await eventually(agent.status, lambda status: status.applied is not None)
    assert lab.server.run("wg", "show", agent.interface, "listen-port").strip() == "51999"
