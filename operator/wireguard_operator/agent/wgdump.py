"""WireGuard's dumps in generic netlink: bytes taken apart, nothing received.

The kernel lays a peer's attributes in one order, so one ``struct`` reads most of a peer at once; any other order is
read attribute by attribute. And of 10,000 subscribers most are silent between two dumps: they are recognised, not read.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .device import DumpedPeer
from .nlattr import HEAD, NESTED, S64, U16, U32, U64, CodecError, attributes
from .wgnetlink import (
    ALLOWED,
    ENDPOINT,
    IFINDEX,
    KEEPALIVE,
    KEY,
    LISTEN_PORT,
    NETWORK_ADDRESS,
    NETWORK_FAMILY,
    NETWORK_LENGTH,
    NO_PRESHARED,
    PEERS,
    PRESHARED,
    PRIVATE_KEY,
)

_HANDSHAKE, _RX, _TX, _VERSION = 6, 7, 8, 10
_ALLOWED_LIST = (ALLOWED | NESTED, ALLOWED)


@dataclass(slots=True)
class Dump:
    """What ``GET_DEVICE`` answers; filled message by message."""

    index: int = 0
    private_key: str | None = field(default=None, repr=False)
    listen_port: int = 0
    peers: dict[str, DumpedPeer] = field(default_factory=dict)
    raw: dict[bytes, DumpedPeer] = field(default_factory=dict, repr=False)
    """What each peer, or piece of one, was read from."""
    before: Mapping[bytes, DumpedPeer] = field(default_factory=dict, repr=False)
    """``raw`` of an earlier dump: who was silent since looks the same to the byte, and is not read again."""


def decode_endpoint(data: bytes) -> str | None:
    """A socket address as host:port; a zone as a number (RFC 4007 section 11.2). None for families of no use here."""
    family = U16.unpack_from(data)[0]
    if family == socket.AF_INET and len(data) >= 8:
        return f"{socket.inet_ntop(socket.AF_INET, data[4:8])}:{int.from_bytes(data[2:4])}"
    if family == socket.AF_INET6 and len(data) >= 28:
        scope = U32.unpack_from(data, 24)[0]
        zone = f"%{scope}" if scope else ""
        return f"[{socket.inet_ntop(socket.AF_INET6, data[8:24])}{zone}]:{int.from_bytes(data[2:4])}"
    return None


def read_device(dump: Dump, data: memoryview, start: int, end: int) -> None:
    """Add one message's attributes to ``dump``. Raises CodecError.

    A dump comes in messages of up to 32 kB. A peer whose allowed IPs do not fit goes on in the next message, with
    nothing but its key and the rest of them.
    """
    try:
        for kind, value, stop in attributes(data, start, end):
            if kind == PEERS:
                for _, first, last in attributes(data, value, stop):
                    raw = bytes(data[first:last])
                    peer = dump.raw[raw] = dump.before.get(raw) or _read_peer(data, first, last)
                    _add(dump.peers, peer)
            elif kind == PRIVATE_KEY:
                dump.private_key = b64encode(data[value:stop]).decode("ascii")
            elif kind == LISTEN_PORT:
                dump.listen_port = U16.unpack_from(data, value)[0]
            elif kind == IFINDEX:
                dump.index = U32.unpack_from(data, value)[0]
    except (struct.error, ValueError) as error:
        raise CodecError(str(error) if isinstance(error, CodecError) else "a dump is not understood") from None


def _add(peers: dict[str, DumpedPeer], peer: DumpedPeer) -> None:
    known = peers.setdefault(peer.public_key, peer)
    if known is not peer:
        peers[peer.public_key] = replace(known, allowed_ips=known.allowed_ips + peer.allowed_ips)


# What the kernel writes for each peer, in its order (drivers/net/wireguard/netlink.c, get_peer): heads and values.
_PEER = struct.Struct("=4s32s4s32s4sqq4sHxx4sQ4sQ4sI")
_PEER_HEADS = tuple(
    HEAD.pack(4 + size, kind)
    for kind, size in ((KEY, 32), (PRESHARED, 32), (_HANDSHAKE, 16), (KEEPALIVE, 2), (_TX, 8), (_RX, 8), (_VERSION, 4))
)


def _read_peer(data: memoryview, start: int, end: int) -> DumpedPeer:
    if end - start < _PEER.size:
        return _read_any_peer(data, start, end)
    h1, key, h2, preshared, h3, seconds, _, h4, _, h5, sent, h6, received, h7, _ = _PEER.unpack_from(data, start)
    if (h1, h2, h3, h4, h5, h6, h7) != _PEER_HEADS:
        return _read_any_peer(data, start, end)
    endpoint: str | None = None
    networks: tuple[str, ...] = ()
    start += _PEER.size
    while start < end:
        length, kind = HEAD.unpack_from(data, start)
        if length < 4 or start + length > end:
            raise CodecError("a dumped peer is longer than what holds it")
        if kind in _ALLOWED_LIST:
            networks = _read_networks(data, start + 4, start + length)
        elif kind == ENDPOINT:
            endpoint = decode_endpoint(bytes(data[start + 4 : start + length]))
        start += (length + 3) & ~3
    return DumpedPeer(
        b2a_base64(key, newline=False).decode("ascii"),
        networks,
        None if preshared == NO_PRESHARED else b2a_base64(preshared, newline=False).decode("ascii"),
        endpoint,
        seconds,
        received,
        sent,
    )


def _read_any_peer(data: memoryview, start: int, end: int) -> DumpedPeer:
    values = {kind: (value, stop) for kind, value, stop in attributes(data, start, end)}
    if KEY not in values:
        raise CodecError("a dumped peer has no key")

    def number(kind: int, form: struct.Struct) -> int:
        return int(form.unpack_from(data, values[kind][0])[0]) if kind in values else 0

    raw = {kind: bytes(data[slice(*values[kind])]) for kind in (KEY, PRESHARED, ENDPOINT) if kind in values}
    preshared = raw.get(PRESHARED, NO_PRESHARED)
    return DumpedPeer(
        public_key=b64encode(raw[KEY]).decode("ascii"),
        allowed_ips=_read_networks(data, *values[ALLOWED]) if ALLOWED in values else (),
        preshared_key=None if preshared == NO_PRESHARED else b64encode(preshared).decode("ascii"),
        endpoint=decode_endpoint(raw[ENDPOINT]) if ENDPOINT in raw else None,
        last_handshake=number(_HANDSHAKE, S64),
        rx_bytes=number(_RX, U64),
        tx_bytes=number(_TX, U64),
    )


# One allowed IP as the kernel writes it: prefix length, family, address, with the head around them.
_NETWORK = {
    size: (
        struct.Struct(f"=4s4sBxxx4sHxx4s{address}s"),
        tuple(HEAD.pack(*head) for head in (
            (size, NESTED), (5, NETWORK_LENGTH), (6, NETWORK_FAMILY), (4 + address, NETWORK_ADDRESS)
        )),
        family,
    )
    for size, address, family in ((28, 4, socket.AF_INET), (40, 16, socket.AF_INET6))
}  # fmt: skip


def _read_networks(data: memoryview, start: int, end: int) -> tuple[str, ...]:
    found = []
    while start < end:
        size = HEAD.unpack_from(data, start)[0]
        usual = _NETWORK.get(size) if start + size <= end else None
        if usual is None:
            break
        form, heads, wanted = usual
        h1, h2, length, h3, family, h4, address = form.unpack_from(data, start)
        if (h1, h2, h3, h4) != heads or family != wanted:
            break
        found.append(f"{_text(family, address)}/{length}")
        start += size
    for _, value, stop in attributes(data, start, end):  # what is left, in whatever order
        fields = {kind: bytes(data[first:last]) for kind, first, last in attributes(data, value, stop)}
        if not {NETWORK_FAMILY, NETWORK_ADDRESS, NETWORK_LENGTH} <= fields.keys():
            raise CodecError("a dumped allowed IP is not whole")
        family = U16.unpack(fields[NETWORK_FAMILY])[0]
        found.append(f"{_text(family, fields[NETWORK_ADDRESS])}/{fields[NETWORK_LENGTH][0]}")
    return tuple(found)


def _text(family: int, address: bytes) -> str:
    """An address as the ``ipaddress`` module writes it: the C library has dots in some IPv6 addresses."""
    text = socket.inet_ntop(family, address)
    return str(ipaddress.IPv6Address(address)) if family == socket.AF_INET6 and "." in text else text
