"""A whole state, compressed and cut into parts: for Secrets, which are small, and for links that break.

Every part begins with one line of JSON that says which content it belongs to. Parts of different contents, as a pod
may find them in the middle of a change, are not used together; and a transfer that broke off goes on with the parts
that are missing.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import protocol
from .protocol import Partial, Snapshot

COMPRESSION = 1
"""Most of a state is keys, which do not shrink: higher levels cost twice the time for 3 % less."""

MAX_PARTS = 4096


class PartsError(ValueError):
    """The parts do not make a whole; the text holds nothing of the content."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part, read."""

    content: str
    """Digest of the compressed whole."""
    number: int
    count: int
    piece: bytes


def pack(snapshot: Snapshot, part_bytes: int) -> list[bytes]:
    """The parts of a state, each of some ``part_bytes``. Equal states make equal parts, whatever their history."""
    peers = tuple(sorted(snapshot.peers, key=lambda peer: peer.public_key))
    return cut(protocol.encode(replace(snapshot, peers=peers)), part_bytes)


def cut(content: bytes, part_bytes: int) -> list[bytes]:
    """The parts of any content."""
    packed = gzip.compress(content, COMPRESSION, mtime=0)
    pieces = [packed[start : start + part_bytes] for start in range(0, len(packed), part_bytes)]
    digest = hashlib.sha256(packed).hexdigest()
    return [
        json.dumps({"state": digest, "part": number, "parts": len(pieces)}).encode() + b"\n" + piece
        for number, piece in enumerate(pieces)
    ]


def read_part(data: bytes) -> Part:
    """A part as it was cut. Raises PartsError."""
    head, _, piece = data.partition(b"\n")
    try:
        fields = json.loads(head)
        part = Part(str(fields["state"]), int(fields["part"]), int(fields["parts"]), piece)
    except (ValueError, KeyError, TypeError):
        raise PartsError("a part does not begin with its heading") from None
    if not 0 <= part.number < part.count <= MAX_PARTS:
        raise PartsError(f"there is no part {part.number} of {part.count}")
    return part


def join(parts: Sequence[bytes]) -> bytes:
    """The content of parts in any order. Part 0 says which; parts of others may be among them. Raises PartsError."""
    found = [read_part(data) for data in parts]
    first = next((part for part in reversed(found) if part.number == 0), None)
    if first is None:
        raise PartsError("parts are missing")
    assembly = Assembly()
    for part in found:
        if (part.content, part.count) == (first.content, first.count):
            assembly.add(part)
    return assembly.content()


class Assembly:
    """Parts of one content, as they come in."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}

    def add(self, part: Part) -> None:
        """Take a part in. One of another content takes the place of all that were there."""
        known = next(iter(self._parts.values()), None)
        if known is not None and (known.content, known.count) != (part.content, part.count):
            self._parts.clear()
        self._parts[part.number] = part

    def clear(self) -> None:
        """Forget all parts."""
        self._parts.clear()

    def partial(self) -> Partial | None:
        """What is there; None when that is nothing."""
        known = next(iter(self._parts.values()), None)
        return Partial(known.content, tuple(sorted(self._parts))) if known is not None else None

    def missing(self) -> tuple[int, ...]:
        """Numbers of the parts that are not there yet; none before the first has come."""
        count = next(iter(self._parts.values())).count if self._parts else 0
        return tuple(number for number in range(count) if number not in self._parts)

    def content(self) -> bytes:
        """The whole. Raises PartsError."""
        if not self._parts or self.missing():
            raise PartsError("parts are missing")
        packed = b"".join(self._parts[number].piece for number in sorted(self._parts))
        if hashlib.sha256(packed).hexdigest() != self._parts[0].content:
            raise PartsError("the parts do not belong together")
        try:
            return gzip.decompress(packed)
        except (OSError, EOFError):
            raise PartsError("the parts are not what was compressed") from None
