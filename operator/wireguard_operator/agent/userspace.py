"""The driver for wireguard-go: UAPI for keys and peers, netlink for the interface itself.

wireguard-go's ``set`` is not atomic: it works off the lines and stops at the first bad one. As putting a peer is
idempotent, a batch that fails is halved and sent again until the bad peers are alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..domain.device import DevicePeer, Interface
from ..domain.keys import Hidden, pair_of
from . import daemon, forwarding, uapi
from .device import DeviceDump, DeviceError, DeviceGoneError
from .link import Link

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 10.0
STOP_SECONDS = 10.0
VANISH_SECONDS = 2.0


class UserspaceDevice:
    """One interface served by one wireguard-go process. Implements ``device.Device``."""

    implementation = "Userspace"

    def __init__(self, name: str, *, binary: Path, uapi_directory: Path, crash_log: Path) -> None:
        self._name = name
        self._binary = binary
        self._socket = uapi_directory / f"{name}.sock"
        self._crash_log = crash_log
        self._link = Link(name)
        self._reader = uapi.Reader()
        self._process: daemon.Process | None = None
        self._pidfd = -1
        self._lost = asyncio.Event()

    async def identity(self) -> str:
        """See ``Device.identity``."""
        try:
            return (await self._running()).identity
        except DeviceGoneError:
            return ""

    async def ensure(self, interface: Interface) -> None:
        """See ``Device.ensure``."""
        try:
            process = await self._running()
        except DeviceGoneError:
            process = await self._start()
        self._watch(process)
        _, reply = await self._call(uapi.GET)
        found = uapi.parse_head(reply)
        private_key = pair_of(Hidden(interface.private_key)).private.reveal()  # clamped, as the device prints it
        move = found.listen_port != interface.listen_port
        if move and interface.listen_port in _open_udp_ports():
            raise DeviceError(f"UDP port {interface.listen_port} is in use on this host")
        # A listen port that is set again closes the socket and opens another one.
        await self._set(
            uapi.interface_lines(
                private_key if found.private_key != private_key else None,
                interface.listen_port if move else None,
            )
        )
        await self._link.configure(interface)
        forwarding.enable_devices()
        await self._listening(interface.listen_port)

    async def apply(self, upsert: Sequence[DevicePeer], remove: Sequence[str]) -> dict[str, str]:
        """See ``Device.apply``."""
        changes: list[DevicePeer | str] = [*remove, *upsert]
        refused: dict[str, str] = {}
        await self._apply(changes, refused)
        if refused:
            await self._set([line for key in refused for line in uapi.remove_lines(key)])
        return refused

    async def cut(self, public_keys: Sequence[str]) -> None:
        """See ``Device.cut``."""
        await self._set([line for key in public_keys for line in uapi.cut_lines(key)])

    async def dump(self) -> DeviceDump:
        """See ``Device.dump``."""
        process, reply = await self._call(uapi.GET)
        found = self._reader.read(reply)
        return DeviceDump(process.identity, found.private_key, found.listen_port, found.peers)

    async def kick(self, endpoints: Mapping[str, str]) -> None:
        """See ``Device.kick``."""
        await self._set([line for key, endpoint in endpoints.items() for line in uapi.kick_lines(key, endpoint)])

    async def route(self, prefixes: frozenset[str]) -> dict[str, str]:
        """See ``Device.route``."""
        return await self._link.route(prefixes)

    async def lost(self) -> None:
        """See ``Device.lost``."""
        await self._lost.wait()
        self._lost.clear()

    async def close(self, *, remove: bool) -> None:
        """See ``Device.close``."""
        if remove:
            with suppress(DeviceGoneError):
                process = await self._running()
                self._watch(process)
                await self._stop(process)
        self._unwatch()

    async def _running(self) -> daemon.Process:
        process, _ = await daemon.call(self._socket, None)
        if not daemon.in_own_network(process, self._socket):
            raise DeviceError(
                f"{self._socket} belongs to process {process.pid} in another network namespace; "
                "choose another interface name with --interface"
            )
        return process

    async def _start(self) -> daemon.Process:
        deadline = asyncio.get_running_loop().time() + VANISH_SECONDS
        while await self._link.exists():
            # The interface of a wireguard-go that was killed goes a moment after its socket.
            if asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.02)
                continue
            raise DeviceError(
                f"the interface {self._name} exists but no wireguard-go answers for it; "
                f"remove it with: ip link delete {self._name}"
            )
        process = await daemon.start(self._binary, self._name, self._socket, self._crash_log)
        logger.info("started wireguard-go for %s, process %d", self._name, process.pid)
        return process

    async def _listening(self, port: int) -> None:
        """wireguard-go opens its port when it has seen its link go up; if it cannot, it tells nobody."""
        deadline = asyncio.get_running_loop().time() + LISTEN_SECONDS
        while port not in _open_udp_ports():
            if asyncio.get_running_loop().time() > deadline:
                raise DeviceError(f"wireguard-go does not open UDP port {port}; is it in use on this host?")
            await asyncio.sleep(0.01)

    async def _stop(self, process: daemon.Process) -> None:
        signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._lost.wait()
        except TimeoutError:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        daemon.reap(process.pid)

    def _watch(self, process: daemon.Process) -> None:
        if process == self._process:
            return
        self._unwatch()
        self._pidfd = daemon.watch(process)
        self._process = process
        self._lost.clear()
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_death, process)
        logger.info("%s is served by process %d, device %s", self._name, process.pid, process.identity)

    def _on_death(self, process: daemon.Process) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        status = daemon.reap(process.pid)
        logger.warning("wireguard-go of %s ended%s%s", self._name, f" ({status})" if status else "", self._crash())
        self._process = None
        self._lost.set()

    def _crash(self) -> str:
        with suppress(OSError), self._crash_log.open(errors="replace") as log:
            return "".join(f": {line.strip()}" for line in log if line.startswith(("panic:", "fatal error:")))
        return ""

    def _unwatch(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._pidfd = -1
        self._process = None

    async def _call(self, request: bytes) -> tuple[daemon.Process, bytes]:
        return await daemon.call(self._socket, request)

    async def _set(self, lines: Iterable[str]) -> None:
        _, reply = await self._call(uapi.set_request(lines))
        uapi.check(reply)

    async def _apply(self, changes: Sequence[DevicePeer | str], refused: dict[str, str]) -> None:
        lines = (
            line
            for change in changes
            for line in (uapi.remove_lines(change) if isinstance(change, str) else uapi.upsert_lines(change))
        )
        try:
            await self._set(lines)
        except uapi.UapiError as error:
            if len(changes) == 1:
                change = changes[0]
                refused[change if isinstance(change, str) else change.public_key] = f"refused by wireguard-go: {error}"
                return
            half = len(changes) // 2
            await self._apply(changes[:half], refused)
            await self._apply(changes[half:], refused)


def _open_udp_ports() -> set[int]:
    """Local UDP ports in this network namespace. A trial bind would tell as well, but get in wireguard-go's way."""
    tables = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
