"""Row ``agent``: the agent and its device alone, against the ``wg`` tool on a device of its own.

The agent is a process that is spoken to with the controller's own code, over HTTPS with certificates on both sides;
packing, reading, checking, keeping on disk and answering are in its times. ``wg`` is a process, too, started anew for
each call, as a script would. Both have a wireguard-go of the same build in the same network namespace.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tools.controlplane import find_or_build
from tools.controlplane.paths import say
from tools.lab import Daemon, sh, unique, wait_for
from tools.lab.shell import ignoring
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.protocol import CONTROLLER_NAME, Role, RoleOrder, agent_name
from wireguard_operator.controller.agents.client import AgentClient, AgentUnreachable, tls_context
from wireguard_operator.controller.agents.link import DeviceLink
from wireguard_operator.domain.certificates import Usage, issue, make_authority
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair
from wireguard_operator.domain.policy import Limit, Policy

from .figures import Figure, at_most

ROW = "agent"
ROUNDS = 3
"""Fresh devices for each side, in turns, so that others on the machine disturb both alike."""
CHANGES = 50
DUMPS = 15
BASE = int(ipaddress.ip_address("10.0.0.2"))
HOW = "median of {rounds} rounds on fresh devices with {n} peers: {agent} over its HTTPS protocol, divided by {wg}"


def make_peers(count: int) -> list[DevicePeer]:
    """Peers with one address each."""
    return [DevicePeer(generate_pair().public, (f"{ipaddress.ip_address(BASE + n)}/32",)) for n in range(count)]


def limited(peer: DevicePeer, number: int) -> DevicePeer:
    """The same with a limit of its own each way."""
    limit = Limit(10**6 + number, 64 << 10)
    return replace(peer, policy=Policy(upload=limit, download=limit))


def configuration(private_key: str, peers: Sequence[DevicePeer]) -> str:
    """The same for ``wg setconf``."""
    parts = [f"[Interface]\nPrivateKey = {private_key}\nListenPort = 0\n"]
    parts += [f"[Peer]\nPublicKey = {peer.public_key}\nAllowedIPs = {peer.allowed_ips[0]}\n" for peer in peers]
    return "\n".join(parts)


class Rival:
    """``wg`` and a wireguard-go of its own."""

    def __init__(self, stack: ExitStack, netns: str, directory: Path, binary: Path) -> None:
        self._netns, self._directory = netns, directory
        self._interface = unique("wgr")
        self._private = generate_pair().private.reveal()
        device = Daemon("wireguard-go", directory / "rival.log", ["ip", "netns", "exec", netns, str(binary), "-f",
                        self._interface])  # fmt: skip
        device.start()
        stack.callback(device.end)
        wait_for("wireguard-go to answer", lambda: self._wg("show", self._interface, "listen-port"))

    def scratch(self, peers: Sequence[DevicePeer]) -> float:
        """Seconds of ``wg setconf``."""
        path = self._directory / "wg.conf"
        path.touch(mode=0o600)
        path.write_text(configuration(self._private, peers))
        return _timed(self._wg, "setconf", self._interface, str(path))

    def change(self, peer: DevicePeer, *, remove: bool) -> float:
        """Seconds of ``wg set`` of one peer."""
        rest = ("remove",) if remove else ("allowed-ips", ",".join(peer.allowed_ips))
        return _timed(self._wg, "set", self._interface, "peer", peer.public_key, *rest)

    def dump(self) -> float:
        """Seconds of ``wg show dump``."""
        return _timed(self._wg, "show", self._interface, "dump")

    def _wg(self, *arguments: str) -> str:
        return sh("ip", "netns", "exec", self._netns, "wg", *arguments)


def _timed(work: object, *arguments: str) -> float:
    assert callable(work)  # noqa: S101 - two lines below
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


class Agent:
    """An agent, at the end of the link that the controller has to it."""

    def __init__(self, client: AgentClient, interface: Interface | None = None) -> None:
        self._client = client
        self._interface = interface or Interface(generate_pair().private.reveal(), 51820, 1420, ("10.0.0.1/12",))
        self._link = DeviceLink()
        self._cursor = ""

    async def serve(self) -> None:
        """Order the agent to serve."""
        await self._client.order(RoleOrder(1, Role.ACTIVE))

    async def scratch(self, peers: Sequence[DevicePeer]) -> float:
        """Seconds of a snapshot, once the device is there."""
        await self._push(())
        return await self._push(peers)

    async def _push(self, peers: Sequence[DevicePeer]) -> float:
        # A link that knows nothing of the agent sends all.
        self._link = DeviceLink()
        self._link.set_interface(self._interface)
        for peer in peers:
            self._link.put(peer)
        return await self._timed(self._link.push(self._client))

    async def change(self, peer: DevicePeer, *, remove: bool) -> float:
        """Seconds of a delta of one peer."""
        if remove:
            self._link.drop(peer.public_key)
        else:
            self._link.put(peer)
        return await self._timed(self._link.push(self._client))

    async def dump(self) -> float:
        """Seconds of the device's dump with all that the agent does with it; nothing has changed since the last."""
        began = time.perf_counter()
        page = await self._client.counters(self._cursor)
        self._cursor = page.cursor
        return time.perf_counter() - began

    async def read_all(self) -> None:
        """Read the counters of all peers, so that the next time only changes are told."""
        more = True
        while more:
            page = await self._client.counters(self._cursor, more=bool(self._cursor))
            self._cursor, more = page.cursor, page.more

    @staticmethod
    async def _timed(work: Awaitable[object]) -> float:
        began = time.perf_counter()
        await work
        return time.perf_counter() - began


@asynccontextmanager
async def running(
    netns: str,
    directory: Path,
    binary: Path,
    number: int,
    wanted: Interface | None = None,
    *,
    takes_orders: bool = False,
) -> AsyncIterator[Agent]:
    """An agent with a state directory and an interface of its own; ``wanted``: how that should be.

    ``takes_orders``: as in one of several pods, where it stands by until it is told to serve.
    """
    now = datetime.now(UTC)
    authority = make_authority(now)
    name = agent_name("bench", "berlin")
    own = issue(authority, name, Usage.AGENT, now)
    bundle = Bundle(server="bench/berlin", listen="127.0.0.1:1", certificate=own.certificate,
                    private_key=own.private_key, ca=authority.certificate)  # fmt: skip
    interface = unique("wgb")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        daemon = Daemon("agent", directory / f"agent-{number}.log", [
            "ip", "netns", "exec", netns, sys.executable, "-m", "wireguard_operator", "agent", "--bundle", "-",
            "--interface", interface, "--state-dir", str(directory / f"state-{number}"), "--wireguard-go", str(binary),
            "--listen", f"fd://{listener.fileno()}", "--on-exit", "remove",
            *(("--role", "standby") if takes_orders else ())])  # fmt: skip
        daemon.start(bundle.model_dump_json(), pass_fds=(listener.fileno(),))
        try:
            tls = tls_context(issue(authority, CONTROLLER_NAME, Usage.CONTROLLER, now), authority.certificate)
            async with aiohttp.ClientSession() as session:
                client = AgentClient(session, tls, f"https://127.0.0.1:{listener.getsockname()[1]}", name)
                await _answering(client)
                yield Agent(client, wanted)
        finally:
            await asyncio.to_thread(daemon.end)


async def _answering(client: AgentClient, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            await client.status()
            return
        except AgentUnreachable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


async def measure(peers: int) -> list[Figure]:
    """Both sides in turns, each time on fresh devices."""
    binary = find_or_build("wireguard-go")
    times: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        times.setdefault(name, []).append(seconds)

    all_peers = make_peers(peers)
    changed = random.Random(1).sample(all_peers, min(CHANGES, peers))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="wireguard-bench-")))
        netns = unique("wgb")
        sh("ip", "netns", "add", netns)
        stack.callback(ignoring, "ip", "netns", "delete", netns)
        sh("ip", "-n", netns, "link", "set", "lo", "up")
        for number in range(ROUNDS):
            say(f"round {number + 1} of {ROUNDS}: {peers} peers on fresh devices")
            with ExitStack() as round_stack:
                rival = Rival(round_stack, netns, directory, binary)
                async with running(netns, directory, binary, number) as agent:
                    note("wg scratch", rival.scratch(all_peers))
                    note("agent scratch", await agent.scratch(all_peers))
                    for peer in changed:
                        for remove in (True, False):
                            what = "remove" if remove else "add"
                            note(f"agent {what}", await agent.change(peer, remove=remove))
                            note(f"wg {what}", rival.change(peer, remove=remove))
                    await agent.read_all()
                    for _ in range(DUMPS):
                        note("agent dump", await agent.dump())
                        note("wg dump", rival.dump())
                    note("agent limits", await agent.scratch([limited(peer, n) for n, peer in enumerate(all_peers)]))
                    for n, peer in enumerate(changed):
                        note("agent limit", await agent.change(limited(peer, n), remove=False))
    return _figures(peers, times)


def _figures(peers: int, times: dict[str, list[float]]) -> list[Figure]:
    medians = {name: statistics.median(values) for name, values in times.items()}
    detail = {f"{name}, ms": round(value * 1000, 2) for name, value in medians.items()}
    figures = []
    for name, kind, agent, wg, limit in (
        ("from scratch / wg setconf", "scratch", "a snapshot", "`wg setconf`", 1.2),
        ("one peer more / wg set", "add", "a delta", "`wg set`", None),
        ("one peer less / wg set", "remove", "a delta", "`wg set … remove`", None),
        ("dump / wg show dump", "dump", "a read of the counters, none of which changed", "`wg show dump`", 1.0),
    ):
        how = HOW.format(rounds=ROUNDS, n=peers, agent=agent, wg=wg)
        goal = at_most(limit) if limit is not None else None
        ratio = medians[f"agent {kind}"] / medians[f"wg {kind}"]
        figures.append(Figure(ROW, name, ratio, "x", how, goal, detail))
    share = max(medians["agent add"], medians["agent remove"]) / medians["agent scratch"]
    how = f"the slower of one peer more and one less, divided by {peers} from scratch, all by the agent"
    figures.append(Figure(ROW, "one peer / from scratch", share, "ratio", how, at_most(0.1), detail))
    how = "median of {rounds} rounds with {n} peers: {what}"
    for name, kind, what, goal in (
        ("limits for all", "limits", "a snapshot in which each has a limit each way", None),
        ("one limit changed", "limit", "a delta that changes one of so many limits", at_most(500)),
    ):
        told = how.format(rounds=ROUNDS, n=peers, what=what)
        figures.append(Figure(ROW, name, medians[f"agent {kind}"] * 1000, "ms", told, goal, detail))
    return figures
