"""Agents without devices: many servers on one machine, for questions about the controller alone.

Protocol, checks and acknowledgements are the real agent's; only the device and the disk are not there. One process
serves many servers, over HTTPS with the certificates that the controller made. After SIGUSR1 a share of the peers has
counters that grow.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from wireguard_operator.agent import tls
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.device import DeviceDump, DeviceGoneError, DumpedPeer
from wireguard_operator.agent.duty import Duty
from wireguard_operator.agent.protocol import DeltaRequest
from wireguard_operator.agent.server import make_app
from wireguard_operator.agent.service import Service
from wireguard_operator.agent.store import Store
from wireguard_operator.domain.device import DesiredState, DevicePeer, Interface

TRAFFIC_SHARE = 10
"""One peer in so many has traffic."""
BYTES_A_LOOK = 1_000_000
ENDPOINT = "192.0.2.9:9"


class SimulatedDevice:
    """Peers in a dictionary. Implements ``agent.device.Device``."""

    implementation = "Userspace"

    def __init__(self, name: str) -> None:
        self._name = name
        self._interface: Interface | None = None
        self._peers: dict[str, DumpedPeer] = {}
        self.traffic = False

    async def identity(self) -> str:
        """See ``Device.identity``."""
        return f"simulated.{self._name}" if self._interface is not None else ""

    async def ensure(self, interface: Interface) -> None:
        """See ``Device.ensure``."""
        self._interface = interface

    async def apply(self, upsert: Sequence[DevicePeer], remove: Sequence[str]) -> dict[str, str]:
        """See ``Device.apply``."""
        for key in remove:
            self._peers.pop(key, None)
        for peer in upsert:
            before = self._peers.get(peer.public_key) or DumpedPeer(peer.public_key)
            self._peers[peer.public_key] = replace(
                before, allowed_ips=peer.allowed_ips, preshared_key=peer.preshared_key
            )
        return {}

    async def cut(self, public_keys: Sequence[str]) -> None:
        """See ``Device.cut``."""
        for key in public_keys:
            if key in self._peers:
                self._peers[key] = replace(self._peers[key], allowed_ips=())

    async def dump(self) -> DeviceDump:
        """See ``Device.dump``. Every look finds more bytes where there is traffic."""
        if self._interface is None:
            raise DeviceGoneError("there is no device yet")
        if self.traffic:
            now = int(time.time())
            for key in list(self._peers)[::TRAFFIC_SHARE]:
                peer = self._peers[key]
                self._peers[key] = replace(
                    peer,
                    rx_bytes=peer.rx_bytes + BYTES_A_LOOK,
                    tx_bytes=peer.tx_bytes + BYTES_A_LOOK,
                    last_handshake=now,
                    endpoint=ENDPOINT,
                )
        interface = self._interface
        return DeviceDump(await self.identity(), interface.private_key, interface.listen_port, dict(self._peers))

    async def route(self, prefixes: frozenset[str]) -> dict[str, str]:
        """See ``Device.route``."""
        return {}

    async def kick(self, endpoints: Mapping[str, str]) -> None:
        """See ``Device.kick``."""

    async def lost(self) -> None:
        """See ``Device.lost``."""
        await asyncio.Event().wait()

    async def close(self, *, remove: bool) -> None:
        """See ``Device.close``."""


class NoStore(Store):
    """Keeps nothing."""

    def save_state(self, revision: int, state: DesiredState) -> None:
        """Lose it."""

    def save_change(self, delta: DeltaRequest, state: DesiredState) -> None:
        """Lose it."""

    def save_endpoints(self, endpoints: Mapping[str, str]) -> None:
        """Lose them."""


class SimulatedAgents:
    """Agents of many servers in one process."""

    def __init__(self) -> None:
        self._devices: list[SimulatedDevice] = []
        self._runners: list[web.AppRunner] = []

    async def add(self, bundle: Bundle, listener: socket.socket) -> None:
        """Serve the bundle's server on an open listening socket."""
        device = SimulatedDevice(bundle.server)
        self._devices.append(device)
        store = NoStore(Path("/nonexistent"))
        service = Service(device, store)
        app = make_app(service, Duty(service, store, None, None))
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        self._runners.append(runner)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=tls.server_context(bundle)).start()

    def start_traffic(self) -> None:
        """From now on a share of the peers has traffic."""
        for device in self._devices:
            device.traffic = True

    async def close(self) -> None:
        """Stop serving."""
        for runner in self._runners:
            await runner.cleanup()


async def serve(bundles: Mapping[int, Bundle]) -> None:
    """Serve each bundle's server on an open listening socket, by file descriptor, until SIGTERM."""
    stop, agents = asyncio.Event(), SimulatedAgents()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, agents.start_traffic)
    for descriptor, bundle in bundles.items():
        await agents.add(bundle, socket.socket(fileno=descriptor))
    await stop.wait()
    await agents.close()


if __name__ == "__main__":
    asyncio.run(serve({int(number): Bundle(**body) for number, body in json.load(sys.stdin).items()}))
