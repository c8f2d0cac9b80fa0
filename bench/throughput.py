"""Row ``throughput``: what all features together take from the speed of wireguard-go.

A subscriber sends with iperf3 through a tunnel to a host behind a server. There are two servers, each in a namespace of
its own between those of subscriber and host. One is the agent's: source check, access rules, a limit each way that is
never reached, isolation and masquerading, and the port's own rules, as in one of several pods. The other is a bare
wireguard-go that ``wg`` and ``ip`` have set up, without packet filter and connection tracking. The ways take turns, so
that others on the machine disturb both alike.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.controlplane import find_or_build
from tools.controlplane.paths import say
from tools.lab import Daemon, LabError, sh, unique, wait_for
from tools.lab.shell import ignoring
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import KeyPair, generate_pair
from wireguard_operator.domain.policy import Access, Limit, Policy, Ports

from .agent import running
from .figures import Figure, at_least

ROW = "throughput"
ROUNDS, SECONDS = 16, 2
MTU = 1420
OURS, BARE = "our agent", "bare wireguard-go"
NEAR = {OURS: "192.0.2", BARE: "203.0.113"}
"""Networks of the cables between subscriber and server, and of those between server and host. The server is .1."""
FAR = {OURS: "198.51.100", BARE: "198.18.0"}
HOSTS = {way: f"{network}.2" for way, network in FAR.items()}
TUNNELS = {OURS: "10.9.0", BARE: "10.10.0"}
PORT = 51820
RATE = 10**11 // 8
"""Bytes a second that no machine reaches: each packet is metered and none is dropped."""
HOW = (
    "median of {rounds} rounds of {seconds} s of iperf3 (TCP), {direction}, through access rules, limits, source "
    "check, isolation, masquerading and the port's rules of one of several pods, divided by the same through a bare "
    "wireguard-go, in turns"
)


def everything(host: str) -> Policy:
    """A policy with all that a policy can have; the host's port is in the last of its rules."""
    access = (
        Access(("192.0.2.128/25", "2001:db8::/32"), (Ports("tcp", 443, 443), Ports("udp", 53, 53))),
        Access((f"{host}/32",), (Ports("icmp"), Ports("tcp", 5201, 5201), Ports("udp", 5201, 5201))),
    )
    limit = Limit(RATE, 1 << 20)
    return Policy(access=access, upload=limit, download=limit)


class Cables:
    """Subscriber and host, and two servers between them."""

    def __init__(self, stack: ExitStack, directory: Path, binary: Path) -> None:
        self._stack, self._directory, self._binary = stack, directory, binary
        self.client, self.world = self._namespace(), self._namespace()
        self.servers = {way: self._namespace() for way in (OURS, BARE)}
        for way, server in self.servers.items():
            self._cable(self.client, server, NEAR[way])
            self._cable(self.world, server, FAR[way])
            sh("ip", "-n", self.world, "route", "add", f"{TUNNELS[way]}.0/24", "via", f"{FAR[way]}.1")
            self._in(server, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        listener = Daemon("iperf3", directory / "iperf3.log", ["ip", "netns", "exec", self.world, "iperf3", "-s"])
        listener.start()
        stack.callback(listener.end)
        wait_for("iperf3 to listen", lambda: "5201" in self._in(self.world, "ss", "-Hltn"))

    def device(self, netns: str, pair: KeyPair, address: str, port: int | None = None) -> str:
        """A wireguard-go with a key and an address; the interface's name."""
        name = unique("wgt")
        daemon = Daemon(
            name,
            self._directory / f"{name}.log",
            # A session of its own, as the agent's device has and any service: the kernel divides processors among
            # sessions first (sched(7), autogroup), so the two would else not get the same share.
            ["setsid", "ip", "netns", "exec", netns, str(self._binary), "-f", name],
        )
        daemon.start()
        self._stack.callback(daemon.end)
        wait_for("wireguard-go to answer", lambda: self._in(netns, "wg", "show", name, "fwmark"))
        key = self._directory / f"{name}.key"
        key.touch(mode=0o600)
        key.write_text(pair.private.reveal())
        self._in(netns, "wg", "set", name, "private-key", str(key), *(("listen-port", str(port)) if port else ()))
        sh("ip", "-n", netns, "address", "add", f"{address}/24", "dev", name)
        sh("ip", "-n", netns, "link", "set", name, "mtu", str(MTU), "up")
        return name

    def peer(self, netns: str, interface: str, public_key: str, allowed: str, endpoint: str | None = None) -> None:
        """Give a device a peer."""
        rest = ("endpoint", endpoint) if endpoint else ()
        self._in(netns, "wg", "set", interface, "peer", public_key, "allowed-ips", allowed, *rest)

    def dial(self, way: str, server_key: str, pair: KeyPair) -> None:
        """The subscriber's end of a way."""
        interface = self.device(self.client, pair, f"{TUNNELS[way]}.2")
        self.peer(self.client, interface, server_key, f"{HOSTS[way]}/32", f"{NEAR[way]}.1:{PORT}")
        sh("ip", "-n", self.client, "route", "add", f"{HOSTS[way]}/32", "dev", interface)

    def answers(self, way: str) -> bool:
        """Whether the host behind the server answers a ping by a way."""
        command = ("ip", "netns", "exec", self.client, "ping", "-n", "-c1", "-W1", HOSTS[way])
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def megabits(self, way: str, *, reverse: bool) -> float:
        """Mbit/s of one iperf3 run as its receiver counted."""
        options = ("-R",) if reverse else ()
        said = json.loads(self._in(self.client, "iperf3", "-J", "-t", str(SECONDS), "-c", HOSTS[way], *options))
        if "error" in said:
            raise LabError(f"iperf3 by {way}: {said['error']}")
        return float(said["end"]["sum_received"]["bits_per_second"]) / 10**6

    def _namespace(self) -> str:
        name = unique("wgt")
        sh("ip", "netns", "add", name)
        self._stack.callback(ignoring, "ip", "netns", "delete", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def _cable(self, end: str, server: str, network: str) -> None:
        ends = ((end, unique("wgt"), f"{network}.2"), (server, unique("wgt"), f"{network}.1"))
        (_, left, _), (_, right, _) = ends
        sh("ip", "-n", end, "link", "add", left, "type", "veth", "peer", "name", right, "netns", server)
        for netns, device, address in ends:
            sh("ip", "-n", netns, "address", "add", f"{address}/24", "dev", device)
            sh("ip", "-n", netns, "link", "set", device, "up")

    @staticmethod
    def _in(netns: str, *command: str) -> str:
        return sh("ip", "netns", "exec", netns, *command)


async def measure(_: int) -> list[Figure]:
    """Both ways in turns, up and down."""
    binary = find_or_build("wireguard-go")
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="wireguard-bench-")))
        path = Cables(stack, directory, binary)
        server, ours, bare = generate_pair(), generate_pair(), generate_pair()
        interface = Interface(
            server.private.reveal(), PORT, MTU, (f"{TUNNELS[OURS]}.1/24",), masquerade=True, isolation=True
        )
        async with running(path.servers[OURS], directory, binary, 0, interface, takes_orders=True) as agent:
            await agent.serve()
            await agent.scratch((DevicePeer(ours.public, (f"{TUNNELS[OURS]}.2/32",), None, everything(HOSTS[OURS])),))
            other = path.device(path.servers[BARE], server, f"{TUNNELS[BARE]}.1", PORT)
            path.peer(path.servers[BARE], other, bare.public, f"{TUNNELS[BARE]}.2/32")
            for way, pair in ((OURS, ours), (BARE, bare)):
                path.dial(way, server.public, pair)
                wait_for(f"an answer by {way}", lambda way=way: path.answers(way))  # type: ignore[misc]
            for number in range(ROUNDS):
                say(f"round {number + 1} of {ROUNDS}: iperf3, {SECONDS} s each")
                for direction in ("upload", "download"):
                    for way in (OURS, BARE) if number % 2 else (BARE, OURS):
                        rate = path.megabits(way, reverse=direction == "download")
                        found.setdefault((direction, way), []).append(rate)
    return [_figure(direction, found) for direction in ("upload", "download")]


def _figure(direction: str, found: dict[tuple[str, str], list[float]]) -> Figure:
    medians = {way: statistics.median(found[direction, way]) for way in (OURS, BARE)}
    how = HOW.format(rounds=ROUNDS, seconds=SECONDS, direction=direction)
    detail = {f"{way}, Mbit/s": [round(rate) for rate in found[direction, way]] for way in (OURS, BARE)}
    ratio = medians[OURS] / medians[BARE]
    return Figure(ROW, f"{direction} / bare wireguard-go", ratio, "x", how, at_least(0.95), detail)
