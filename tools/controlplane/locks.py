"""One at a time, across processes.

flock is released by the kernel when its holder dies, however it dies, so no stale lock can ever block a
later run; a lock file with a pid inside cannot promise that. For the same reason the lock file itself is
never removed: a process that still waits on a removed inode would believe that it holds the lock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.controlplane.paths import say


@contextmanager
def file_lock(path: Path, purpose: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; say what is waited for when somebody else has it.

    The descriptor is not inheritable: a daemon started under the lock must not keep it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process: {purpose}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
