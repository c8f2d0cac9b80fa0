"""A small network for tests of the agent: namespaces joined by a cable, real agents, real clients, real pings.

Everything is named uniquely, so tests can run beside each other. An agent runs inside a namespace but listens on
a socket that the test made outside and handed over, as dockerd's ``-H fd://`` does.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from wireguard_operator.agent import daemon, parts, protocol
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.domain.certificates import Certificate, Usage, issue, make_authority
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair

REPOSITORY = Path(__file__).resolve().parents[3]
SERVER_PORT = 51820
PART_BYTES = 16 << 10
"""Small, so that a few hundred peers are several parts."""
AGENT_NAME = protocol.agent_name("isp", "berlin")

T = TypeVar("T")


def unique(prefix: str) -> str:
    """A name for an interface or a namespace, at most 15 characters."""
    return f"{prefix}{uuid.uuid4().hex[:8]}"


def sh(*command: str, check: bool = True, **options: Any) -> str:
    """Run a command; its output, or an AssertionError with what it said."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, capture_output=True, text=True, timeout=60, **options
    )
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


async def eventually(probe: Callable[[], Awaitable[T]], accept: Callable[[T], bool] = bool, seconds: float = 30.0) -> T:
    """Ask until the answer is accepted; the answer, or an AssertionError with the last one."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await probe()
        if accept(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s; last answer: {answer!r}"
        await asyncio.sleep(0.05)


@dataclass
class Namespace:
    """A network namespace of ``ip netns``."""

    name: str = field(default_factory=lambda: unique("wga"))

    def __post_init__(self) -> None:
        sh("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: str, **options: Any) -> str:
        return sh("ip", "netns", "exec", self.name, *command, **options)

    def spawn(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], **options)

    def ping(self, address: str, seconds: float = 1.0) -> bool:
        """Whether one ping is answered."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, "ping", "-n", "-c1", f"-W{seconds}", address],
            capture_output=True,
            timeout=seconds + 10,
        )
        return done.returncode == 0

    def delete(self) -> None:
        sh("ip", "netns", "delete", self.name, check=False)


@dataclass
class Pki:
    """The operator's CA and what it issued."""

    authority: Certificate = field(default_factory=lambda: make_authority(datetime.now(UTC)))

    def issue(self, name: str, usage: Usage) -> Certificate:
        return issue(self.authority, name, usage, datetime.now(UTC))

    def bundle(self, listen: str = "127.0.0.1:1") -> Bundle:
        own = self.issue(AGENT_NAME, Usage.AGENT)
        return Bundle(
            server="isp/berlin",
            listen=listen,
            certificate=own.certificate,
            private_key=own.private_key,
            ca=self.authority.certificate,
        )

    def client_context(self, directory: Path, own: Certificate | None) -> ssl.SSLContext:
        """What a client presents (None: nothing); it always checks the agent."""
        context = ssl.create_default_context(cadata=self.authority.certificate)
        if own is not None:
            file = directory / f"{uuid.uuid4().hex}.pem"
            file.write_text(own.certificate + own.private_key)
            context.load_cert_chain(file)
        return context


class Agent:
    """One agent process and the means to talk to it."""

    def __init__(self, lab: Lab, namespace: Namespace, directory: Path) -> None:
        self.lab = lab
        self.namespace = namespace
        self.directory = directory
        self.interface = unique("wgs")
        self.state = directory / "state"
        self.log = directory / "agent.log"
        self.pki = Pki()
        self.bundle = self.pki.bundle()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.socket.getsockname()[1]}"
        self.process: subprocess.Popen[bytes] | None = None
        self.context = self.pki.client_context(directory, self.pki.issue(protocol.CONTROLLER_NAME, Usage.CONTROLLER))

    def start(self, *options: str, bundle: bool = True, listen: bool = True, driver: str = "userspace") -> None:
        """Start the process; ``request`` waits for it, because the socket is open already."""
        command = [sys.executable, "-m", "wireguard_operator.agent.main", "--driver", driver, *options]
        command += ["--interface", self.interface, "--state-dir", str(self.state)]
        command += ["--wireguard-go", str(self.lab.binary)]
        command += ["--listen", f"fd://{self.socket.fileno()}"] if listen else []
        command += ["--bundle", "-"] if bundle else []
        with self.log.open("ab") as log:
            self.process = self.namespace.spawn(
                *command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[self.socket.fileno()]
            )
        assert self.process.stdin is not None
        with self.process.stdin as stdin:
            stdin.write(self.bundle.model_dump_json().encode() if bundle else b"")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the agent, and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    async def request(
        self, method: str, path: str, message: object | bytes | None = None, context: ssl.SSLContext | None = None
    ) -> tuple[int, bytes]:
        """Status and body of a request."""
        body = message if isinstance(message, bytes) or message is None else protocol.encode(message)
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                self.url + path,
                data=body and io.BytesIO(body),
                ssl=context or self.context,
                server_hostname=AGENT_NAME,
            ) as response,
        ):
            return response.status, await response.read()

    async def status(self) -> protocol.AgentStatus:
        code, body = await self.request("GET", protocol.STATUS_PATH)
        assert code == 200, body
        return protocol.decode(protocol.AgentStatus, body)

    async def put(self, snapshot: protocol.Snapshot) -> protocol.Ack:
        for part in parts.pack(snapshot, PART_BYTES):
            code, body = await self.request("PUT", protocol.STATE_PATH, part)
            assert code == 200, body
        ack = protocol.decode(protocol.PartReply, body).ack
        assert ack is not None
        return ack

    async def delta(self, base: protocol.Applied, **changes: Any) -> protocol.Ack:
        request = protocol.DeltaRequest(base, base.revision + 1, **changes)
        code, body = await self.request("POST", protocol.DELTA_PATH, request)
        assert code == 200, body
        return protocol.decode(protocol.Ack, body)

    async def counters(self, cursor: str = "") -> protocol.CountersPage:
        code, body = await self.request("GET", f"{protocol.COUNTERS_PATH}?cursor={cursor}")
        assert code == 200, body
        return protocol.decode(protocol.CountersPage, body)

    def wireguard_go(self) -> int:
        """The pid behind the UAPI socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(daemon.UAPI_DIRECTORY / f"{self.interface}.sock"))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)

    def wg(self, what: str) -> dict[str, list[str]]:
        """``wg show``: public key → the other columns."""
        lines = self.namespace.run("wg", "show", self.interface, what).splitlines()
        return {columns[0]: columns[1:] for columns in map(str.split, lines)}

    def routes(self) -> set[str]:
        """Destinations of the routes that the agent made."""
        found = [self.namespace.run("ip", family, "-j", "route", "show", "proto", "87") for family in ("-4", "-6")]
        return {route["dst"] for text in found for route in json.loads(text or "[]")}

    def clean(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        with suppress(OSError):
            end(self.wireguard_go())
        (daemon.UAPI_DIRECTORY / f"{self.interface}.sock").unlink(missing_ok=True)
        self.socket.close()


class Client:
    """A subscriber with the ordinary tools: its own wireguard-go, set up with ``wg``."""

    def __init__(self, lab: Lab, namespace: Namespace, server_key: str, address: str, endpoint: str) -> None:
        self.keys = generate_pair()
        self.namespace = namespace
        self.interface = unique("wgc")
        self.address = address
        self._server_key = server_key
        self._endpoint = endpoint
        self.process = namespace.spawn(
            str(lab.binary), "-f", self.interface, env={**os.environ, "LOG_LEVEL": "silent"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        control = daemon.UAPI_DIRECTORY / f"{self.interface}.sock"
        deadline = time.monotonic() + 15
        while not control.exists():
            assert time.monotonic() < deadline, "the client's wireguard-go does not start"
            time.sleep(0.02)
        namespace.run("wg", "set", self.interface, "private-key", "/dev/stdin", input=self.keys.private.reveal())
        self._know_server()
        namespace.run("ip", "address", "add", f"{address}/24", "dev", self.interface)

    def connect(self) -> None:
        """Up, which makes it shake hands. A client that does so before its server is there waits 5 s."""
        self.namespace.run("ip", "link", "set", self.interface, "mtu", "1420", "up")

    def forget(self) -> None:
        """End the session, as a client's restart does; the next packet makes it shake hands."""
        self.namespace.run("wg", "set", self.interface, "peer", self._server_key, "remove")
        self._know_server()

    def _know_server(self) -> None:
        arguments = ("endpoint", self._endpoint, "allowed-ips", "0.0.0.0/0,::/0")
        self.namespace.run("wg", "set", self.interface, "peer", self._server_key, *arguments)

    @property
    def peer(self) -> DevicePeer:
        """This client as the server's peer."""
        return DevicePeer(self.keys.public, (f"{self.address}/32",))

    def clean(self) -> None:
        self.process.terminate()
        self.process.wait(10)


class Ping:
    """A stream of pings; ``lost`` ends it and counts what got no answer."""

    def __init__(self, namespace: Namespace, address: str, interval: float = 0.02) -> None:
        self.process = namespace.spawn(
            "ping", "-n", f"-i{interval}", "-W1", address, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def lost(self) -> tuple[int, int]:
        """Sent and lost."""
        self.process.send_signal(signal.SIGINT)
        output = self.process.communicate(timeout=30)[0].decode()
        found = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        assert found, output
        sent, received = int(found[1]), int(found[2])
        # The last one may be under way when ping is stopped.
        return sent, max(0, sent - received - 1)


class Lab:
    """A server's and a client's namespace with a cable between them: 192.0.2.1 and 192.0.2.2."""

    def __init__(self, directory: Path, binary: Path, server: Namespace | None = None) -> None:
        self.directory = directory
        self.binary = binary
        self.server = server or Namespace()
        self.client = Namespace()
        self._clean: list[Callable[[], None]] = [self.server.delete, self.client.delete]
        self.server_key = generate_pair()
        self.clients: list[Client] = []
        self.server.run("ip", "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", self.client.name)
        for namespace, address in ((self.server, "192.0.2.1/24"), (self.client, "192.0.2.2/24")):
            namespace.run("ip", "address", "add", address, "dev", "eth0")
            namespace.run("ip", "link", "set", "eth0", "up")

    def make_agent(self) -> Agent:
        """An agent in the server's namespace, not started."""
        directory = self.directory / unique("agent")
        directory.mkdir()
        agent = Agent(self, self.server, directory)
        self._clean.append(agent.clean)
        return agent

    def make_client(self, address: str = "10.8.0.2") -> Client:
        """A subscriber in the client's namespace."""
        client = Client(self, self.client, self.server_key.public, address, f"192.0.2.1:{SERVER_PORT}")
        self._clean.append(client.clean)
        self.clients.append(client)
        return client

    async def reach(self, address: str = "10.8.0.1", seconds: float = 25.0) -> None:
        """Connect the clients and wait until an answer comes."""
        for client in self.clients:
            client.connect()
        await eventually(lambda: asyncio.to_thread(self.client.ping, address, 0.5), seconds=seconds)

    def snapshot(self, *peers: DevicePeer, revision: int = 1, **interface: Any) -> protocol.Snapshot:
        """A desired state with the network 10.8.0.0/24."""
        settings = {"listen_port": SERVER_PORT, "mtu": 1420, "addresses": ("10.8.0.1/24", "fd08::1/64"), **interface}
        return protocol.Snapshot(revision, Interface(self.server_key.private.reveal(), **settings), peers)

    def close(self) -> None:
        for clean in reversed(self._clean):
            clean()


def end(pid: int) -> None:
    """Kill a wireguard-go that a test's agent started, and wait until it is gone."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
                if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                    return
                time.sleep(0.02)
        except FileNotFoundError:
            return
        finally:
            os.close(pidfd)


def make_peers(count: int, first: int = 0) -> tuple[DevicePeer, ...]:
    """Peers with preshared keys and addresses in 100.64.0.0/10, and the same ones each time."""
    base = int(ip_address("100.64.0.10"))
    return tuple(
        DevicePeer(_key(f"public {n}"), (f"{ip_address(base + n)}/32",), _key(f"preshared {n}"))
        for n in range(first, first + count)
    )


def _key(seed: str) -> str:
    """Any 32 bytes make a public key."""
    return b64encode(sha256(seed.encode()).digest()).decode()
