"""Writes statuses: only where they differ, a bounded number at once, each object once however often it is asked for.

What follows from a cut overtakes everything else; statistics come last, and only so many a second, since they never
end while there is traffic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from enum import IntEnum
from itertools import count

from ...api.base import Key
from ...domain.merge_patch import merge_patch
from ...kube.client import KubeClient
from ...kube.errors import Conflict, KubeError, NotFound, TooManyRequests, Unavailable
from ...kube.resources import ResourceType
from ..metrics.process import Metrics
from ..watch.records import Record
from .event_recorder import EventRecorder

logger = logging.getLogger(__name__)

RETRY_DELAY = 2.0
"""Seconds before a write is tried again when the API server does not say how long to wait."""
REFUSED_DELAY = 60.0
"""Seconds after a refusal (RBAC, schema): it takes a person to change that."""

NEWSWORTHY = ("conditions", "phase", "serverRef", "publicKey")
"""Parts of a status whose change may be worth an Event."""

Place = tuple[ResourceType, Key]


class Urgency(IntEnum):
    """What is written first."""

    CUT = 0
    CHANGE = 1
    STATISTICS = 2


class StatusWriter:
    """A queue of records whose status may have to be written."""

    def __init__(
        self,
        client: KubeClient,
        events: EventRecorder,
        clock: Callable[[], datetime],
        metrics: Metrics | None = None,
        statistics_per_second: float = 50.0,
    ) -> None:
        self._client = client
        self._events = events
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._metrics.watch_queue("status", lambda: len(self._waiting))
        self._queue: asyncio.PriorityQueue[tuple[Urgency, int, Place]] = asyncio.PriorityQueue()
        self._numbers = count()
        self._waiting: dict[Place, tuple[Urgency, Record]] = {}
        self._in_flight: set[Place] = set()
        self._timers: dict[Place, asyncio.TimerHandle] = {}
        """The next tries; one for each, or every change of a status that is refused would add tries of its own."""
        self._paced: dict[Place, Record] = {}
        """Those that have only new statistics, in the order in which they came."""
        self._pause = 1 / statistics_per_second
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, record: Record, urgency: Urgency | None = None) -> None:
        """Have the record's status written if it differs by the time it is looked at."""
        if record.is_former:
            return  # or it would take the place of the record that has followed
        place = record.kind, record.key
        if urgency is None:
            urgency = Urgency.CUT if record.is_cut else Urgency.CHANGE
        before = self._waiting.get(place)
        if before is not None:
            urgency = min(urgency, before[0])
        # Two writes of one object at once could arrive in the wrong order: the worker that has it puts it back.
        if place not in self._in_flight and (before is None or urgency < before[0]):
            self._enqueue(urgency, place)
        self._waiting[place] = urgency, record

    def submit_statistics(self, record: Record) -> None:
        """Have new statistics written when it is their turn."""
        self._paced[record.kind, record.key] = record
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._next_statistics)

    def _next_statistics(self) -> None:
        self._timer = None
        if self._paced:
            record = self._paced.pop(next(iter(self._paced)))
            self.submit(record, Urgency.STATISTICS)
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._next_statistics)

    def _enqueue(self, urgency: Urgency, place: Place) -> None:
        self._queue.put_nowait((urgency, next(self._numbers), place))

    async def work(self) -> None:
        """Write until cancelled; run as many of these as writes may be in flight."""
        while True:
            _, _, place = await self._queue.get()
            if place not in self._waiting or place in self._in_flight:
                continue  # it was overtaken by itself, with more urgency
            urgency, record = self._waiting.pop(place)
            self._in_flight.add(place)
            try:
                await self._write(record, urgency)
            except Exception:
                logger.exception("status of %s %s could not be written", record.kind.plural, record.key)
                self._later(record, REFUSED_DELAY)
            finally:
                self._in_flight.discard(place)
                if place in self._waiting:
                    self._enqueue(self._waiting[place][0], place)

    async def _write(self, record: Record, urgency: Urgency) -> None:
        if record.is_former:
            return
        before, status = record.status, record.compose(self._clock())
        patch = merge_patch(before, status) if status is not None else {}
        if not patch:
            return
        key = record.key
        # The UID makes the write miss when another object has taken the name.
        body = {"metadata": {"uid": record.uid}, "status": patch}
        try:
            answer = await self._client.merge_patch(record.kind, key.namespace, key.name, body, subresource="status")
        except NotFound:
            self._metrics.status_written(record.kind.plural, "gone")
        except Conflict:
            # Another object of the name, which the watch is about to tell, or a write that met too many others.
            self._metrics.status_written(record.kind.plural, "retried")
            self._later(record, RETRY_DELAY)
        except (Unavailable, TooManyRequests) as error:
            self._metrics.status_written(record.kind.plural, "retried")
            # The worker waits, too: however many statuses there are, an API server in trouble is asked by a few.
            await asyncio.sleep(error.retry_after or RETRY_DELAY)
            self._again(record, urgency)
        except KubeError as error:
            self._metrics.status_written(record.kind.plural, "refused")
            logger.error("status of %s %s was refused: %s", record.kind.plural, key, error)
            self._later(record, REFUSED_DELAY)
        else:
            self._metrics.status_written(record.kind.plural, "written")
            record.wrote(answer)
            if not patch.keys().isdisjoint(NEWSWORTHY):
                for news in record.news(before, answer.get("status", {})):
                    self._events.tell(record.kind, record.object, news)

    def _later(self, record: Record, delay: float) -> None:
        place = record.kind, record.key
        if (timer := self._timers.get(place)) is not None:
            timer.cancel()
        self._timers[place] = asyncio.get_running_loop().call_later(delay, self._late, place, record)

    def _late(self, place: Place, record: Record) -> None:
        del self._timers[place]
        self._again(record)

    def _again(self, record: Record, urgency: Urgency | None = None) -> None:
        if (record.kind, record.key) not in self._waiting:
            self.submit(record, urgency)
