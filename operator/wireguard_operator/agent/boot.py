"""What a new pod boots from: the desired state, compressed and cut into parts that fit into Secrets.

Every part begins with one line of JSON that says which state it belongs to; parts of different states, as a pod may
find them in the middle of a change, are not used together.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..domain.device import DesiredState
from . import protocol
from .protocol import Snapshot

logger = logging.getLogger(__name__)

PART_BYTES = 700_000
"""Base64 makes a third more of it, and the API server takes objects of up to 1.5 MiB, Secrets of up to 1 MiB."""


class BootError(ValueError):
    """The parts do not make a state; the text holds no key."""


def encode(revision: int, state: DesiredState) -> list[bytes]:
    """The parts. Equal states make equal parts."""
    return pack(Snapshot.of(revision, state))


def pack(snapshot: Snapshot) -> list[bytes]:
    """The parts of a state that may change meanwhile."""
    peers = tuple(sorted(snapshot.peers, key=lambda peer: peer.public_key))
    packed = gzip.compress(protocol.encode(replace(snapshot, peers=peers)), mtime=0)
    pieces = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
    digest = hashlib.sha256(packed).hexdigest()
    return [
        json.dumps({"state": digest, "part": number, "parts": len(pieces)}).encode() + b"\n" + piece
        for number, piece in enumerate(pieces)
    ]


def decode(parts: Sequence[bytes]) -> tuple[int, DesiredState]:
    """Revision and state, of the parts in any order; more than needed may be there. Raises BootError."""
    found: dict[int, bytes] = {}
    wanted: tuple[str, int] | None = None
    for part in parts:
        head, _, piece = part.partition(b"\n")
        try:
            fields = json.loads(head)
            state, number, count = str(fields["state"]), int(fields["part"]), int(fields["parts"])
        except (ValueError, KeyError, TypeError):
            raise BootError("a part does not begin with its heading") from None
        if number == 0:
            wanted = state, count
        if wanted is None or (state, count) == wanted:
            found[number] = piece
    if wanted is None or any(number not in found for number in range(wanted[1])):
        raise BootError("parts are missing")
    packed = b"".join(found[number] for number in range(wanted[1]))
    if hashlib.sha256(packed).hexdigest() != wanted[0]:
        raise BootError("the parts do not belong together")
    try:
        snapshot = protocol.decode(Snapshot, gzip.decompress(packed))
    except (ValueError, OSError, EOFError):  # pydantic's message quotes the input, which holds keys
        raise BootError("the state cannot be read") from None
    return snapshot.revision, DesiredState(snapshot.interface, snapshot.peers)


def read(directory: Path) -> tuple[int, DesiredState] | None:
    """What a mounted directory holds; None when there is nothing, or nothing usable, which is logged."""
    try:
        paths = sorted(directory.glob("part-*"), key=lambda path: int(path.name.removeprefix("part-")))
        parts = [path.read_bytes() for path in paths]
        return decode(parts) if parts else None
    except (BootError, OSError, ValueError) as error:
        logger.warning("%s is not used: %s; waiting for the controller", directory, error)
        return None
