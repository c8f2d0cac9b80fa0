"""One socket to a generic-netlink family of the kernel: requests acknowledged, dumps received whole.

A socket belongs to the network namespace in which it was made. Calls block, as the kernel works a request off before it
takes the next byte: make the socket where the namespace is right, and use it in a thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

from .device import DeviceError
from .nlattr import U16, CodecError, attribute, attributes

REPLY_SECONDS = 120.0
"""The kernel's one lock for network devices may be held by others for long."""
DUMP_TRIES = 50
"""A dump that somebody's change fell into is not consistent, and is taken again."""

_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_DUMP_INTR, _CAPPED, _ACK_TLVS = 0x10, 0x100, 0x200
_ERROR, _DONE = 2, 3
_GENERIC, _CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 16, 3, 1, 2
_ACK_TEXT = 1
_BUFFER_BYTES = 1 << 17
_MESSAGE = struct.Struct("=IHHII")
_COMMAND = struct.Struct("=BBH")
_BODY = _MESSAGE.size + _COMMAND.size

T = TypeVar("T")
Read = Callable[[T, memoryview, int, int], None]


class GenetlinkError(DeviceError):
    """The kernel says no; the text has its reason, too, where it gives one."""

    def __init__(self, code: int, reason: str = "") -> None:
        name = errno.errorcode.get(code, str(code))
        super().__init__(f"{name} ({os.strerror(code)}{f': {reason}' if reason else ''})")
        self.code = code
        """Positive errno."""


class Connection:
    """A socket to one family; a context manager.

    Calls raise GenetlinkError, CodecError for an answer that is not understood, DeviceError for none at all.
    """

    def __init__(self, family: str, version: int) -> None:
        """Nothing is sent yet."""
        self._family, self._version = family, version
        self._kind = 0
        self._sequence = 0
        self._buffer = bytearray(_BUFFER_BYTES)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _GENERIC)
        # An error would else come with the whole request, keys included.
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.settimeout(REPLY_SECONDS)
        self._socket.bind((0, 0))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def call(self, command: int, body: bytes) -> None:
        """Send one request and wait until it is done."""
        self._send(self._id(), _REQUEST | _ACK, self._version, command, body)
        for _ in self._replies():
            return

    def dump(self, command: int, body: bytes, new: Callable[[], T], read: Read[T]) -> T:
        """All messages of a dump, each given to ``read`` with what ``new`` made; once more when it was interrupted."""
        kind = self._id()
        for _ in range(DUMP_TRIES):
            self._send(kind, _REQUEST | _DUMP, self._version, command, body)
            result, whole = new(), True
            for message, flags, data, start, end in self._replies():
                whole = whole and not flags & _DUMP_INTR
                if message == _DONE:
                    break
                read(result, data, start + _BODY, end)
            if whole:
                return result
        raise DeviceError("the device changes faster than it can be read; who else changes it?")

    def _id(self) -> int:
        """The family's number; asking for it loads the module."""
        if not self._kind:
            name = attribute(_FAMILY_NAME, self._family.encode() + b"\0")
            self._send(_CONTROL, _REQUEST, 1, _GET_FAMILY, name)
            for _, _, data, start, end in self._replies():
                for kind, value, _ in attributes(data, start + _BODY, end):
                    if kind == _FAMILY_ID:
                        self._kind = U16.unpack_from(data, value)[0]
                break
            if not self._kind:
                raise CodecError(f"the kernel does not tell the number of the family {self._family}")
        return self._kind

    def _send(self, kind: int, flags: int, version: int, command: int, body: bytes) -> None:
        self._sequence += 1
        head = _MESSAGE.pack(_BODY + len(body), kind, flags, self._sequence, 0)
        self._socket.send(head + _COMMAND.pack(command, version, 0) + body)

    def _replies(self) -> Iterator[tuple[int, int, memoryview, int, int]]:
        """Type, flags and bounds of each message that answers the last request, without end; errors are raised."""
        data = memoryview(self._buffer)
        while True:
            try:
                size = self._socket.recv_into(self._buffer)
            except TimeoutError:
                raise DeviceError(f"the kernel does not answer within {REPLY_SECONDS:.0f} s") from None
            start = 0
            while start + _MESSAGE.size <= size:
                length, kind, flags, sequence, _ = _MESSAGE.unpack_from(data, start)
                if length < _MESSAGE.size or start + length > size:
                    raise CodecError("a netlink message is longer than what holds it")
                if sequence == self._sequence:
                    if kind in (_ERROR, _DONE):
                        _raise_error(data, start, start + length, flags)
                    yield kind, flags, data, start, start + length
                start += (length + 3) & ~3


def _raise_error(data: memoryview, start: int, end: int, flags: int) -> None:
    """Raise GenetlinkError unless an end or an acknowledgement says that all is well."""
    body = start + _MESSAGE.size
    code = -struct.unpack_from("=i", data, body)[0] if body + 4 <= end else 0
    if code <= 0:
        return
    reason = ""
    kind = _MESSAGE.unpack_from(data, start)[1]
    if flags & _ACK_TLVS:
        # After the code of an error comes the request: its head at least, and all of it where that is not left out.
        request = _MESSAGE.unpack_from(data, body + 4)[0] if kind == _ERROR else 0
        first = body + 4 + (0 if kind == _DONE else _MESSAGE.size if flags & _CAPPED else (request + 3) & ~3)
        for attribute_kind, value, stop in attributes(data, first, end):
            if attribute_kind == _ACK_TEXT:
                reason = bytes(data[value:stop]).rstrip(b"\0").decode(errors="replace")
    raise GenetlinkError(code, reason)
