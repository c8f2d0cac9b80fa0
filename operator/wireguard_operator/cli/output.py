"""Results that hold private keys: to a pipe, or to a file that its owner alone can read."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from .cluster import CommandError

PRIVATE = 0o600


def deliver(data: bytes, output: Path | None) -> None:
    """Write to a file, or to stdout. Raises CommandError."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT, PRIVATE), "wb") as file:
            # An older file may be readable by others: that ends before the key is in it.
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fchmod(file.fileno(), PRIVATE)
                file.truncate(0)
            file.write(data)
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from None
