"""The agent's core: holds the desired state, makes the device so, and says what came of it.

HTTP above and the device below are both out of here. One lock serialises everything that touches the device, and what
is wanted is on disk before the device is changed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from .. import __version__
from ..domain.device import Delta, DesiredState, Interface, inverse
from .admission import interface_problem
from .boot import read as read_boot
from .data_plane import DataPlane
from .device import Device, DeviceDump, DeviceError, DeviceGoneError
from .firewall.guard import Firewall
from .firewall.port import Port
from .protocol import Ack, AgentStatus, Applied, CountersPage, DeltaRequest, PeerCounters, Snapshot
from .store import Store, StoreError

logger = logging.getLogger(__name__)

RECONCILE_SECONDS = 60.0
"""Between two comparisons with the device that nothing called for; finds what was changed by hand."""
TICK_SECONDS = 0.5
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class InvalidRequestError(ValueError):
    """The request can never be done; the text says why and holds no secret."""


class ConflictError(Exception):
    """A delta is for another state than the one held; a snapshot is needed."""


class Service:
    """One server's desired state and its device."""

    def __init__(
        self,
        device: Device,
        store: Store,
        firewall: Firewall | None = None,
        warnings: Mapping[int, str] | None = None,
        port: Port | None = None,
    ) -> None:
        self._plane = DataPlane(device, firewall, port)
        self._store = store
        self._warnings = dict(warnings or {})
        """What the host cannot do for an IP version."""
        self._lock = asyncio.Lock()
        self._revision = 0
        self._state: DesiredState | None = None
        self._current = False
        """Whether the device is as the state wants it."""
        self._final: dict[str, PeerCounters] = {}
        """Last counters that the controller may not know yet: an answer can get lost, or the removal be made up for."""
        self._final_of = ""
        """The life of the device that has counted them."""

    @property
    def speaks(self) -> bool:
        """See ``DataPlane.speaks``; set at any time, as a standby must not wait to be silent."""
        return self._plane.speaks

    @speaks.setter
    def speaks(self, speaks: bool) -> None:
        self._plane.speaks = speaks

    @property
    def kicked(self) -> Callable[[Mapping[str, str]], None] | None:
        """See ``DataPlane.kicked``."""
        return self._plane.kicked

    @kicked.setter
    def kicked(self, kicked: Callable[[Mapping[str, str]], None]) -> None:
        self._plane.kicked = kicked

    async def restore(self, boot: Path | None = None) -> None:
        """Bring back the state that is on disk, else the one in ``boot``.

        A device that resists is logged and tried again by ``supervise``.
        """
        self._plane.endpoints.restore(self._store.load_endpoints())
        stored = self._store.load_state() or (read_boot(boot) if boot is not None else None)
        if stored is None:
            logger.info("no state yet; waiting for the controller")
            return
        async with self._lock:
            self._revision, state = stored
            self._hold(state)
            try:
                await self._reconcile()
            except DeviceError as error:
                logger.error("revision %d is not on the device: %s", self._revision, error)
            else:
                logger.info("revision %d restored, %d peers", self._revision, len(state.peers))

    async def status(self) -> AgentStatus:
        """Who this is. ``applied`` is None, too, while the device is not as wanted: the controller then sends all."""
        life = await self._plane.life()
        # A device that died a moment ago holds nothing, though the supervisor may not know yet.
        applied = self.applied() if life else None
        final = tuple(self._final.values()) if life == self._final_of else ()
        plane = self._plane
        return AgentStatus(
            __version__, plane.implementation, life, applied, plane.errors(), self._limits(), final=final
        )

    async def snapshot(self, request: Snapshot) -> Ack:
        """Make the device so. Raises InvalidRequestError, StoreError (nothing changed then), DeviceError."""
        _require_valid(request.interface)
        state = DesiredState(request.interface, request.peers)
        async with self._lock:
            await asyncio.to_thread(self._store.save_state, request.revision, state)
            self._final.clear()  # whoever sends all has asked before
            self._current = False
            self._revision = request.revision
            self._hold(state)
            await self._reconcile()
            logger.info("revision %d applied from a snapshot, %d peers", self._revision, len(state.peers))
            return await self._ack()

    async def delta(self, request: DeltaRequest) -> Ack:
        """Change the device. Raises as ``snapshot`` does, and ConflictError."""
        if request.interface is not None:
            _require_valid(request.interface)
        async with self._lock:
            if self._state is None or self.applied() != request.base:
                raise ConflictError
            delta = Delta(request.interface, request.upsert, request.remove)
            undo = inverse(self._state, delta)
            # From here on whoever asks is told that the device is not there yet.
            self._current = False
            self._state.apply(delta)
            try:
                await asyncio.to_thread(self._store.save_change, request, self._state)
            except BaseException as error:
                # The device is as it was; of anything but a disk that refuses it is looked at first.
                self._state.apply(undo)
                self._current = isinstance(error, StoreError)
                raise
            self._revision = request.revision
            self._final.clear()  # who knows the base has been told
            if request.interface is not None:
                self._hold(self._state)
                await self._reconcile()
            else:
                keys = [*request.remove, *(peer.public_key for peer in request.upsert)]
                await self._keep(await self._plane.change(keys, self._state))
                self._current = True
            logger.info("revision %d applied, %d peers", self._revision, len(self._state.peers))
            return await self._ack()

    async def counters(self, cursor: str | None, *, more: bool = False) -> CountersPage:
        """A page of the peers that changed after ``cursor``. Raises DeviceError.

        ``more``: go on with what the last look at the device has found.
        """
        async with self._lock:
            if not more or not self._plane.counters.are_known:
                try:
                    await self._plane.look()
                except DeviceGoneError:
                    if self._state is not None:
                        raise
                    return CountersPage("", "", (), time.time())  # before the first snapshot there need not be one
            return self._plane.counters.page(cursor)

    def applied(self) -> Applied | None:
        """The state that is on the device; None while it is not as wanted."""
        if self._state is None or not self._current:
            return None
        return Applied(self._revision, self._state.digest)

    async def observe(self) -> DeviceDump:
        """Look at the device. Raises DeviceError."""
        async with self._lock:
            return await self._plane.look()

    async def save_endpoints(self) -> None:
        """Keep on disk where peers are, for the next start. Raises StoreError."""
        if (endpoints := self._plane.endpoints.unsaved()) is not None:
            await asyncio.to_thread(self._store.save_endpoints, endpoints)
            self._plane.endpoints.on_disk = endpoints

    def last_endpoints(self) -> dict[str, str]:
        """Where the peers that had a session on this device, or on its last life, are."""
        return self._plane.endpoints.all()

    async def call(self, endpoints: Mapping[str, str], again: Iterable[str]) -> None:
        """See ``DataPlane.call``."""
        async with self._lock:
            await self._plane.call(endpoints, again)

    async def greet(self, endpoints: Collection[str]) -> None:
        """See ``DataPlane.greet``."""
        async with self._lock:
            await self._plane.greet(endpoints)

    async def start_over(self) -> None:
        """End all sessions, and have all counters start from zero. Raises DeviceError."""
        async with self._lock:
            self._plane.endpoints.clear()
            if self._state is None:
                return
            self._current = False
            await self._plane.end_sessions()
            await self._reconcile()

    async def supervise(self) -> None:
        """Bring the device back when it dies, retry what failed, look after it every minute. Runs until cancelled."""
        failures = 0
        last = time.monotonic()
        while True:
            if await self._plane.lost_within(TICK_SECONDS):
                async with self._lock:
                    self._current = False
            if self._state is None:
                continue
            well = self._current
            pause = RECONCILE_SECONDS if well else RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            if time.monotonic() - last < pause:
                continue
            last = time.monotonic()
            try:
                async with self._lock:
                    try:
                        await self._reconcile()
                    except DeviceError:
                        self._current = False
                        raise
                await self.save_endpoints()
            except (DeviceError, StoreError) as error:
                failures += 1
                logger.error("the device is not as wanted: %s", error)
            else:
                # A device that comes back and dies again must not take all of the CPU.
                failures = 0 if well else failures + 1
                if not well:
                    logger.info("the device is as wanted again, revision %d", self._revision)

    async def close(self, *, remove: bool) -> None:
        """Save what helps the next start, and let go of the device."""
        async with self._lock:
            try:
                await self._plane.look()
                await self.save_endpoints()
            except DeviceGoneError:
                pass  # there has been no snapshot yet, or nobody to ask
            except (DeviceError, StoreError) as error:
                logger.warning("the peers' endpoints are not saved: %s", error)
            await self._plane.close(remove=remove)

    def _hold(self, state: DesiredState) -> None:
        self._state = state
        self._plane.admit(state)

    async def _reconcile(self) -> None:
        """Whoever asks during a look at a device that was as wanted is told that it is."""
        assert self._state is not None  # noqa: S101 - the callers look
        await self._keep(await self._plane.reconcile(self._state.interface))
        self._current = True

    async def _keep(self, final: Iterable[PeerCounters]) -> None:
        """Counters of peers that have gone, until it is certain that the controller has them."""
        life = await self._plane.life()
        if life != self._final_of:
            self._final, self._final_of = {}, life
        self._final |= {counters.public_key: counters for counters in final}

    async def _ack(self) -> Ack:
        applied = self.applied()
        assert applied is not None  # noqa: S101 - follows from success
        errors = self._plane.errors()
        if errors:
            logger.warning("%d peers are not as wanted; the first is %s: %s", len(errors), *next(iter(errors.items())))
        return Ack(applied, self._final_of, errors, tuple(self._final.values()))

    def _limits(self) -> tuple[str, ...]:
        """The warnings that are about address families of this server."""
        addresses = self._state.interface.addresses if self._state is not None else ()
        versions = {ipaddress.ip_interface(address).version for address in addresses}
        return tuple(text for version, text in sorted(self._warnings.items()) if version in versions)


def _require_valid(interface: Interface) -> None:
    if problem := interface_problem(interface):
        raise InvalidRequestError(problem)
