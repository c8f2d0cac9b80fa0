"""Peers that wait to be provided for, and the batch that is being provided for just now.

A batch is a task of its own: its writes to the API server take time, and meanwhile peers must be cut. It first gives
back the addresses of those who have gone. At most one is under way, so that nothing in the provisioner is used by two.
It can be stopped at any moment, as a crash could stop it: its peers wait again, and what it had written by then is
found.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from ...api.base import Key
from ..watch.records import PeerRecord, ServerRecord
from .identity import Ready
from .provisioner import Outcome, Provisioner

BATCH = 250
"""Peers that go through the steps together: enough to share writes of address blocks, few enough to show progress."""
FOREIGN_BATCH = 8
"""Peers that are provided for together where a foreign system takes seconds for each: the first ones soon."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch, and what came of it."""

    records: Sequence[PeerRecord]
    outcome: Outcome


class Intake:
    """The peers of one server on their way to address, keys and Secret."""

    def __init__(
        self,
        provisioner: Provisioner,
        clock: Callable[[], datetime],
        is_known: Callable[[PeerRecord], bool],
        wake: Callable[[], None],
        most: int | None = None,
    ) -> None:
        """Begin with nobody.

        ``is_known``: whether a peer may be on the device already; ``wake`` is called when a batch has ended; ``most``:
        peers of a batch, ``BATCH`` by itself.
        """
        self._most = most
        self._provisioner = provisioner
        self._clock = clock
        self._is_known = is_known
        self._wake = wake
        self._waiting: dict[Key, PeerRecord] = {}
        self._line: list[tuple[bool, bool, datetime, str, Key]] = []
        """Who waits, as a heap; entries of those who wait no more are passed over."""
        self._known: set[Key] = set()
        self._batch: dict[Key, PeerRecord] = {}
        self._task: asyncio.Task[Outcome] | None = None
        self._dropped: set[Key] = set()
        """Of the batch: those who need nothing any more."""
        self._lost: list[PeerRecord] = []

    def add(self, record: PeerRecord) -> None:
        """The peer is to be provided for, once more if it is being so already."""
        self._waiting[record.key] = record
        self._dropped.discard(record.key)
        known = self._is_known(record)
        # Who may be on the device first: nothing can be pushed before. Then who names its addresses, since others can
        # take any; then the older one.
        claim = record.claim(self._clock())
        heapq.heappush(self._line, (not known, not record.peer.spec.addresses, claim.created, claim.uid, record.key))
        if known:
            self._known.add(record.key)
        else:
            self._known.discard(record.key)

    def drop(self, key: Key) -> None:
        """The peer needs nothing any more."""
        self._waiting.pop(key, None)
        self._known.discard(key)
        if key in self._batch:
            self._dropped.add(key)

    def is_idle(self) -> bool:
        """Whether nobody waits or is being provided for."""
        return not self._waiting and self._task is None

    def waiting(self) -> int:
        """How many wait or are being provided for."""
        return len(self._waiting) + len(self._batch)

    def has(self, key: Key) -> bool:
        """Whether the peer waits or is being provided for."""
        return key in self._waiting or key in self._batch

    def has_known(self) -> bool:
        """Whether somebody who may be on the device has still to be looked at."""
        return bool(self._known) or any(map(self._is_known, self._batch.values()))

    def clear(self) -> list[PeerRecord]:
        """Take all that wait. ``stop`` comes first."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        self._line.clear()
        self._known.clear()
        return waiting

    def start(self, server: ServerRecord, ready: Ready, leaving: Set[str] = frozenset()) -> None:
        """Begin with the next batch, unless one is under way or nothing is to be done.

        ``leaving``: UIDs whose addresses are given back first.
        """
        if self._task is not None or not (self._waiting or leaving):
            return
        batch = list[PeerRecord]()
        while self._line and len(batch) < (self._most or BATCH):
            record = self._waiting.get(heapq.heappop(self._line)[-1])
            if record is not None:
                self.drop(record.key)
                batch.append(record)
        self._dropped.clear()
        self._batch = {record.key: record for record in batch}
        self._task = asyncio.create_task(self._provisioner.prepare(server, ready, batch, leaving))
        self._task.add_done_callback(self._ended)

    def finished(self) -> Finished | None:
        """The batch that has ended since the last call. Raises KubeError when it failed as a whole; it waits again."""
        if self._task is None or not self._task.done():
            return None
        batch, task, self._task, self._batch = self._batch, self._task, None, {}
        try:
            return Finished(tuple(batch.values()), task.result())
        except BaseException:
            self._again(batch.values())
            raise

    async def stop(self) -> None:
        """End the batch that is under way where it stands; its peers wait again.

        What one that has just ended came to counts no more than that of another one: it builds on what is no more.
        """
        task, batch = self._task, self._batch
        if task is None:
            return
        if not task.done():
            task.remove_done_callback(self._ended)
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it is told by the next try
        self._task, self._batch = None, {}
        self._again(batch.values())

    def lost(self) -> list[PeerRecord]:
        """Who was in a batch that came to nothing, and needs nothing any more or waits in another form."""
        lost, self._lost = self._lost, []
        return lost

    def _ended(self, _: asyncio.Task[Outcome]) -> None:
        self._wake()

    def _again(self, batch: Iterable[PeerRecord]) -> None:
        for record in batch:
            if record.key in self._waiting or record.key in self._dropped:
                self._lost.append(record)
            else:
                self.add(record)
