"""Row ``scale``: a hundred thousand peers on twenty servers, for the controller alone, with simulated agents.

It grows in stages, so that what does not grow in proportion shows.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from typing import Any

from tools.controlplane.paths import REPOSITORY, say
from tools.lab import Daemon
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.api.base import API_VERSION
from wireguard_operator.domain.secrets import agent_secret_name, read
from wireguard_operator.kube.resources import PEERS, SECRETS, SERVERS

from . import restart
from .client import ApiError, Object
from .figures import Figure, at_most
from .fleet import STALL, Fleet, peer_body
from .usage import cpu_seconds, memory

ROW = "scale"
PEERS_TOTAL = 100_000
SERVER_COUNT = 20
STAGES = (100, 10, 1)
"""A hundredth of the peers first, then a tenth, then all."""
TRAFFIC_SECONDS = 120
HOW = "{n} peers on {servers} servers with simulated agents: {what}"


class Country:
    """Servers with simulated agents in a process of their own."""

    def __init__(self, fleet: Fleet, stack: ExitStack) -> None:
        self._fleet = fleet
        self._stack = stack
        self._process: Daemon | None = None
        self.servers = [f"server{number}" for number in range(SERVER_COUNT)]

    async def open(self) -> None:
        """Make the servers, and let the agents join."""
        sockets = [self._stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in self.servers]
        for number, (name, listener) in enumerate(zip(self.servers, sockets, strict=True)):
            body = _server(name, number, f"https://127.0.0.1:{listener.getsockname()[1]}")
            await self._fleet.client.create(SERVERS, self._fleet.namespace, body)
        bundles = {
            listener.fileno(): await self._bundle(name) for name, listener in zip(self.servers, sockets, strict=True)
        }
        log = self._fleet.lab.directory / "agents.log"
        self._process = Daemon("simulated agents", log, [sys.executable, "-m", "bench.simulated_agent"])
        self._stack.callback(self._process.end)
        stdin = json.dumps({number: bundle.model_dump() for number, bundle in bundles.items()})
        os.chdir(REPOSITORY)  # where the module is found
        self._process.start(stdin, pass_fds=tuple(bundles))
        for name in self.servers:
            await asyncio.to_thread(self._fleet.lab.wait_ready, "wgs", name)

    async def _bundle(self, server: str) -> Bundle:
        """What ``host-bundle`` would write."""
        deadline = time.monotonic() + STALL
        while True:
            try:
                secret = await self._fleet.client.get(SECRETS, self._fleet.namespace, agent_secret_name(server))
                break
            except ApiError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)
        crt, key, ca = (read(secret, name) or "" for name in ("tls.crt", "tls.key", "ca.crt"))
        return Bundle(server=f"{self._fleet.namespace}/{server}", listen="127.0.0.1:1", certificate=crt,
                      private_key=key, ca=ca)  # fmt: skip

    def start_traffic(self) -> None:
        """From now on a share of the peers has traffic."""
        assert self._process is not None and self._process.process is not None  # noqa: S101 - open comes first
        self._process.process.send_signal(signal.SIGUSR1)

    async def grow(self, first: int, until: int) -> dict[str, Any]:
        """Create peers, on all servers in turns, and wait until all are Ready; seconds and CPU seconds."""
        fleet = self._fleet
        say(f"from {first} to {until} peers on {len(self.servers)} servers")
        used, mark, began = cpu_seconds(fleet.controller), fleet.audit.mark(), time.monotonic()

        async def create(number: int) -> None:
            server = self.servers[number % len(self.servers)]
            body = peer_body(f"p{number}", serverRef={"name": server})
            await fleet.client.create(PEERS, fleet.namespace, body)

        await fleet.client.each(range(first, until), create)
        created = time.monotonic() - began
        await fleet.watch.until("all to be Ready", lambda: len(fleet.watch.ready) >= until, STALL)
        return {
            "peers": until,
            "added": until - first,
            "seconds": round(max(fleet.watch.ready.values()) - began, 1),
            "created_after": round(created, 1),
            "controller_cpu_seconds": round(cpu_seconds(fleet.controller) - used, 1),
            "writes": dict(fleet.audit.writes(mark)),
        }


async def measure(peers: int) -> list[Figure]:
    """Grow, restart, and live with traffic."""
    curve: list[dict[str, Any]] = []
    with ExitStack() as stack:
        async with Fleet() as fleet:
            fleet.lab.start_controller()
            country = Country(fleet, stack)
            await country.open()
            first = 0
            for part in STAGES:
                stage = await country.grow(first, peers // part)
                first = peers // part
                await fleet.until_idle("the controller", fleet.controller, 600)
                found = memory(fleet.controller)
                stage |= {"rss_mib": found.rss, "peak_mib": found.peak}
                stage |= {"restart": await restart.come_back(fleet)}
                say(f"  {stage}")
                curve.append(stage)
            seconds, probe = await restart.time_to_probe(fleet, country.servers[0])
            traffic = await _traffic(fleet, country)
    return _figures(peers, curve, seconds, probe, traffic)


async def _traffic(fleet: Fleet, country: Country) -> dict[str, Any]:
    say(f"a tenth of the peers has traffic, for {TRAFFIC_SECONDS} s")
    country.start_traffic()
    await asyncio.sleep(60)  # until all of them have gone online
    used, mark = cpu_seconds(fleet.controller), fleet.audit.mark()
    await asyncio.sleep(TRAFFIC_SECONDS)
    found = memory(fleet.controller)
    return {
        "controller_cores": round((cpu_seconds(fleet.controller) - used) / TRAFFIC_SECONDS, 3),
        "writes_per_second": round(fleet.audit.writes(mark).total() / TRAFFIC_SECONDS, 1),
        "rss_mib": found.rss,
        "peak_mib": found.peak,
    }


def _figures(
    peers: int, curve: list[dict[str, Any]], seconds: float, probe: dict[str, Any], traffic: dict[str, Any]
) -> list[Figure]:
    def how(what: str) -> str:
        return HOW.format(n=peers, servers=SERVER_COUNT, what=what)

    last, small = curve[-1], curve[0]
    peak = max(found["peak_mib"] for found in (*curve, traffic))
    per_peer = [stage["controller_cpu_seconds"] / stage["added"] for stage in curve]
    growth = {"curve": curve, "cpu_ms_per_peer": [round(value * 1000, 2) for value in per_peer]}
    writes = last["restart"]["writes"]
    return [
        Figure(ROW, "controller, peak", peak, "MiB", how("the highest VmHWM"), at_most(2048), growth),
        Figure(ROW, "all Ready, per peer", last["seconds"] / last["added"] * 1000, "ms",
               how("from the first create of the last stage to the last peer Ready, by peer"), None, growth),
        Figure(ROW, "growth of the CPU per peer", per_peer[-1] / per_peer[0], "x",
               how(f"the controller's CPU per peer, against that of the first {small['peers']}"), at_most(2), growth),
        Figure(ROW, "restart to fully reconciled", seconds, "s",
               how("as in row restart"), None, probe),
        Figure(ROW, "restart, writes", writes, "count", how("as in row restart"), at_most(0), last["restart"]),
        Figure(ROW, "cores with traffic", traffic["controller_cores"], "cores",
               how("the controller's CPU while a tenth of the peers has traffic"), None, traffic),
    ]  # fmt: skip


def _server(name: str, number: int, url: str) -> Object:
    plane = {"type": "Host", "host": {"url": url}}
    spec = {"endpoint": {"host": "192.0.2.1"}, "networks": [f"10.{number}.0.0/16"], "dataPlane": plane}
    return {"apiVersion": API_VERSION, "kind": "WireGuardServer", "metadata": {"name": name}, "spec": spec}
