"""WireGuard's cross-platform userspace API as text: requests built, replies parsed, nothing sent.

Format: https://www.wireguard.com/xplatform/. Keys are hexadecimal there and base64 everywhere else, so they are
translated here. Requests hold secrets; none of the errors raised here quotes a line.
"""

from __future__ import annotations

import errno
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..domain.device import DevicePeer
from ..domain.keys import decode_key
from .device import DeviceError, DumpedPeer

GET = b"get=1\n\n"
END = b"\n\n"
"""Ends every reply; peers hold no empty line."""

_NO_PRESHARED = "0" * 64
_PEER = "\npublic_key="
_SUCCESS = b"\nerrno=0\n\n"


class UapiError(DeviceError):
    """A reply that is not understood, or one that says no."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
        """Positive errno, 0 when the reply was not understood."""


@dataclass(frozen=True, slots=True)
class Head:
    """What ``get=1`` answers of the device itself."""

    private_key: str | None = field(repr=False)
    listen_port: int


@dataclass(frozen=True, slots=True)
class Reply(Head):
    """What ``get=1`` answers."""

    peers: dict[str, DumpedPeer]


def interface_lines(private_key: str | None, listen_port: int | None) -> Iterator[str]:
    """Settings of the device; None leaves one alone. A repeated listen port would rebind the socket."""
    if private_key is not None:
        yield f"private_key={decode_key(private_key).hex()}"
    if listen_port is not None:
        yield f"listen_port={listen_port}"


def upsert_lines(peer: DevicePeer) -> Iterator[str]:
    """A peer with all its settings. An allowed IP that another peer has moves here."""
    yield f"public_key={decode_key(peer.public_key).hex()}"
    yield f"preshared_key={decode_key(peer.preshared_key).hex() if peer.preshared_key else _NO_PRESHARED}"
    yield "replace_allowed_ips=true"
    for network in peer.allowed_ips:
        yield f"allowed_ip={network}"


def remove_lines(public_key: str) -> Iterator[str]:
    """The end of a peer; no error when it is not there."""
    yield f"public_key={decode_key(public_key).hex()}"
    yield "update_only=true"
    yield "remove=true"


def cut_lines(public_key: str) -> Iterator[str]:
    """A peer without any allowed IP; no error when it is not there."""
    yield f"public_key={decode_key(public_key).hex()}"
    yield "update_only=true"
    yield "replace_allowed_ips=true"


def kick_lines(public_key: str, endpoint: str) -> Iterator[str]:
    """An endpoint, and keepalive on and off again: the first one makes the device shake hands at once."""
    key = f"public_key={decode_key(public_key).hex()}"
    yield from (key, "update_only=true", f"endpoint={endpoint}", "persistent_keepalive_interval=1")
    yield from (key, "update_only=true", "persistent_keepalive_interval=0")


def set_request(lines: Iterable[str]) -> bytes:
    """One ``set=1`` of all ``lines``. The device works it off in order and stops at the first bad line."""
    return "\n".join(("set=1", *lines, "", "")).encode("ascii")


def check(reply: bytes) -> None:
    """Raise UapiError unless ``reply`` ends with success. Its code is positive, though wireguard-go's is not."""
    _, found, code = reply.rstrip(b"\n").rpartition(b"errno=")
    try:
        number = abs(int(code)) if found else None
    except ValueError:
        number = None
    if number is None:
        raise UapiError("the reply of the WireGuard device is not understood")
    if number:
        raise UapiError(f"{errno.errorcode.get(number, number)} ({os.strerror(number)})", number)


def parse_head(reply: bytes) -> Head:
    """A ``get=1`` reply without its peers, which are most of it. Raises UapiError."""
    check(reply)
    try:
        head, _, _ = ("\n" + reply.decode("ascii")).partition(_PEER)
        return _head(head)
    except ValueError:
        raise UapiError("the reply of the WireGuard device is not understood") from None


def parse_get(reply: bytes) -> Reply:
    """A whole ``get=1`` reply. Keys that are not known are passed over. Raises UapiError."""
    return Reader().read(reply)


class Reader:
    """Reads one reply after the other; what stands there as it did the last time is not read again.

    Of 10,000 subscribers most are silent between two looks, and to read all of them takes more time than to ask.
    """

    def __init__(self) -> None:
        self._known: dict[str, DumpedPeer] = {}
        """The peers of the last reply, by their lines."""

    def read(self, reply: bytes) -> Reply:
        """As ``parse_get``; peers whose lines did not change are the same objects as the last time."""
        check(reply)
        try:
            text, *blocks = ("\n" + reply.removesuffix(_SUCCESS).decode("ascii")).split(_PEER)
            head, known = _head(text), self._known
            self._known = {block: known.get(block) or _peer(block) for block in blocks}
        except ValueError:
            raise UapiError("the reply of the WireGuard device is not understood") from None
        return Reply(head.private_key, head.listen_port, {peer.public_key: peer for peer in self._known.values()})


def _head(text: str) -> Head:
    values = dict(_pairs(text))
    private = values.get("private_key")
    return Head(_base64(private) if private else None, int(values.get("listen_port", 0)))


def _peer(block: str) -> DumpedPeer:
    key, _, rest = block.partition("\n")
    values: dict[str, str] = {}
    networks: list[str] = []
    for name, value in _pairs(rest):
        if name == "allowed_ip":
            networks.append(value)
        else:
            values[name] = value
    preshared = values.get("preshared_key", _NO_PRESHARED)
    return DumpedPeer(
        public_key=_base64(key),
        allowed_ips=tuple(networks),
        preshared_key=None if preshared == _NO_PRESHARED else _base64(preshared),
        endpoint=values.get("endpoint"),
        last_handshake=int(values.get("last_handshake_time_sec", 0)),
        rx_bytes=int(values.get("rx_bytes", 0)),
        tx_bytes=int(values.get("tx_bytes", 0)),
    )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        name, found, value = line.partition("=")
        if found:
            yield name, value


def _base64(key: str) -> str:
    return b64encode(bytes.fromhex(key)).decode("ascii")
