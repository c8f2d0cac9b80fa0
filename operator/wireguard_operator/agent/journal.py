"""Changes since the whole state was written, one line each, so that one peer among 10,000 costs one line.

A line is on disk before the change is made. A line that was cut off by a crash was never acknowledged, so it is
dropped; whether all that is left adds up is told by the digest of the last line.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..domain.device import Delta, DesiredState
from . import protocol
from .protocol import Applied, DeltaRequest

logger = logging.getLogger(__name__)

FULL_BYTES = 1 << 20
"""A journal of this size is due to be replaced by the whole state, which takes some 50 ms with 10,000 peers."""


@dataclass(frozen=True, slots=True)
class _Line:
    delta: DeltaRequest
    digest: str
    """Of the state after the change."""


class Journal:
    """One file. Methods block on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._usable = False
        """Whether another line may follow what is in the file."""

    def takes_more(self) -> bool:
        """Whether the next change can be a line; otherwise the whole state has to be written."""
        return self._usable and self._size < FULL_BYTES

    def begin(self) -> None:
        """Start over: the whole state was just written. Raises OSError."""
        self._usable = False
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._size, self._usable = 0, True

    def append(self, delta: DeltaRequest, digest: str) -> None:
        """Returns when the line is safe on the disk. Raises OSError; the journal then takes no more."""
        self._usable = False
        line = protocol.encode(_Line(delta, digest)) + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(None, "the disk took a part of a line only")
            os.fsync(descriptor)
        except OSError:
            # The change is not made; it must not come back with a restart.
            with suppress(OSError):
                os.ftruncate(descriptor, self._size)
            raise
        finally:
            os.close(descriptor)
        self._size += len(line)
        self._usable = True

    def replay(self, revision: int, state: DesiredState) -> int | None:
        """Bring ``state`` to the last change and return its revision; None when the lines do not add up.

        Lines from before the whole state was written, as a crash between the two leaves them, do not fit and are
        passed over.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return revision
        digest = state.digest
        for text in content.split(b"\n")[:-1]:
            try:
                line = protocol.decode(_Line, text)
            except ValueError:  # pydantic's message quotes the input, which holds keys
                logger.error("%s is damaged", self._path)
                return None
            delta = line.delta
            if delta.base != Applied(revision, digest):
                if delta.revision > revision:
                    logger.error("%s lacks the change before revision %d", self._path, delta.revision)
                    return None
                continue
            state.apply(Delta(delta.interface, delta.upsert, delta.remove))
            revision, digest = delta.revision, line.digest
        return revision if state.digest == digest else None
