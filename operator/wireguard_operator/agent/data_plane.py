"""The device and what belongs to it (port, packet filter, routes), and how all that is made as it should be.

There are two ways. The short one (``change``) brings the peers of a delta. The long one (``reconcile``) compares
everything with what the device has; it serves a snapshot, a start, a device that died, and the look every minute.
On both a peer's rules are in the packet filter before it is on the device.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from ..domain.device import DesiredState, DevicePeer, Interface
from .admission import Admission
from .counters import Counters, counters_of
from .device import Device, DeviceDump, DeviceError, DeviceGoneError, DumpedPeer
from .endpoints import LastEndpoints
from .firewall.guard import Firewall
from .firewall.port import Port
from .protocol import PeerCounters


class DataPlane:
    """One interface. The service serialises calls, but for ``life``, ``errors`` and ``lost_within``."""

    def __init__(self, device: Device, firewall: Firewall | None, port: Port | None) -> None:
        self._device = device
        self._firewall = firewall
        self._port = port
        self._admission: Admission | None = None
        self._refused: dict[str, str] = {}
        self._route_errors: dict[str, str] = {}
        self.counters = Counters()
        self.endpoints = LastEndpoints()
        self.speaks = True
        """Whether the device may begin handshakes; a standby's must not."""
        self.kicked: Callable[[Mapping[str, str]], None] | None = None
        """Told of the endpoints at which a new device has called its peers."""

    @property
    def implementation(self) -> str:
        """See ``Device.implementation``."""
        return self._device.implementation

    async def life(self) -> str:
        """What the counters belong to; empty when there is no device. Raises DeviceError."""
        return self.counters.life(await self._device.identity())

    def errors(self) -> dict[str, str]:
        """Public key → why a peer is not as wanted."""
        return {
            **self._route_errors,
            **self._refused,
            **self._unguarded(),
            **(self._admission.refused if self._admission else {}),
        }

    def admit(self, state: DesiredState) -> None:
        """Check all peers of another state, or of another interface; ``reconcile`` brings them to the device."""
        self._admission = Admission(state.interface, state.peers.values())

    async def look(self) -> DeviceDump:
        """Look at the device, and note what its counters are and where peers are. Raises DeviceError."""
        dump = await self._device.dump()
        self.counters.observe(dump)
        self.endpoints.observe(dump.peers, time.time())
        return dump

    async def reconcile(self, interface: Interface) -> tuple[PeerCounters, ...]:
        """Compare the device with what was admitted and change what differs; the final counters of what went.

        Raises DeviceError.
        """
        admission = self._admission
        assert admission is not None  # noqa: S101 - the callers have had a state admitted
        try:
            if self._port is not None:
                await self._port.ensure(interface.listen_port)  # a standby's is closed before there is a device
            await self._device.ensure(interface)
            dump = await self._cut_strays(admission)
        except DeviceError:
            # Whoever must not be on the device goes, though it cannot be made as it should be.
            with suppress(DeviceError):
                await self._cut_strays(admission)
            raise
        if self._firewall is not None:
            # Before any peer comes to the device, and in the place of what was there in one step.
            holders = {prefix: key for key, peer in dump.peers.items() for prefix in peer.allowed_ips}
            await self._firewall.ensure(interface, admission.peers, holders)
        wanted = {key: peer for key, peer in admission.peers.items() if key not in self._unguarded()}
        upsert = [peer for key, peer in wanted.items() if not _same(peer, dump.peers.get(key))]
        remove = [key for key in dump.peers if key not in wanted]
        await self._apply(admission, upsert, remove)
        new = {peer.public_key for peer in upsert} - dump.peers.keys() - self._refused.keys()
        back = self.endpoints.of(new)
        if back and self.speaks:
            await self._device.kick(back)
            if self.kicked is not None:
                self.kicked(back)
        return tuple(counters_of(dump.peers[key]) for key in remove)

    async def change(self, keys: Iterable[str], state: DesiredState) -> tuple[PeerCounters, ...]:
        """Bring peers that changed, and those refused before, to the device without looking at all the others.

        The final counters of what went. Raises DeviceError.
        """
        admission = self._admission
        assert admission is not None  # noqa: S101 - the callers have had a state admitted
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
                dump = await self.look()
                final = tuple(counters_of(dump.peers[key]) for key in remove if key in dump.peers)
            if self._firewall is not None:
                await self._firewall.change(upsert, remove)
                remove += [peer.public_key for peer in upsert if peer.public_key in self._firewall.refused]
                upsert = [peer for peer in upsert if peer.public_key not in self._firewall.refused]
            await self._apply(admission, upsert, remove)
        except DeviceGoneError:
            return await self.reconcile(state.interface)
        return final

    async def call(self, endpoints: Mapping[str, str], again: Iterable[str]) -> None:
        """Begin a handshake with peers that have no session here; ``again``: so that it does begin. Raises DeviceError.

        WireGuard sends a peer no second initiation within five seconds of the first; put on the device anew, it is
        another peer.
        """
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
        peers = (await self._device.dump()).peers.items()
        there = {key: peer.endpoint for key, peer in peers if peer.endpoint in endpoints and peer.last_handshake}
        await self._device.kick({key: endpoint for key, endpoint in there.items() if endpoint})

    async def _cut_strays(self, admission: Admission) -> DeviceDump:
        """Look at the device and cut those who must not be on it; the dump with their last counters."""
        dump = await self.look()
        strays = [key for key in dump.peers if key not in admission.peers]
        if not strays:
            return dump
        await self._device.cut(strays)
        return await self.look()

    async def end_sessions(self) -> None:
        """Take all peers off, which ``reconcile`` puts back with counters from zero. Raises DeviceError."""
        with suppress(DeviceGoneError):  # then there are no sessions
            dump = await self._device.dump()
            await self._device.apply([], list(dump.peers))
        self.counters.start_over()

    async def lost_within(self, seconds: float) -> bool:
        """Whether the device dies in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._device.lost()
        except TimeoutError:
            return False
        return True

    async def close(self, *, remove: bool) -> None:
        """Let go of the device; with ``remove`` end it, and take its rules away. Raises DeviceError."""
        await self._device.close(remove=remove)
        if remove and self._firewall is not None:
            await self._firewall.remove()

    def _unguarded(self) -> Mapping[str, str]:
        """Peers whose policy cannot be applied; they stay off the device."""
        return self._firewall.refused if self._firewall is not None else {}

    async def _apply(self, admission: Admission, upsert: list[DevicePeer], remove: list[str]) -> None:
        self.endpoints.take_off(remove, time.time())
        self._refused = await self._device.apply(upsert, remove) if upsert or remove else {}
        # The next page of counters must not tell once more what the answer to the removal tells.
        self.counters.forget(remove)
        # A client whose session was cut believes in it for 15 s; a handshake from our side ends that at once.
        back = self.endpoints.put_back(peer.public_key for peer in upsert if peer.public_key not in self._refused)
        if back and self.speaks:
            await self._device.kick(back)
        if self._firewall is not None:
            await self._firewall.settle()
        failed = await self._device.route(frozenset(admission.routes))
        owners = {prefix: admission.owner(prefix) for prefix in failed}
        self._route_errors = {
            owner: f"no route to {prefix}: {failed[prefix]}" for prefix, owner in owners.items() if owner
        }


def _has_session(found: DumpedPeer | None) -> bool:
    return found is None or bool(found.last_handshake)


def _same(peer: DevicePeer, found: DumpedPeer | None) -> bool:
    return (
        found is not None
        and peer.preshared_key == found.preshared_key
        and (peer.allowed_ips == found.allowed_ips or set(peer.allowed_ips) == set(found.allowed_ips))
    )
