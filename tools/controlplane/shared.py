"""One control plane for many processes: the first user starts it, the last one stops it.

Test workers (pytest-xdist) are separate processes without a common parent that could own the plane, and a
plane for each would cost seconds and hundreds of megabytes. Users are listed in a file under a lock. A user
that was killed cannot sign off, so every look at the list first drops those whose process is gone; like the
plane's own processes they are known by pid and start time.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from tools.controlplane.locks import file_lock
from tools.controlplane.paths import private_directory, runtime_root
from tools.controlplane.plane import ControlPlane
from tools.controlplane.processes import ProcessRecord, this_process


class Users:
    """The living users of something shared, in a file. Call it under a lock only."""

    def __init__(self, path: Path) -> None:
        """Keep the list in `path`."""
        self._path = path

    def living(self) -> dict[str, ProcessRecord]:
        """Return the users whose processes run, by token."""
        try:
            found = json.loads(self._path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # never made, or its writer was killed half-way
            return {}
        records = {token: ProcessRecord(**record) for token, record in found.items()}
        return {token: record for token, record in records.items() if record.alive()}

    def add(self, user: str) -> str:
        """Enter the calling process and return its token; one process may enter more than once."""
        token = secrets.token_hex(8)
        self._write({**self.living(), token: this_process(user)})
        return token

    def remove(self, token: str) -> bool:
        """Sign off; return whether nobody is left."""
        left = {key: record for key, record in self.living().items() if key != token}
        self._write(left)
        return not left

    def _write(self, users: dict[str, ProcessRecord]) -> None:
        scratch = self._path.with_name(f".{self._path.name}")
        scratch.write_text(json.dumps({token: asdict(record) for token, record in users.items()}, indent=2))
        scratch.replace(self._path)


@contextmanager
def shared_control_plane(user: str, root: Path | None = None) -> Iterator[ControlPlane]:
    """Give a running plane, shared with every other process of this checkout that asks.

    Users share everything in it: use namespaces of your own. `user` is a name for people who read the list.
    """
    root = private_directory(runtime_root()) / "shared" if root is None else root
    private_directory(root)
    users, plane = Users(root / "users.json"), ControlPlane(root / "plane")
    with _lock(root):
        token = users.add(user)
        try:
            plane.start()
        except BaseException:
            users.remove(token)
            raise
    try:
        yield plane
    finally:
        with _lock(root):
            if users.remove(token):
                plane.stop()


def stop_if_unused(root: Path | None = None) -> list[ProcessRecord]:
    """Stop a shared plane whose users were all killed; return the users that still need it."""
    root = private_directory(runtime_root()) / "shared" if root is None else root
    private_directory(root)
    with _lock(root):
        if living := Users(root / "users.json").living():
            return list(living.values())
        ControlPlane(root / "plane").stop()
    return []


def _lock(root: Path) -> AbstractContextManager[None]:
    return file_lock(root / "users.lock", "it starts or stops the shared control plane")
