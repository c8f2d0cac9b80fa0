"""WireGuard's requests in generic netlink, as bytes: built, not sent.

Format: include/uapi/linux/wireguard.h. pyroute2 speaks this family, too, but puts one peer into each message and parses
dumps field by field: 9 to 65 times slower at 10,000 peers. So many peers go into one message here. Requests hold
secrets; none of the errors raised here quotes a value but an address.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..domain.device import DevicePeer
from ..domain.keys import decode_key
from .nlattr import NESTED, U16, U32, CodecError, attribute

FAMILY, VERSION = "wireguard", 1
GET_DEVICE, SET_DEVICE = 0, 1

MESSAGE_BYTES = 60_000
"""An attribute's length has 16 bits, that of the list of all peers of a message included."""
NETWORKS_PER_PART = 1_000
"""Allowed IPs of one peer in one message: 40 bytes each at most."""

IFINDEX, PRIVATE_KEY, DEVICE_FLAGS, LISTEN_PORT, PEERS = 1, 3, 5, 6, 8
KEY, PRESHARED, FLAGS, ENDPOINT, KEEPALIVE, ALLOWED = 1, 2, 3, 4, 5, 9
NETWORK_FAMILY, NETWORK_ADDRESS, NETWORK_LENGTH = 1, 2, 3
NO_PRESHARED = bytes(32)

# Heads and values of what there is most of, each in one piece: a call for each attribute would take thrice as long.
_PEER = struct.Struct("=HHHH32sHH32sHHIHH")
_NETWORK4, _NETWORK6 = struct.Struct("=HHHHHxxHH4sHHBxxx"), struct.Struct("=HHHHHxxHH16sHHBxxx")

_REPLACE_PEERS = 1
_REMOVE, _REPLACE_ALLOWED, _UPDATE_ONLY = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to one peer: one part, or several messages' parts when it has very many allowed IPs."""

    public_key: str
    parts: tuple[bytes, ...] = field(repr=False)


def upsert(peer: DevicePeer) -> Change:
    """A peer with all its settings; an allowed IP that another peer has moves here.

    Raises CodecError or InvalidKeyError; whether a prefix length fits its address is left to the kernel.
    """
    key = decode_key(peer.public_key)
    preshared = decode_key(peer.preshared_key) if peer.preshared_key else NO_PRESHARED
    networks = peer.allowed_ips[:NETWORKS_PER_PART]
    allowed = b"".join(map(_allowed_ip, networks))
    size = len(allowed)
    first = _PEER.pack(_PEER.size + size, NESTED, 36, KEY, key, 36, PRESHARED, preshared,
                       8, FLAGS, _REPLACE_ALLOWED, 4 + size, ALLOWED | NESTED) + allowed  # fmt: skip
    if len(networks) == len(peer.allowed_ips):
        return Change(peer.public_key, (first,))
    # The rest is added to what the first part has put.
    parts, head = [first], attribute(KEY, key) + attribute(FLAGS, U32.pack(_UPDATE_ONLY))
    for start in range(NETWORKS_PER_PART, len(peer.allowed_ips), NETWORKS_PER_PART):
        allowed = b"".join(map(_allowed_ip, peer.allowed_ips[start : start + NETWORKS_PER_PART]))
        parts.append(_nested(head + attribute(ALLOWED | NESTED, allowed)))
    return Change(peer.public_key, tuple(parts))


def removal(public_key: str) -> Change:
    """The end of a peer; no error when it is not there. Raises InvalidKeyError."""
    flags = attribute(FLAGS, U32.pack(_UPDATE_ONLY | _REMOVE))
    return Change(public_key, (_nested(attribute(KEY, decode_key(public_key)) + flags),))


def cut(public_key: str) -> Change:
    """A peer without any allowed IP; no error when it is not there. Raises InvalidKeyError."""
    flags = attribute(FLAGS, U32.pack(_UPDATE_ONLY | _REPLACE_ALLOWED))
    return Change(public_key, (_nested(attribute(KEY, decode_key(public_key)) + flags),))


def kick(public_key: str, endpoint: str) -> Change:
    """An endpoint, and keepalive on and off again: the first one makes the device shake hands at once.

    Raises CodecError when the endpoint is none.
    """
    head = attribute(KEY, decode_key(public_key)) + attribute(FLAGS, U32.pack(_UPDATE_ONLY))
    on = attribute(ENDPOINT, encode_endpoint(endpoint)) + attribute(KEEPALIVE, U16.pack(1))
    off = attribute(KEEPALIVE, U16.pack(0))
    return Change(public_key, (_nested(head + on) + _nested(head + off),))


def device(
    index: int,
    *,
    private_key: str | None = None,
    listen_port: int | None = None,
    replace_peers: bool = False,
    peers: bytes = b"",
) -> bytes:
    """The attributes of one request about the device with an interface index; None leaves a setting alone."""
    body = attribute(IFINDEX, U32.pack(index))
    if private_key is not None:
        body += attribute(PRIVATE_KEY, decode_key(private_key))
    if listen_port is not None:
        body += attribute(LISTEN_PORT, U16.pack(listen_port))
    if replace_peers:
        body += attribute(DEVICE_FLAGS, U32.pack(_REPLACE_PEERS))
    return body + (attribute(PEERS | NESTED, peers) if peers else b"")


def batches(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Changes in their order, in groups that fit into one message; one of several parts is a group of its own."""
    first = size = 0
    for number, change in enumerate(changes):
        more = len(change.parts[0]) if len(change.parts) == 1 else MESSAGE_BYTES
        if size and size + more > MESSAGE_BYTES:
            yield changes[first:number]
            first, size = number, 0
        size += more
    if size:
        yield changes[first:]


def messages(batch: Sequence[Change]) -> Iterator[bytes]:
    """The peers of each message for one of the ``batches``, or for a piece of one."""
    if len(batch) == 1:
        yield from batch[0].parts
    else:
        yield b"".join(part for change in batch for part in change.parts)


def encode_endpoint(text: str) -> bytes:
    """host:port as ``struct sockaddr_in`` or ``sockaddr_in6``. Raises CodecError."""
    host, _, port = text.rpartition(":")
    try:
        if not host.startswith("["):
            return struct.pack("=H", socket.AF_INET) + struct.pack(">H", int(port)) + _packed(host) + bytes(8)
        address, _, zone = host.strip("[]").partition("%")
        scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone) if zone else 0
        head = struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", int(port), 0)
        return head + _packed(address) + U32.pack(scope)
    except (ValueError, OSError, struct.error):
        raise CodecError(f"{text[:80]!r} is no endpoint such as 192.0.2.1:51820 or [2001:db8::1]:51820") from None


def _nested(payload: bytes) -> bytes:
    return attribute(NESTED, payload)


def _allowed_ip(text: str) -> bytes:
    address, _, length = text.partition("/")
    try:
        if ":" in address:
            raw = socket.inet_pton(socket.AF_INET6, address)
            return _NETWORK6.pack(40, NESTED, 6, NETWORK_FAMILY, socket.AF_INET6, 20, NETWORK_ADDRESS, raw,
                                  5, NETWORK_LENGTH, int(length))  # fmt: skip
        raw = socket.inet_pton(socket.AF_INET, address)
        return _NETWORK4.pack(28, NESTED, 6, NETWORK_FAMILY, socket.AF_INET, 8, NETWORK_ADDRESS, raw,
                              5, NETWORK_LENGTH, int(length))  # fmt: skip
    except (OSError, ValueError, struct.error):
        raise CodecError(f"{text[:64]!r} is no prefix such as 10.8.0.2/32") from None


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
