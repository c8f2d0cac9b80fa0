"""The driver for the kernel's WireGuard: generic netlink for keys and peers, rtnetlink for the interface itself.

A request is not atomic: the kernel works off the peers and stops at the first bad one. As putting a peer is idempotent,
a message that fails is halved and sent again until the bad peers are alone. Requests about many peers take long and
block, so they are made in a thread; its socket is made before, in this thread's network namespace.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from ..domain.device import DevicePeer, Interface
from ..domain.keys import Hidden, InvalidKeyError, pair_of
from . import forwarding, wgdump, wgnetlink
from .device import DeviceDump, DeviceError, DeviceGoneError, DumpedPeer
from .genetlink import Connection, GenetlinkError
from .link import Found, Link, NoKindError
from .linkwatch import LinkWatch
from .nlattr import CodecError
from .wgnetlink import GET_DEVICE, SET_DEVICE, Change

logger = logging.getLogger(__name__)

KIND = "wireguard"
NO_MODULE = (
    "this kernel has no WireGuard: load its module with `modprobe wireguard` (part of Linux since 5.6), or let"
    " wireguard-go carry the packets (dataPlane.implementation: Auto or Userspace; the agent's --driver)"
)
_LIFE = "wglife-"

T = TypeVar("T")


class KernelDevice:
    """One interface of the kind wireguard. Implements ``device.Device``.

    A life is named by a random alternative name of the interface: it lasts as long as the interface does, whatever
    becomes of the agent, and a new interface has none. Its index would not do: that is the same in the network
    namespaces of one pod and of the next, and the inodes of namespaces are used again, too.
    """

    implementation = "Kernel"

    def __init__(self, name: str) -> None:
        self._name = name
        self._link = Link(name)
        self._watch: LinkWatch | None = None
        self._life = ""
        self._lost = asyncio.Event()
        self._read: Mapping[bytes, DumpedPeer] = {}
        """Of the last dump, see ``wgdump.Dump.before``."""

    async def identity(self) -> str:
        """See ``Device.identity``. An interface that no agent has looked after yet is none."""
        try:
            return (await self._present())[1]
        except DeviceGoneError:
            return ""

    async def ensure(self, interface: Interface) -> None:
        """See ``Device.ensure``."""
        found = await self._link.find() or await self._create()
        if found.kind != KIND:
            kind = f"kind {found.kind}" if found.kind else "no kind"
            raise DeviceError(
                f"the interface {self._name} exists and is of {kind}, not the kernel's WireGuard"
                f"{'; a wireguard-go may be behind it' if found.kind == 'tun' else ''}:"
                f" remove it with: ip link delete {self._name}"
            )
        if self._watch is None or not self._watch.alive() or self._watch.index != found.index:
            await self._adopt(found)
        index = found.index
        device = await self._dump(index)
        private_key = pair_of(Hidden(interface.private_key)).private.reveal()  # clamped, as the device has it
        body = wgnetlink.device(
            index,
            private_key=private_key if device.private_key != private_key else None,
            listen_port=interface.listen_port if device.listen_port != interface.listen_port else None,
        )
        try:
            await self._in_thread(lambda connection: connection.call(SET_DEVICE, body))
        except GenetlinkError as error:
            if error.code != errno.EADDRINUSE:
                raise
            raise DeviceError(f"UDP port {interface.listen_port} is in use on this host") from None
        await self._link.configure(interface)
        forwarding.enable_devices()

    async def apply(self, upsert: Sequence[DevicePeer], remove: Sequence[str]) -> dict[str, str]:
        """See ``Device.apply``."""
        index, _ = await self._present()
        return await self._in_thread(lambda connection: _apply(connection, index, upsert, remove))

    async def cut(self, public_keys: Sequence[str]) -> None:
        """See ``Device.cut``."""
        index, _ = await self._present()
        changes = [wgnetlink.cut(key) for key in public_keys]
        await self._in_thread(lambda connection: _send_all(connection, index, changes))

    async def dump(self) -> DeviceDump:
        """See ``Device.dump``."""
        index, life = await self._present()
        found = await self._dump(index)
        return DeviceDump(life, found.private_key, found.listen_port, found.peers)

    async def kick(self, endpoints: Mapping[str, str]) -> None:
        """See ``Device.kick``. An endpoint that is none, say in a zone that has gone, is passed over."""
        index, _ = await self._present()
        changes = []
        for key, endpoint in endpoints.items():
            try:
                changes.append(wgnetlink.kick(key, endpoint))
            except CodecError as error:
                logger.warning("a peer's last endpoint is of no use: %s", error)
        await self._in_thread(lambda connection: _send_all(connection, index, changes))

    async def route(self, prefixes: frozenset[str]) -> dict[str, str]:
        """See ``Device.route``."""
        return await self._link.route(prefixes)

    async def lost(self) -> None:
        """See ``Device.lost``."""
        await self._lost.wait()
        self._lost.clear()

    async def close(self, *, remove: bool) -> None:
        """See ``Device.close``."""
        try:
            if remove:
                with suppress(DeviceGoneError):
                    index, _ = await self._present()
                    self._unwatch()
                    # An interface that goes with its peers waits for each of them: 1,000 take 17 s.
                    body = wgnetlink.device(index, replace_peers=True)
                    await self._in_thread(lambda connection: connection.call(SET_DEVICE, body))
                    await self._link.delete(index)
        finally:
            self._unwatch()

    async def _dump(self, index: int) -> wgdump.Dump:
        before = self._read
        found = await self._in_thread(
            lambda connection: connection.dump(
                GET_DEVICE, wgnetlink.device(index), lambda: wgdump.Dump(before=before), wgdump.read_device
            )
        )
        self._read = found.raw
        return found

    async def _present(self) -> tuple[int, str]:
        """Index and life of the device. Raises DeviceGoneError."""
        if self._watch is not None and self._watch.alive():
            return self._watch.index, self._life
        found = await self._link.find()
        if found is None or found.kind != KIND or not (life := _life_of(found)):
            raise DeviceGoneError(f"there is no WireGuard interface {self._name}")
        return found.index, life

    async def _create(self) -> Found:
        try:
            await self._link.create(KIND)
        except NoKindError:
            raise DeviceError(NO_MODULE) from None
        found = await self._link.find()
        if found is None:
            raise DeviceGoneError(f"the interface {self._name} has just gone")
        logger.info("made the WireGuard interface %s", self._name)
        return found

    async def _adopt(self, found: Found) -> None:
        self._unwatch()
        life = _life_of(found)
        if not life:
            life = f"{_LIFE}{secrets.token_hex(8)}"
            await self._link.add_name(found.index, life)
        self._lost.clear()
        self._life = life
        self._watch = LinkWatch(found.index, self._on_death)
        logger.info("%s is served by the kernel, device %s", self._name, life)

    def _on_death(self) -> None:
        logger.warning("the interface %s is gone", self._name)
        self._lost.set()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self._watch = None

    async def _in_thread(self, work: Callable[[Connection], T]) -> T:
        try:
            connection = Connection(wgnetlink.FAMILY, wgnetlink.VERSION)
        except OSError as error:
            raise DeviceError(f"the kernel cannot be asked about {self._name}: {error.strerror}") from error

        def run() -> T:
            with connection, _told(self._name):
                return work(connection)

        return await asyncio.to_thread(run)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Errors in the words of a device."""
    try:
        yield
    except GenetlinkError as error:
        if error.code == errno.ENODEV:
            raise DeviceGoneError(f"the interface {name} is gone") from None
        raise
    except CodecError as error:
        raise DeviceError(f"the kernel's answer about {name} is not understood: {error}") from None


def _life_of(found: Found) -> str:
    return min((name for name in found.names if name.startswith(_LIFE)), default="")


def _apply(connection: Connection, index: int, upsert: Sequence[DevicePeer], remove: Sequence[str]) -> dict[str, str]:
    refused: dict[str, str] = {}
    changes: list[Change] = [wgnetlink.removal(key) for key in remove]
    for peer in upsert:
        try:
            changes.append(wgnetlink.upsert(peer))
        except (CodecError, InvalidKeyError) as error:
            refused[peer.public_key] = f"refused: {error}"
    for batch in wgnetlink.batches(changes):
        _put(connection, index, batch, refused)
    gone = []
    for key in refused:
        with suppress(InvalidKeyError):  # such a key is on no device
            gone.append(wgnetlink.removal(key))
    _send_all(connection, index, gone)
    return refused


def _send_all(connection: Connection, index: int, changes: Sequence[Change]) -> None:
    for batch in wgnetlink.batches(changes):
        _send(connection, index, batch)


def _put(connection: Connection, index: int, batch: Sequence[Change], refused: dict[str, str]) -> None:
    try:
        _send(connection, index, batch)
    except GenetlinkError as error:
        if error.code in (errno.ENODEV, errno.EPERM):
            raise
        if len(batch) == 1:
            refused[batch[0].public_key] = f"refused by the kernel: {error}"
            return
        half = len(batch) // 2
        _put(connection, index, batch[:half], refused)
        _put(connection, index, batch[half:], refused)


def _send(connection: Connection, index: int, batch: Sequence[Change]) -> None:
    for peers in wgnetlink.messages(batch):
        connection.call(SET_DEVICE, wgnetlink.device(index, peers=peers))
