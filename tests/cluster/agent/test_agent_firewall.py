"""What peers may reach, shown with packets: a subscriber, an agent, and hosts behind it that count what arrives."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from agent_lab import Agent, Client, Lab, Namespace, end, eventually, make_peers
from agent_world import ALLOWED, ALLOWED6, DENIED, DENIED6, FLOOD, World, answers, asks, connect, peer_of, subscriber

from wireguard_operator.agent.firewall.table import table_name
from wireguard_operator.domain.device import DevicePeer
from wireguard_operator.domain.policy import Access, Limit, Policy, Ports

EVERYTHING = {"tcp 7", "tcp 8", "udp 7", "udp 8", "ping"}

RULES = [
    # what the peer's access rules are, what it gets from the allowed and from the denied address, IPv4 and IPv6
    ("no rules", None, (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING)),
    ("a rule without anything", (Access(),), (EVERYTHING, EVERYTHING, EVERYTHING, EVERYTHING)),
    ("no rule at all", (), (set(), set(), set(), set())),
    ("a network", (Access((f"{ALLOWED}/32",)),), (EVERYTHING, set(), set(), set())),
    ("an IPv6 network", (Access((f"{ALLOWED6}/128",)),), (set(), set(), EVERYTHING, set())),
    (
        "networks of both",
        (Access((f"{ALLOWED}/32", f"{ALLOWED6}/128")),),
        (EVERYTHING, set(), EVERYTHING, set()),
    ),
    (
        "a TCP port",
        (Access((f"{ALLOWED}/32", f"{ALLOWED6}/128"), (Ports("tcp", 7, 7),)),),
        ({"tcp 7"}, set(), {"tcp 7"}, set()),
    ),
    ("a UDP port anywhere", (Access((), (Ports("udp", 8, 8),)),), ({"udp 8"},) * 4),
    ("a range of ports", (Access((f"{ALLOWED}/32",), (Ports("tcp", 1, 8), Ports("udp", 8, 99))),),
     ({"tcp 7", "tcp 8", "udp 8"}, set(), set(), set())),
    ("a whole protocol", (Access((f"{ALLOWED6}/128",), (Ports("tcp"),)),), (set(), set(), {"tcp 7", "tcp 8"}, set())),
    ("ICMP", (Access((), (Ports("icmp"),)),), ({"ping"},) * 4),
    (
        "two rules",
        (Access((f"{ALLOWED}/32",), (Ports("icmp"),)), Access((f"{DENIED}/32",), (Ports("udp", 7, 7),))),
        ({"ping"}, {"udp 7"}, set(), set()),
    ),
]  # fmt: skip


async def test_each_kind_of_rule_lets_through_what_it_says_and_nothing_else(
    lab: Lab, agent: Agent, world: World
) -> None:
    client = subscriber(lab)
    ack = await agent.put(lab.snapshot(peer_of(client)))
    await connect(lab, client)
    for name, access, wanted in RULES:
        ack = await agent.delta(ack.applied, upsert=(peer_of(client, Policy(access)),))
        assert ack.errors == {}, name
        addresses = (ALLOWED, DENIED, ALLOWED6, DENIED6)
        assert answers(lab, *addresses) == dict(zip(addresses, wanted, strict=True)), name


async def test_the_later_fragments_of_a_packet_go_where_its_port_allows(lab: Lab, agent: Agent, world: World) -> None:
    client = subscriber(lab)
    access = (Access((f"{ALLOWED}/32", f"{ALLOWED6}/128"), (Ports("udp", 7, 7),)),)
    await agent.put(lab.snapshot(peer_of(client, Policy(access))))
    await connect(lab, client)
    assert asks(lab.client, ALLOWED, "udp", 7, size=4000)
    assert asks(lab.client, ALLOWED6, "udp", 7, size=4000)
    assert not asks(lab.client, ALLOWED, "udp", 8, size=4000)
    assert not asks(lab.client, DENIED, "udp", 7, size=4000)


async def test_the_server_itself_is_a_destination_like_any_other(lab: Lab, agent: Agent) -> None:
    client = subscriber(lab)
    ack = await agent.put(lab.snapshot(peer_of(client, Policy((Access(("10.8.0.1/32",)),)))))
    await connect(lab, client)
    assert lab.client.ping("10.8.0.1", 1)
    assert not lab.client.ping("fd08::1", 0.5)
    await agent.delta(ack.applied, upsert=(peer_of(client, Policy((Access(("fd08::1/128",)),))),))
    assert not lab.client.ping("10.8.0.1", 0.5)
    assert lab.client.ping("fd08::1", 1)


async def test_a_key_that_was_put_on_the_device_by_hand_gets_nothing_through(
    lab: Lab, agent: Agent, world: World
) -> None:
    client = subscriber(lab)
    await agent.put(lab.snapshot(*make_peers(1)))
    lab.server.run("wg", "set", agent.interface, "peer", client.keys.public, "allowed-ips", "10.8.0.2/32,fd08::2/128")
    await connect(lab, client)
    assert answers(lab, ALLOWED, ALLOWED6) == {ALLOWED: set(), ALLOWED6: set()}
    assert not lab.client.ping("10.8.0.1", 0.5)
    assert world.arrived(ALLOWED) == 0


async def test_a_subscriber_cannot_use_the_address_of_another(lab: Lab, agent: Agent, world: World) -> None:
    client = subscriber(lab)
    free = DevicePeer(make_peers(1)[0].public_key, ("10.8.0.3/32", "fd08::3/128"))
    await agent.put(lab.snapshot(peer_of(client, Policy((Access((f"{ALLOWED}/32",)),))), free))
    await connect(lab, client)
    assert asks(lab.client, ALLOWED, "udp")
    before = world.arrived(ALLOWED)
    for address in ("10.8.0.3", "10.99.0.1", DENIED):
        lab.client.run("ip", "address", "add", f"{address}/32", "dev", client.interface)
        lab.client.run("ping", "-n", "-c2", "-i0.1", "-W0.3", "-I", address, ALLOWED, check=False)
        lab.client.run("ping", "-n", "-c2", "-i0.1", "-W0.3", "-I", address, DENIED, check=False)
    assert world.arrived(ALLOWED) == before
    assert world.arrived(DENIED) == 0


async def test_isolation_holds_whatever_the_rules_allow(lab: Lab, agent: Agent, world: World) -> None:
    one, neighbour = subscriber(lab), Namespace()
    neighbour.run("ip", "link", "set", "lo", "up")
    lab.server.run("ip", "link", "add", "cable2", "type", "veth", "peer", "eth0", "netns", neighbour.name)
    lab.server.run("ip", "address", "add", "192.0.3.1/24", "dev", "cable2")
    lab.server.run("ip", "link", "set", "cable2", "up")
    neighbour.run("ip", "address", "add", "192.0.3.2/24", "dev", "eth0")
    neighbour.run("ip", "link", "set", "eth0", "up")
    two = Client(lab, neighbour, lab.server_key.public, "10.8.0.3", "192.0.3.1:51820")
    try:
        everything = Policy((Access(), Access(("10.8.0.3/32",))))
        ack = await agent.put(lab.snapshot(peer_of(one, everything), two.peer))
        two.connect()
        await connect(lab, one)
        await eventually(lambda: _ping(neighbour, "10.8.0.1"))
        assert lab.client.ping("10.8.0.3", 1)

        interface = lab.snapshot(isolation=True).interface
        ack = await agent.delta(ack.applied, interface=interface)
        assert not lab.client.ping("10.8.0.3", 0.5)
        assert lab.client.ping(ALLOWED, 1)

        ack = await agent.delta(ack.applied, interface=replace(interface, isolation=False))
        assert lab.client.ping("10.8.0.3", 1)
        await agent.delta(ack.applied, upsert=(peer_of(one, Policy((Access((f"{ALLOWED}/32",)),))),))
        assert not lab.client.ping("10.8.0.3", 0.5)
    finally:
        two.clean()
        neighbour.delete()


async def _ping(namespace: Namespace, address: str) -> bool:
    return namespace.ping(address, 0.5)


@contextmanager
def flooding(lab: Lab, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """A subscriber that sends to an address without pause."""
    process = lab.client.spawn(sys.executable, "-c", FLOOD, address, "0.002")
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


async def sent(lab: Lab, client: Client, packets: int = 200) -> None:
    """Wait until the subscriber has sent so many more."""

    async def count() -> int:
        return int(lab.client.run("cat", f"/sys/class/net/{client.interface}/statistics/tx_packets"))

    start = await count()
    await eventually(count, lambda now: now >= start + packets)


async def test_not_one_packet_leaks_while_peers_rules_and_processes_come_and_go(
    lab: Lab, agent: Agent, world: World
) -> None:
    client = subscriber(lab)
    only = Policy((Access((f"{ALLOWED}/32", "10.8.0.1/32")),))
    await agent.put(lab.snapshot())
    client.connect()
    lab.client.run("ip", "route", "replace", "198.51.100.0/24", "dev", client.interface)
    with flooding(lab, DENIED):
        for revision in range(2, 5):  # the peer comes and goes
            ack = await agent.put(lab.snapshot(peer_of(client, only), revision=revision))
            ack = await agent.delta(ack.applied, remove=(client.keys.public,))
        ack = await agent.delta(ack.applied, upsert=(peer_of(client, only),))
        await connect(lab, client)
        assert asks(lab.client, ALLOWED, "udp")
        await sent(lab, client)

        for number in range(20):  # its rules change
            access = (*(only.access or ()), Access((f"203.0.113.{number}/32",)))
            policy = Policy(access, upload=Limit(10**6 + number, 65536) if number % 2 else None)
            ack = await agent.delta(ack.applied, upsert=(peer_of(client, policy),))
        await sent(lab, client)

        # another one has the address that it just had, and may do everything; and back
        other = make_peers(1)[0].public_key
        for _ in range(5):
            moved = (replace(peer_of(client, only), allowed_ips=("10.8.0.9/32",)), DevicePeer(other, ("10.8.0.2/32",)))
            ack = await agent.delta(ack.applied, upsert=moved)
            back = (DevicePeer(other, ("10.8.0.9/32",)), peer_of(client, only))
            ack = await agent.delta(ack.applied, upsert=back)
        assert ack.errors == {}
        assert asks(lab.client, ALLOWED, "udp")

        ack = await agent.put(lab.snapshot(peer_of(client, only), *make_peers(300), revision=ack.applied.revision + 1))
        for number in (signal.SIGKILL, signal.SIGTERM):  # the agent goes and comes
            agent.stop(number)
            await sent(lab, client)
            agent.start(bundle=False)
            assert (await agent.status()).applied == ack.applied
            await sent(lab, client)
        end(agent.wireguard_go())  # the device goes and comes
        await eventually(agent.status, lambda status: status.applied == ack.applied)
        await lab.reach(seconds=20)
        await sent(lab, client)
        assert asks(lab.client, ALLOWED, "udp")
    assert world.arrived(DENIED) == 0


async def test_a_new_rule_takes_hold_of_a_connection_that_is_there(lab: Lab, agent: Agent, world: World) -> None:
    client = subscriber(lab)
    ack = await agent.put(lab.snapshot(peer_of(client), masquerade=True))
    await connect(lab, client)
    with flooding(lab, DENIED):
        await eventually(lambda: _arrived(world), bool)
        ack = await agent.delta(ack.applied, upsert=(peer_of(client, Policy((Access((f"{ALLOWED}/32",)),))),))
        await sent(lab, client, 20)  # what was on its way
        before = world.arrived(DENIED)
        await sent(lab, client)
        assert world.arrived(DENIED) == before


async def _arrived(world: World) -> int:
    return world.arrived(DENIED)


async def test_a_policy_that_nft_refuses_keeps_only_its_own_peers_off_the_device(
    lab: Lab, agent: Agent, world: World
) -> None:
    client = subscriber(lab)
    impossible = Policy(upload=Limit(10**11, 65536))  # more than the kernel can count
    bad = [replace(peer, policy=impossible) for peer in make_peers(2)]
    nonsense = replace(make_peers(3)[2], policy=Policy((Access(("10.0.0.0/99",)),)))
    ack = await agent.put(lab.snapshot(peer_of(client, Policy((Access((f"{ALLOWED}/32",)),))), *bad, nonsense))

    assert ack.errors.keys() == {peer.public_key for peer in (*bad, nonsense)}
    assert "nft does not take the rules" in ack.errors[bad[0].public_key]
    assert "'10.0.0.0/99' is not an IP prefix" in ack.errors[nonsense.public_key]
    assert set(agent.wg("peers")) == {client.keys.public}
    await connect(lab, client)
    assert answers(lab, ALLOWED, DENIED) == {ALLOWED: EVERYTHING, DENIED: set()}

    # A change for the worse takes a peer off the device, one for the better brings it back.
    ack = await agent.delta(ack.applied, upsert=(peer_of(client, impossible),))
    assert client.keys.public in ack.errors
    assert agent.wg("peers") == {}
    good = replace(bad[0], policy=Policy(upload=Limit(10**6, 65536)))
    ack = await agent.delta(ack.applied, upsert=(peer_of(client), good))
    assert ack.errors.keys() == {bad[1].public_key, nonsense.public_key}
    assert set(agent.wg("peers")) == {client.keys.public, good.public_key}


HANDIWORK = [
    "delete table inet {table}",
    "flush chain inet {table} from_peers",
    "delete element inet {table} from4_32 {{ 10.8.0.2 }}",
    "add element inet {table} from4_32 {{ 10.8.0.99 : return }}",
    "insert rule inet {table} from_tunnel accept",
]


async def test_what_was_changed_by_hand_is_set_right_with_the_next_look(lab: Lab, agent: Agent, world: World) -> None:
    client = subscriber(lab)
    snapshot = lab.snapshot(peer_of(client, Policy((Access((f"{ALLOWED}/32",)),))))
    await agent.put(snapshot)
    name = table_name(agent.interface)
    right = lab.server.run("nft", "-s", "list", "table", "inet", name)
    for revision, change in enumerate(HANDIWORK, 2):
        lab.server.run("nft", change.format(table=name))
        await agent.put(replace(snapshot, revision=revision))
        assert lab.server.run("nft", "-s", "list", "table", "inet", name) == right, change


async def test_the_table_goes_with_the_device_and_not_before(lab: Lab, agent: Agent) -> None:
    client = subscriber(lab)
    await agent.put(lab.snapshot(peer_of(client)))
    name = table_name(agent.interface)
    assert agent.stop() == 0
    assert f"table inet {name}" in lab.server.run("nft", "list", "tables")
    agent.start("--on-exit", "remove", bundle=False)
    assert (await agent.status()).applied is not None
    assert agent.stop() == 0
    assert lab.server.run("nft", "list", "tables").strip() == ""
