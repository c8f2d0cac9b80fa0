"""Tells when one network interface goes: the kernel's own notices, of which only the heads are read.

A notice is in the socket's buffer before whoever deleted the interface is told that it is done. So asking here is as
exact as asking the kernel, and costs one system call.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable

_LINK_GROUP = 1
_DELETED = 17
_MESSAGE = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_BRIDGE = 7
_BUFFER_BYTES = 1 << 16


class LinkWatch:
    """Watches the interface with an index, in the network namespace of the thread that makes this, until ``close``."""

    def __init__(self, index: int, gone: Callable[[], None]) -> None:
        """``gone`` is called once, when the interface is gone or cannot be watched any more."""
        self.index = index
        self._gone: Callable[[], None] | None = gone
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, _LINK_GROUP))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._drain)

    def alive(self) -> bool:
        """Whether the interface has been there all the time."""
        self._drain()
        return self._gone is not None

    def close(self) -> None:
        """Watch no more; ``gone`` is not called."""
        self._gone = None
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _drain(self) -> None:
        while self._gone is not None:
            try:
                data = self._socket.recv(_BUFFER_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                # Notices were lost. An index is not given again before 2**31 others, so it is enough to look.
                if error.errno != errno.ENOBUFS or not self._there():
                    self._tell()
                continue
            if self._deleted(data):
                self._tell()

    def _deleted(self, data: bytes) -> bool:
        start = 0
        while start + _MESSAGE.size + _LINK.size <= len(data):
            length, kind, *_ = _MESSAGE.unpack_from(data, start)
            family, _, index, *_ = _LINK.unpack_from(data, start + _MESSAGE.size)
            # A bridge tells of a port that leaves it in the same words, but for the family.
            if kind == _DELETED and index == self.index and family != _BRIDGE:
                return True
            if length < _MESSAGE.size:
                return False
            start += (length + 3) & ~3
        return False

    def _there(self) -> bool:
        try:
            socket.if_indextoname(self.index)
        except OSError:
            return False
        return True

    def _tell(self) -> None:
        gone = self._gone
        self.close()
        if gone is not None:
            gone()
