"""What should be on a WireGuard device, and how two such states differ.

Controller and agent hold the same ``DesiredState`` and compare it by digest. The digest of the peers is a sum
of hashes modulo 2**256, so that adding or removing one peer among 10,000 costs one hash, and two states that
got there by different ways agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .policy import Policy, words

_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class Interface:
    """The device itself."""

    private_key: str = field(repr=False)
    listen_port: int
    mtu: int
    addresses: tuple[str, ...]
    """With the prefix length of the network, e.g. 10.8.0.1/24, which gives the connected route."""
    masquerade: bool = False
    """What peers send to the world leaves with the server's own address."""
    isolation: bool = False
    """Peers cannot reach one another through the server."""


@dataclass(frozen=True, slots=True)
class DevicePeer:
    """One peer as ``wg set`` knows it. The server never sets a keepalive: it costs CPU for every idle peer."""

    public_key: str
    allowed_ips: tuple[str, ...]
    preshared_key: str | None = field(default=None, repr=False)
    policy: Policy | None = None
    """What the packet filter does with it; None: nothing, all that comes from its allowed IPs passes."""


@dataclass(frozen=True, slots=True)
class Delta:
    """The way from one state to another."""

    interface: Interface | None = None
    upsert: tuple[DevicePeer, ...] = ()
    remove: tuple[str, ...] = ()
    """Public keys."""

    def __bool__(self) -> bool:
        return self.interface is not None or bool(self.upsert) or bool(self.remove)


class DesiredState:
    """Interface and peers by public key, with a digest that is kept up to date at every change."""

    def __init__(self, interface: Interface, peers: Iterable[DevicePeer] = ()) -> None:
        self.interface = interface
        self._peers: dict[str, DevicePeer] = {}
        self._sum = 0
        for peer in peers:
            self._put(peer)

    @property
    def peers(self) -> Mapping[str, DevicePeer]:
        """Peers by public key; change them with ``apply``."""
        return self._peers

    @property
    def digest(self) -> str:
        """Equal for equal states, whatever their history."""
        own = _hash(
            "interface",
            self.interface.private_key,
            self.interface.listen_port,
            self.interface.mtu,
            *self.interface.addresses,
            # Not said when off, so that states which were kept before there was such a thing keep their digest.
            *(name for name in ("masquerade", "isolation") if getattr(self.interface, name)),
        )
        return f"{(self._sum + own) % _MODULUS:064x}"

    def apply(self, delta: Delta) -> None:
        """Change this state by ``delta``; removing what is not there is no error."""
        if delta.interface is not None:
            self.interface = delta.interface
        for key in delta.remove:
            self._drop(key)
        for peer in delta.upsert:
            self._put(peer)

    def _put(self, peer: DevicePeer) -> None:
        self._drop(peer.public_key)
        self._peers[peer.public_key] = peer
        self._sum = (self._sum + _peer_hash(peer)) % _MODULUS

    def _drop(self, key: str) -> None:
        old = self._peers.pop(key, None)
        if old is not None:
            self._sum = (self._sum - _peer_hash(old)) % _MODULUS


def difference(have: DesiredState | None, want: DesiredState) -> Delta:
    """The delta that turns ``have`` (None: nothing at all) into ``want``."""
    if have is None:
        return Delta(want.interface, tuple(want.peers.values()), ())
    return Delta(
        want.interface if want.interface != have.interface else None,
        tuple(peer for key, peer in want.peers.items() if have.peers.get(key) != peer),
        tuple(key for key in have.peers if key not in want.peers),
    )


def inverse(state: DesiredState, delta: Delta) -> Delta:
    """The delta that takes ``delta`` back; to be made before it is applied."""
    touched = dict.fromkeys((*delta.remove, *(peer.public_key for peer in delta.upsert)))
    return Delta(
        state.interface if delta.interface is not None else None,
        tuple(state.peers[key] for key in touched if key in state.peers),
        tuple(key for key in touched if key not in state.peers),
    )


def _peer_hash(peer: DevicePeer) -> int:
    # Not said when there is none, for the same reason as with the interface.
    policy = ("policy", *words(peer.policy)) if peer.policy is not None else ()
    return _hash("peer", peer.public_key, peer.preshared_key or "", *sorted(peer.allowed_ips), *policy)


def _hash(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("\n".join(map(str, parts)).encode()).digest())
