"""A host behind the agent, a subscriber that reaches it through its tunnel, and what each gets."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.cluster.agent.agent_lab import Client, Lab, Namespace, eventually
from wireguard_operator.domain.device import DevicePeer
from wireguard_operator.domain.policy import Policy

ALLOWED, DENIED = "198.51.100.2", "198.51.100.3"
ALLOWED6, DENIED6 = "2001:db8:1::2", "2001:db8:1::3"

ECHO = """
import selectors, socket, sys
watch = selectors.DefaultSelector()
for address in sys.argv[1:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in (7, 8):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((address, port))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            watch.register(s, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in watch.select():
        s = key.fileobj
        if s.type == socket.SOCK_STREAM:
            connection, _ = s.accept()
            connection.sendall(b"hello")
            connection.close()
        else:
            data, source = s.recvfrom(65535)
            s.sendto(data, source)
"""
"""A host with TCP and UDP at the ports 7 and 8 of each address."""

FLOOD = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"leak", (sys.argv[1], 7))
    except OSError:
        pass
    time.sleep(float(sys.argv[2]))
"""
"""Sends to an address without end, and pauses so many seconds after each packet."""

ASK = """
import socket, sys
address, port, kind, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                  socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(1)
try:
    s.connect((address, port))
    if kind == "udp":
        s.send(b"x" * size)
    sys.exit(0 if s.recv(65535) else 1)
except OSError:
    sys.exit(1)
"""


class World:
    """A host behind the agent, with addresses that tests allow and deny; it counts what comes to each."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host = Namespace()
        lab.server.run("ip", "link", "add", "world", "type", "veth", "peer", "eth0", "netns", self.host.name)
        for namespace, device, addresses in (
            (lab.server, "world", ("198.51.100.1/24", "2001:db8:1::1/64")),
            (self.host, "eth0", (f"{ALLOWED}/24", f"{DENIED}/24", f"{ALLOWED6}/64", f"{DENIED6}/64")),
        ):
            for address in addresses:
                namespace.run("ip", "address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
            namespace.run("ip", "link", "set", device, "mtu", "1420", "up")
        for address in ("198.51.100.1", "2001:db8:1::1"):
            self.host.run("ip", "route", "add", "default", "via", address)
        counters = "\n".join(f"counter c{number} {{}}" for number in range(2))
        self.host.run(
            "nft", "-f", "-",
            input=f"table inet count {{ {counters}\n chain in {{ type filter hook prerouting priority -400;\n"
            f"ip daddr {ALLOWED} counter name c0\n ip daddr {DENIED} counter name c1\n }}\n }}\n",
        )  # fmt: skip
        self.echo = self.host.spawn(
            sys.executable, "-c", ECHO, ALLOWED, DENIED, ALLOWED6, DENIED6, stdout=subprocess.PIPE
        )
        assert self.echo.stdout is not None
        assert self.echo.stdout.readline() == b"ready\n"
        for address in (ALLOWED, DENIED, ALLOWED6, DENIED6):  # IPv6 neighbours take a moment to find each other
            assert any(lab.server.ping(address, 0.5) for _ in range(20)), address
        self.host.run("nft", "reset", "counters")

    def arrived(self, address: str) -> int:
        """Packets that came to one of the IPv4 addresses so far."""
        return self._count(address, "packets")

    def bytes_arrived(self, address: str) -> int:
        """Bytes of IP packets that came to one of the IPv4 addresses so far."""
        return self._count(address, "bytes")

    def _count(self, address: str, unit: str) -> int:
        name = {ALLOWED: "c0", DENIED: "c1"}[address]
        shown = self.host.run("nft", "list", "counter", "inet", "count", name)
        return int(shown.split(f"{unit} ")[1].split()[0])

    def close(self) -> None:
        self.echo.kill()
        self.echo.communicate()
        self.host.delete()


def subscriber(lab: Lab, address: str = "10.8.0.2", address6: str = "fd08::2") -> Client:
    client = lab.make_client(address)
    client.namespace.run("ip", "address", "add", f"{address6}/64", "dev", client.interface, "nodad")
    return client


def peer_of(client: Client, policy: Policy | None = None, address6: str = "fd08::2") -> DevicePeer:
    return replace(client.peer, allowed_ips=(*client.peer.allowed_ips, f"{address6}/128"), policy=policy)


async def connect(lab: Lab, client: Client) -> None:
    """Up, with everything but the cable routed into the tunnel, and a session."""
    client.connect()
    lab.client.run("ip", "route", "replace", "198.51.100.0/24", "dev", client.interface)
    lab.client.run("ip", "route", "replace", "2001:db8:1::/64", "dev", client.interface)

    async def shaken() -> bool:
        lab.client.ping("10.8.0.1", 0.3)
        return lab.client.run("wg", "show", client.interface, "latest-handshakes").split()[-1] != "0"

    await eventually(shaken)


def asks(namespace: Namespace, address: str, kind: str, port: int = 7, size: int = 5) -> bool:
    """Whether an answer comes."""
    done = subprocess.run(
        ["ip", "netns", "exec", namespace.name, sys.executable, "-c", ASK, address, str(port), kind, str(size)],
        timeout=30,
    )
    return done.returncode == 0


def answers(lab: Lab, *addresses: str) -> dict[str, set[str]]:
    """What of each address a subscriber gets an answer from."""
    with ThreadPoolExecutor(12) as pool:
        tried = {
            (address, f"{kind} {port}"): pool.submit(asks, lab.client, address, kind, port)
            for address in addresses
            for kind in ("tcp", "udp")
            for port in (7, 8)
        }
        tried |= {(address, "ping"): pool.submit(lab.client.ping, address, 1.0) for address in addresses}
        return {
            address: {what for (where, what), done in tried.items() if where == address and done.result()}
            for address in addresses
        }
