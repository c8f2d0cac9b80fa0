"""Control plane, controller and agent of a run: all of them real, and at the intervals that a cluster would use."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.controlplane import ControlPlane
from tools.controlplane.paths import say
from tools.controlplane.state import read as read_state
from tools.lab import Lab
from tools.lab.host import Host
from wireguard_operator.api.base import API_VERSION
from wireguard_operator.controller.settings import Settings
from wireguard_operator.kube.resources import SERVERS

from .audit import AuditLog
from .client import BareClient, Object
from .device import DeviceLog
from .usage import Memory, busy_seconds, children, cpu_seconds, memory
from .watch import PeerWatch, Stalled

SERVER = "berlin"
NETWORK = "10.0.0.0/12"
CONNECTIONS = Settings().status_workers
"""Of the bare client: as many as the controller writes statuses with."""
STALL = 120.0
"""Seconds without any progress after which a run is given up."""

_DEFAULT = Settings()
_INTERVALS = {
    "--stats-interval": _DEFAULT.stats_interval,
    "--traffic-interval": _DEFAULT.traffic_interval,
    "--sweep-interval": _DEFAULT.sweep_interval,
}
# Peers by the hundred thousand fill the 100 MB after which the audit log would be rotated away.
_FLAGS = ("--audit-log-maxsize=8192",)


class Fleet:
    """One server with its agent and device, a controller, an API server, and clients to look at them."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Fleet:
        try:
            await self._build()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        say("taking everything down")
        await self._stack.aclose()

    async def _build(self) -> None:
        stack = self._stack
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="wireguard-bench-")))
        audit = directory / "audit.log"
        say("starting an API server of its own")
        self.plane = stack.enter_context(ControlPlane(directory / "plane", audit_log=audit, apiserver_flags=_FLAGS))
        self.audit = AuditLog(audit)
        self.lab = Lab(self.plane)
        self.device = DeviceLog(self.lab.directory, self.lab.wireguard_go)
        stack.callback(self.device.close)
        self.lab.hosts = [Host(2, self.lab.directory, self.device.wrapper)]
        intervals = [part for name, value in _INTERVALS.items() for part in (name, f"{value:g}")]
        self.lab.controller = self.lab.new_controller("controller", *intervals)
        stack.enter_context(self.lab)
        self.namespace = self.lab.namespace
        self.client = await stack.enter_async_context(BareClient(self.plane.kubeconfig, CONNECTIONS))
        self.operator = await stack.enter_async_context(BareClient(self.plane.kubeconfig, CONNECTIONS))
        """For single changes, which must not wait for the connections of ``client`` when that creates peers."""
        observer = await stack.enter_async_context(BareClient(self.plane.kubeconfig, CONNECTIONS))
        self.watch = await stack.enter_async_context(PeerWatch(observer, self.namespace))

    async def open(self) -> None:
        """Start the controller, make the server and let its host join; remember their memory without peers."""
        self.lab.start_controller()
        await self.client.create(SERVERS, self.namespace, self._server())
        # The bundle is a Secret that the controller makes.
        await asyncio.to_thread(self.lab.join_host, SERVER)
        await asyncio.to_thread(self.lab.wait_ready, "wgs", SERVER)
        await self.until_idle("the controller", self.controller)
        self.empty = self._memory()

    async def settle(self) -> None:
        """Remember the memory of controller and agent when the server has been filled and all is quiet."""
        await self.until_idle("the controller", self.controller)
        self.full = self._memory()

    def _memory(self) -> tuple[Memory, Memory]:
        return memory(self.controller), memory(self.agent)

    def _server(self) -> Object:
        plane = {"type": "Host", "host": {"url": self.lab.host.url}}
        spec = {"endpoint": {"host": self.lab.host.address}, "networks": [NETWORK], "dataPlane": plane}
        return {"apiVersion": API_VERSION, "kind": "WireGuardServer", "metadata": {"name": SERVER}, "spec": spec}

    @property
    def controller(self) -> int:
        """Process id of the controller."""
        assert self.lab.controller.process is not None  # noqa: S101 - it is only ever replaced by a running one
        return self.lab.controller.process.pid

    @property
    def agent(self) -> int:
        """Process id of the agent."""
        assert self.lab.host.agent.process is not None  # noqa: S101 - as above
        return self.lab.host.agent.process.pid

    def cpu(self) -> dict[str, float]:
        """CPU seconds that each part has used so far, this process included, and all others on the machine."""
        state = read_state(self.plane.directory)
        pids = {record.name: record.pid for record in state.processes} if state else {}
        pids |= {"bench": os.getpid(), "controller": self.controller, "agent": self.agent}
        for device in children(self.agent):
            pids["wireguard-go"] = device
        used = {name: cpu_seconds(pid) for name, pid in pids.items()}
        return used | {"others": busy_seconds() - sum(used.values())}

    def cpu_since(self, before: Mapping[str, float]) -> dict[str, float]:
        """CPU seconds that each part has used since ``cpu`` told ``before``."""
        return {name: round(used - before.get(name, 0.0), 2) for name, used in self.cpu().items()}

    async def until(self, what: str, accept: Callable[[], bool], seconds: float = STALL) -> None:
        """Wait for something. Raises Stalled."""
        deadline = time.monotonic() + seconds
        while not accept():
            if time.monotonic() > deadline:
                raise Stalled(f"waited {seconds:.0f} s for {what}")
            await asyncio.sleep(0.01)

    async def until_idle(self, what: str, pid: int, seconds: float = 300.0) -> None:
        """Wait until a process has used less than 5 % of a core for two seconds. Raises Stalled."""
        say(f"  waiting for {what} to be idle")
        deadline = time.monotonic() + seconds
        before = cpu_seconds(pid)
        while time.monotonic() < deadline:
            await asyncio.sleep(2.0)
            now = cpu_seconds(pid)
            if now - before < 0.1:
                return
            before = now
        raise Stalled(f"{what} is not idle after {seconds:.0f} s")


def peer_body(name: str, **spec: Any) -> Object:
    """A peer of the server, as a billing system would write it."""
    whole = {"serverRef": {"name": SERVER}} | spec
    return {"apiVersion": API_VERSION, "kind": "WireGuardPeer", "metadata": {"name": name}, "spec": whole}
