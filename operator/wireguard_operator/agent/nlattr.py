"""Netlink attributes (netlink(7)): length, type, value, padding to four bytes; in bytes and out of them.

All of it is in the machine's own byte order and alignment. Nothing here knows a family.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEAD = struct.Struct("=HH")
U16, U32, U64, S64 = struct.Struct("=H"), struct.Struct("=I"), struct.Struct("=Q"), struct.Struct("=q")
NESTED = 0x8000
"""NLA_F_NESTED: the value is attributes."""
_TYPE = 0x3FFF


class CodecError(ValueError):
    """Bytes that are not understood, or a text that cannot be said in this format; it quotes no secret."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute. Raises struct.error for more than 65,531 bytes."""
    return HEAD.pack(4 + len(payload), kind) + payload + bytes(-len(payload) & 3)


def attributes(data: memoryview | bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, first byte and end of the value of each attribute between two offsets. Raises CodecError."""
    while start + 4 <= end:
        length, kind = HEAD.unpack_from(data, start)
        if length < 4 or start + length > end:
            raise CodecError("a netlink attribute is longer than what holds it")
        yield kind & _TYPE, start + 4, start + length
        start += (length + 3) & ~3
