"""What a WireGuard device driver must do, so that every driver can pass one conformance suite.

A driver owns one interface. It is told what to change, never what the whole should be: the difference between
desired and found is a decision of the service, and a driver that replaced all peers would end every session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..domain.device import DevicePeer, Interface


class DeviceError(Exception):
    """The device cannot be brought to the wanted state; the text says what to do and holds no secret."""


class DeviceGoneError(DeviceError):
    """There is no device behind the name (any more); ``ensure`` makes a new one."""


@dataclass(frozen=True, slots=True)
class DumpedPeer:
    """One peer as the device has it; counters are from the device's side, rx = received from the peer."""

    public_key: str
    allowed_ips: tuple[str, ...] = ()
    preshared_key: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    """host:port, IPv6 in brackets; None before the peer's first packet."""
    last_handshake: int = 0
    """Unix seconds; 0 is never."""
    rx_bytes: int = 0
    tx_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DeviceDump:
    """All that the device knows, at one moment of one life."""

    device: str
    private_key: str | None = field(repr=False)
    listen_port: int
    peers: Mapping[str, DumpedPeer]
    """By public key."""


class Device(Protocol):
    """A driver. Calls are never concurrent: the service serialises them. All of them may raise DeviceError."""

    @property
    def implementation(self) -> str:
        """What carries the packets: ``Userspace`` or ``Kernel``."""
        ...

    async def identity(self) -> str:
        """One life of the device: a new text when counters start from zero. Empty when there is no device."""
        ...

    async def ensure(self, interface: Interface) -> None:
        """Create the interface or adopt the one that runs, and give it key, port, MTU and addresses.

        Peers are left alone, and what is right already is not touched: no session notices an adoption.
        """
        ...

    async def apply(self, upsert: Sequence[DevicePeer], remove: Sequence[str]) -> dict[str, str]:
        """Take peers off, then put peers on (all their settings are replaced), in one batch.

        Returns public key → reason for the peers that the device refused. A refused peer is not on the device
        afterwards (half a peer, say one without its preshared key, is worse than none); all others are.
        The allowed IPs of the peers in ``upsert`` are normalised and disjoint.
        """
        ...

    async def cut(self, public_keys: Sequence[str]) -> None:
        """Take all allowed IPs from peers: from here on no packet passes, and their counters can still be read.

        No error for peers that are not there. Takes no time that grows with the number of the others.
        """
        ...

    async def dump(self) -> DeviceDump:
        """Peers with counters. Raises DeviceGoneError when there is no device."""
        ...

    async def route(self, prefixes: frozenset[str]) -> dict[str, str]:
        """Route exactly these prefixes to the interface, beside its own networks.

        Returns prefix → reason for those that cannot be; the others are. Cheap when nothing changed.
        """
        ...

    async def kick(self, endpoints: Mapping[str, str]) -> None:
        """Tell a new device where peers (by public key) were last seen, and make it shake hands with them.

        Without that, a device in its second life is silent until each client notices, 15 to 130 s later.
        """
        ...

    async def lost(self) -> None:
        """Return when the device that ``ensure`` made or adopted has died."""
        ...

    async def close(self, *, remove: bool) -> None:
        """Let go of the device; with ``remove`` also end it, and its tunnels."""
        ...
