"""What a new pod boots from: the desired state in parts that fit into Secrets, mounted as a directory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ..domain.device import DesiredState
from . import parts, protocol
from .parts import PartsError
from .protocol import Snapshot

logger = logging.getLogger(__name__)

PART_BYTES = 700_000
"""Base64 makes a third more of it, and the API server takes objects of up to 1.5 MiB, Secrets of up to 1 MiB."""


def pack(snapshot: Snapshot) -> list[bytes]:
    """The parts of a state that may change meanwhile. Equal states make equal parts."""
    return parts.pack(snapshot, PART_BYTES)


def unpack(found: Sequence[bytes]) -> tuple[int, DesiredState]:
    """Revision and state, of the parts in any order; more than needed may be there. Raises PartsError."""
    content = parts.join(found)
    try:
        snapshot = protocol.decode(Snapshot, content)
    except ValueError:  # pydantic's message quotes the input, which holds keys
        raise PartsError("the state cannot be read") from None
    return snapshot.revision, DesiredState(snapshot.interface, snapshot.peers)


def read(directory: Path) -> tuple[int, DesiredState] | None:
    """What a mounted directory holds; None when there is nothing, or nothing usable, which is logged."""
    try:
        paths = sorted(directory.glob("part-*"), key=lambda path: int(path.name.removeprefix("part-")))
        found = [path.read_bytes() for path in paths]
        return unpack(found) if found else None
    except (PartsError, OSError, ValueError) as error:
        logger.warning("%s is not used: %s; waiting for the controller", directory, error)
        return None
