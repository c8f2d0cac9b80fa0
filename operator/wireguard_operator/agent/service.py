"""The agent's core: holds the desired state, makes the device so, and says what came of it.

HTTP above and the device below are both out of here. One lock serialises everything that touches the device. There
are two ways to the desired state: the short one applies a delta; the long one (``_reconcile``) compares all of it
with what the device has, and serves a snapshot, a start, a device that died, and the look every minute.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from .. import __version__
from ..domain.device import Delta, DesiredState, DevicePeer, Interface, inverse
from .admission import Admission, interface_problem
from .boot import read as read_boot
from .counters import ChangeLog, counters_of
from .device import Device, DeviceDump, DeviceError, DeviceGoneError, DumpedPeer
from .firewall.guard import Firewall
from .firewall.port import Port
from .protocol import PAGE_PEERS, Ack, AgentStatus, Applied, CountersPage, DeltaRequest, PeerCounters, Snapshot
from .store import Store, StoreError

logger = logging.getLogger(__name__)

RECONCILE_SECONDS = 60.0
"""Between two comparisons with the device that nothing called for; finds what was changed by hand."""
TICK_SECONDS = 0.5
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
ONLINE_SECONDS = 180
"""A session lives no longer without a new handshake (WireGuard paper, section 6.1: Reject-After-Time)."""


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
        self._device = device
        self._store = store
        self._firewall = firewall
        self._port = port
        self._warnings = dict(warnings or {})
        """What the host cannot do for an IP version."""
        self._lock = asyncio.Lock()
        self._changes = ChangeLog()
        self._observed = ""
        """The life of the device that the change log is about."""
        self._revision = 0
        self._state: DesiredState | None = None
        self._admission: Admission | None = None
        self._current = False
        """Whether the device is as the state wants it."""
        self._refused: dict[str, str] = {}
        self._route_errors: dict[str, str] = {}
        self._endpoints: dict[str, str] = {}
        self._saved_endpoints: dict[str, str] = {}
        self._parted: dict[str, tuple[float, str]] = {}
        """Where peers that were taken off may still be, and until when (Unix seconds)."""
        self._lives = 0
        """How often all peers were put on the device anew, each time with counters from zero."""
        self.speaks = True
        """Whether the device may begin handshakes; a standby's must not."""
        self.kicked: Callable[[Mapping[str, str]], None] | None = None
        """Told of the endpoints at which a new device has called its peers."""

    async def restore(self, boot: Path | None = None) -> None:
        """Bring back the state that is on disk, else the one in ``boot``.

        A device that resists is logged and tried again by ``supervise``.
        """
        self._saved_endpoints = self._store.load_endpoints()
        self._endpoints = dict(self._saved_endpoints)
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
        device = await self._device.identity()
        # A device that died a moment ago holds nothing, though the supervisor may not know yet.
        applied = self.applied() if device else None
        return AgentStatus(
            __version__, self._device.implementation, self._life(device), applied, self._errors(), self._limits()
        )

    async def snapshot(self, request: Snapshot) -> Ack:
        """Make the device so. Raises InvalidRequestError, StoreError (nothing changed then), DeviceError."""
        _require_valid(request.interface)
        state = DesiredState(request.interface, request.peers)
        async with self._lock:
            await asyncio.to_thread(self._store.save_state, request.revision, state)
            self._current = False
            self._revision = request.revision
            self._hold(state)
            final = await self._reconcile()
            logger.info("revision %d applied from a snapshot, %d peers", self._revision, len(state.peers))
            return await self._ack(final)

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
            except StoreError:
                self._state.apply(undo)
                self._current = True
                raise
            self._revision = request.revision
            if request.interface is not None:
                self._hold(self._state)
                final = await self._reconcile()
            else:
                final = await self._change([*request.remove, *(peer.public_key for peer in request.upsert)])
            logger.info("revision %d applied, %d peers", self._revision, len(self._state.peers))
            return await self._ack(final)

    async def counters(self, cursor: str | None, *, more: bool = False) -> CountersPage:
        """A page of the peers that changed after ``cursor``. Raises DeviceError.

        ``more``: go on with what the last look at the device has found.
        """
        async with self._lock:
            if not more or not self._observed:
                try:
                    dump = await self._device.dump()
                except DeviceGoneError:
                    if self._state is not None:
                        raise
                    return CountersPage("", "", (), time.time())  # before the first snapshot there need not be one
                self._observe(dump)
            next_cursor, peers, is_more = self._changes.since(cursor, PAGE_PEERS)
            return CountersPage(self._life(self._observed), next_cursor, peers, time.time(), is_more)

    def applied(self) -> Applied | None:
        """The state that is on the device; None while it is not as wanted."""
        if self._state is None or not self._current:
            return None
        return Applied(self._revision, self._state.digest)

    async def observe(self) -> DeviceDump:
        """Look at the device. Raises DeviceError."""
        async with self._lock:
            dump = await self._device.dump()
            self._observe(dump)
            return dump

    async def save_endpoints(self) -> None:
        """Keep on disk where peers are, for the next start. Raises StoreError."""
        if self._endpoints != self._saved_endpoints:
            endpoints = dict(self._endpoints)
            await asyncio.to_thread(self._store.save_endpoints, endpoints)
            self._saved_endpoints = endpoints

    def last_endpoints(self) -> dict[str, str]:
        """Where the peers that had a session on this device, or on its last life, are."""
        return dict(self._endpoints)

    async def call(self, endpoints: Mapping[str, str], again: Iterable[str]) -> None:
        """Begin a handshake with peers that have no session here; ``again``: so that it does begin. Raises DeviceError.

        WireGuard sends a peer no second initiation within five seconds of the first; put on the device anew, it is
        another peer.
        """
        async with self._lock:
            if self._admission is None:
                return
            there = {key: self._admission.peers[key] for key in endpoints if key in self._admission.peers}
            if anew := [there[key] for key in again if key in there]:
                dump = await self._device.dump()
                anew = [peer for peer in anew if not _has_session(dump.peers.get(peer.public_key))]
                await self._device.apply(anew, [peer.public_key for peer in anew])
            await self._device.kick({key: endpoints[key] for key in there if key not in self._unguarded()})

    async def greet(self, endpoints: Collection[str]) -> None:
        """Send an empty packet to those at these endpoints that have a session. Raises DeviceError."""
        async with self._lock:
            peers = (await self._device.dump()).peers.items()
            there = {key: peer.endpoint for key, peer in peers if peer.endpoint in endpoints and peer.last_handshake}
            await self._device.kick({key: endpoint for key, endpoint in there.items() if endpoint})

    async def start_over(self) -> None:
        """End all sessions, and have all counters start from zero. Raises DeviceError."""
        async with self._lock:
            self._endpoints.clear()
            self._parted.clear()
            if self._state is None:
                return
            self._lives += 1
            self._changes = ChangeLog()
            self._current = False
            try:
                dump = await self._device.dump()
                await self._device.apply([], list(dump.peers))
            except DeviceGoneError:
                pass  # then there are no sessions
            await self._reconcile()

    async def supervise(self) -> None:
        """Bring the device back when it dies, retry what failed, look after it every minute. Runs until cancelled."""
        failures = 0
        last = time.monotonic()
        while True:
            if await self._lost_within(TICK_SECONDS):
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
                self._observe(await self._device.dump())
                await self.save_endpoints()
            except DeviceGoneError:
                pass  # there has been no snapshot yet, or nobody to ask
            except (DeviceError, StoreError) as error:
                logger.warning("the peers' endpoints are not saved: %s", error)
            await self._device.close(remove=remove)
            if remove and self._firewall is not None:
                await self._firewall.remove()

    def _hold(self, state: DesiredState) -> None:
        self._state = state
        self._admission = Admission(state.interface, state.peers.values())

    async def _ack(self, final: tuple[PeerCounters, ...]) -> Ack:
        applied = self.applied()
        assert applied is not None  # noqa: S101 - follows from success
        errors = self._errors()
        if errors:
            logger.warning("%d peers are not as wanted; the first is %s: %s", len(errors), *next(iter(errors.items())))
        return Ack(applied, self._life(await self._device.identity()), errors, final)

    def _life(self, device: str) -> str:
        """Where counters start from zero without a new device, the life gets another name all the same."""
        return f"{device}/{self._lives}" if device and self._lives else device

    def _errors(self) -> dict[str, str]:
        return {
            **self._route_errors,
            **self._refused,
            **self._unguarded(),
            **(self._admission.refused if self._admission else {}),
        }

    def _unguarded(self) -> Mapping[str, str]:
        """Peers whose policy cannot be applied; they stay off the device."""
        return self._firewall.refused if self._firewall is not None else {}

    def _limits(self) -> tuple[str, ...]:
        """The warnings that are about address families of this server."""
        addresses = self._state.interface.addresses if self._state is not None else ()
        versions = {ipaddress.ip_interface(address).version for address in addresses}
        return tuple(text for version, text in sorted(self._warnings.items()) if version in versions)

    async def _reconcile(self) -> tuple[PeerCounters, ...]:
        """Compare the device with the state and change what differs; the final counters of what went.

        Whoever asks during a look at a device that was as wanted is told that it is.
        """
        state, admission = self._state, self._admission
        assert state is not None and admission is not None  # noqa: S101 - the callers look
        if self._port is not None:
            await self._port.ensure(state.interface.listen_port)  # a standby's is closed before there is a device
        await self._device.ensure(state.interface)
        dump = await self._device.dump()
        self._observe(dump)
        if self._firewall is not None:
            # Before any peer comes to the device, and in the place of what was there in one step.
            holders = {prefix: key for key, peer in dump.peers.items() for prefix in peer.allowed_ips}
            await self._firewall.ensure(state.interface, admission.peers, holders)
        wanted = {key: peer for key, peer in admission.peers.items() if key not in self._unguarded()}
        upsert = [peer for key, peer in wanted.items() if not _same(peer, dump.peers.get(key))]
        remove = [key for key in dump.peers if key not in wanted]
        await self._apply(upsert, remove)
        new = {peer.public_key for peer in upsert} - dump.peers.keys() - self._refused.keys()
        back = {key: self._endpoints[key] for key in new & self._endpoints.keys()}
        if back and self.speaks:
            await self._device.kick(back)
            if self.kicked is not None:
                self.kicked(back)
        self._current = True
        return tuple(counters_of(dump.peers[key]) for key in remove)

    async def _change(self, keys: Iterable[str]) -> tuple[PeerCounters, ...]:
        """Bring the peers of a delta, and those refused before, to the device without looking at all the others."""
        state, admission = self._state, self._admission
        assert state is not None and admission is not None  # noqa: S101 - the callers look
        touched = dict.fromkeys((*keys, *self._refused, *self._unguarded(), *admission.refused))
        before = [key for key in touched if key in admission.peers]
        admission.change(
            upsert=[state.peers[key] for key in touched if key in state.peers],
            remove=[key for key in touched if key not in state.peers],
        )
        upsert = [admission.peers[key] for key in touched if key in admission.peers]
        remove = [key for key in before if key not in admission.peers]
        try:
            final: tuple[PeerCounters, ...] = ()
            if remove:
                # First the end of the traffic: to look at 10,000 peers for the last counters takes its time.
                await self._device.cut(remove)
                dump = await self._device.dump()
                self._observe(dump)
                final = tuple(counters_of(dump.peers[key]) for key in remove if key in dump.peers)
            if self._firewall is not None:
                await self._firewall.change(upsert, remove)
                remove += [peer.public_key for peer in upsert if peer.public_key in self._firewall.refused]
                upsert = [peer for peer in upsert if peer.public_key not in self._firewall.refused]
            await self._apply(upsert, remove)
        except DeviceGoneError:
            return await self._reconcile()
        self._current = True
        return final

    async def _apply(self, upsert: list[DevicePeer], remove: list[str]) -> None:
        assert self._admission is not None  # noqa: S101 - the callers look
        now = time.time()
        self._parted = {key: parted for key, parted in self._parted.items() if parted[0] > now}
        for key in remove:
            if (endpoint := self._endpoints.pop(key, None)) is not None:
                self._parted[key] = now + ONLINE_SECONDS, endpoint
        self._refused = await self._device.apply(upsert, remove) if upsert or remove else {}
        # The next page of counters must not tell once more what the answer to the removal tells.
        self._changes.forget(remove)
        # A client whose session was cut believes in it for 15 s; a handshake from our side ends that at once.
        back = [peer.public_key for peer in upsert if peer.public_key not in self._refused]
        known = {key: self._parted.pop(key)[1] for key in back if key in self._parted}
        if known and self.speaks:
            await self._device.kick(known)
        if self._firewall is not None:
            await self._firewall.settle()
        failed = await self._device.route(frozenset(self._admission.routes))
        owners = {prefix: self._admission.owner(prefix) for prefix in failed}
        self._route_errors = {
            owner: f"no route to {prefix}: {failed[prefix]}" for prefix, owner in owners.items() if owner
        }

    def _observe(self, dump: DeviceDump) -> None:
        if dump.device != self._observed:
            # The counters of another life are other counters, though they may be equal.
            self._changes, self._observed = ChangeLog(), dump.device
        self._changes.observe(dump.peers)
        now = time.time()
        for key, peer in dump.peers.items():
            if peer.endpoint and now - peer.last_handshake < ONLINE_SECONDS:
                self._endpoints[key] = peer.endpoint
            elif peer.last_handshake:
                self._endpoints.pop(key, None)

    async def _lost_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._device.lost()
        except TimeoutError:
            return False
        return True


def _require_valid(interface: Interface) -> None:
    if problem := interface_problem(interface):
        raise InvalidRequestError(problem)


def _has_session(found: DumpedPeer | None) -> bool:
    return found is None or bool(found.last_handshake)


def _same(peer: DevicePeer, found: DumpedPeer | None) -> bool:
    return (
        found is not None
        and peer.preshared_key == found.preshared_key
        and (peer.allowed_ips == found.allowed_ips or set(peer.allowed_ips) == set(found.allowed_ips))
    )
