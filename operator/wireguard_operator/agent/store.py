"""The last desired state on disk, so that a host that comes back serves its subscribers with the controller away.

It is written before the device is changed: what the device does is then never ahead of what a restart would make.
The file holds private keys, hence 0600 in a directory of 0700.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ..domain.device import DesiredState
from . import protocol
from .bundle import Bundle
from .journal import Journal

T = TypeVar("T")

logger = logging.getLogger(__name__)

STATE_DIRECTORY = Path("/var/lib/wireguard-operator")
STATE_FILE = "state.json"
JOURNAL_FILE = "changes.jsonl"
BUNDLE_FILE = "bundle.json"
ENDPOINTS_FILE = "endpoints.json"
ROLE_FILE = "role.json"


@dataclass(frozen=True, slots=True)
class _Stored:
    digest: str
    snapshot: protocol.Snapshot


@dataclass(frozen=True, slots=True)
class _Endpoints:
    endpoints: dict[str, str] = field(default_factory=dict)


class StoreError(Exception):
    """The disk cannot take what must be kept; the text says why."""


class Store:
    """A directory with the agent's files, after ``prepare``. Methods block on the disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._journal = Journal(directory / JOURNAL_FILE)
        self._lock = -1

    def prepare(self) -> None:
        """Make the directory, for the owner alone, and claim it for this process's life. Raises StoreError."""
        self.make_directory()
        try:
            self._lock = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another agent runs with {self._directory}; end it, or use another --state-dir") from None
        except OSError as error:
            raise StoreError(f"{self._directory} cannot be used: {error.strerror}") from None

    def make_directory(self) -> None:
        """Make the directory, for the owner alone, without claiming it. Raises StoreError."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory.chmod(0o700)
        except OSError as error:
            raise StoreError(f"{self._directory} cannot be used: {error.strerror}") from None

    def close(self) -> None:
        """Let another process have the directory."""
        os.close(self._lock)

    def save_state(self, revision: int, state: DesiredState) -> None:
        """Returns when the state is safe on the disk. Raises StoreError; the file is then the one before."""
        snapshot = protocol.Snapshot.of(revision, state)
        self._replace(STATE_FILE, protocol.encode(_Stored(state.digest, snapshot)))
        try:
            self._journal.begin()
        except OSError as error:
            # What is in it does not fit the new state and is passed over; nothing is added to it.
            logger.warning("%s cannot be emptied: %s", self._directory / JOURNAL_FILE, error.strerror)

    def save_change(self, delta: protocol.DeltaRequest, state: DesiredState) -> None:
        """As ``save_state``, for a state that a change has just led to; costs what the change costs."""
        if not self._journal.takes_more():
            self.save_state(delta.revision, state)
            return
        try:
            self._journal.append(delta, state.digest)
        except OSError as error:
            raise StoreError(f"{self._directory / JOURNAL_FILE} cannot be written: {error.strerror}") from None

    def load_state(self) -> tuple[int, DesiredState] | None:
        """Revision and state; None when there is none or it is damaged, which is logged."""
        stored = self._load(STATE_FILE, _Stored)
        if stored is None:
            return None
        state = DesiredState(stored.snapshot.interface, stored.snapshot.peers)
        if state.digest != stored.digest:
            self._report_damage(STATE_FILE, "its digest does not match")
            return None
        revision = self._journal.replay(stored.snapshot.revision, state)
        if revision is None:
            self._report_damage(JOURNAL_FILE, "its changes do not lead to the state that they should")
            return None
        return revision, state

    def save_endpoints(self, endpoints: Mapping[str, str]) -> None:
        """Where peers (by public key) were last seen."""
        self._replace(ENDPOINTS_FILE, protocol.encode(_Endpoints(dict(endpoints))))

    def load_endpoints(self) -> dict[str, str]:
        """What ``save_endpoints`` wrote last, or nothing."""
        stored = self._load(ENDPOINTS_FILE, _Endpoints)
        return stored.endpoints if stored else {}

    def save_role(self, order: protocol.RoleOrder) -> None:
        """The last order, so that an earlier one that comes late is known as such. Raises StoreError."""
        self._replace(ROLE_FILE, protocol.encode(order))

    def load_role(self) -> protocol.RoleOrder | None:
        """The last order, or None."""
        return self._load(ROLE_FILE, protocol.RoleOrder)

    def save_bundle(self, bundle: Bundle) -> None:
        """So that the next start needs no bundle; an agent that runs takes the new one, too."""
        self._replace(BUNDLE_FILE, bundle.model_dump_json().encode())

    def load_bundle(self) -> Bundle | None:
        """The bundle of the last start; None when there is none or it is damaged, which is logged."""
        return self._load(BUNDLE_FILE, Bundle)

    def _load(self, name: str, kind: type[T]) -> T | None:
        try:
            return protocol.decode(kind, (self._directory / name).read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:  # pydantic's message quotes the input, which holds keys
            self._report_damage(name, "not what the agent writes, or cut off")
        except OSError as error:
            self._report_damage(name, f"it cannot be read ({error.strerror})")
        return None

    def _replace(self, name: str, content: bytes) -> None:
        try:
            replace_file(self._directory / name, content)
        except OSError as error:
            raise StoreError(f"{self._directory / name} cannot be written: {error.strerror}") from None

    def _report_damage(self, name: str, reason: str) -> None:
        logger.error("%s is damaged and not used: %s; waiting for the controller", self._directory / name, reason)


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Atomic, also when the power fails: a whole new file under a temporary name, synced, then renamed."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mkstemp gives 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
