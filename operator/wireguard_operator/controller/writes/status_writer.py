"""Writes statuses: only where they differ, a bounded number at once, each object once however often it is asked for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from ...api.base import Key
from ...domain.merge_patch import merge_patch
from ...kube.client import KubeClient
from ...kube.errors import Conflict, KubeError, NotFound, TooManyRequests, Unavailable
from ...kube.resources import ResourceType
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


class StatusWriter:
    """A queue of records whose status may have to be written."""

    def __init__(self, client: KubeClient, events: EventRecorder, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._events = events
        self._clock = clock
        self._queue: asyncio.Queue[Place] = asyncio.Queue()
        self._waiting: dict[Place, Record] = {}
        self._in_flight: set[Place] = set()

    def submit(self, record: Record) -> None:
        """Have the record's status written if it differs by the time it is looked at."""
        place = record.kind, record.key
        # Two writes of one object at once could arrive in the wrong order: the worker that has it puts it back.
        if place not in self._waiting and place not in self._in_flight:
            self._queue.put_nowait(place)
        self._waiting[place] = record

    async def work(self) -> None:
        """Write until cancelled; run as many of these as writes may be in flight."""
        while True:
            place = await self._queue.get()
            record = self._waiting.pop(place)
            self._in_flight.add(place)
            try:
                await self._write(record)
            except Exception:
                logger.exception("status of %s %s could not be written", record.kind.plural, record.key)
                self._later(record, REFUSED_DELAY)
            finally:
                self._in_flight.discard(place)
                if place in self._waiting:
                    self._queue.put_nowait(place)

    async def _write(self, record: Record) -> None:
        before, status = record.status, record.compose(self._clock())
        patch = merge_patch(before, status) if status is not None else {}
        if not patch:
            return
        key = record.key
        # The UID makes the write miss when another object has taken the name.
        body = {"metadata": {"uid": record.uid}, "status": patch}
        try:
            answer = await self._client.merge_patch(record.kind, key.namespace, key.name, body, subresource="status")
        except (NotFound, Conflict):
            return
        except (Unavailable, TooManyRequests) as error:
            # The worker waits, too: however many statuses there are, an API server in trouble is asked by a few.
            await asyncio.sleep(error.retry_after or RETRY_DELAY)
            self._again(record)
        except KubeError as error:
            logger.error("status of %s %s was refused: %s", record.kind.plural, key, error)
            self._later(record, REFUSED_DELAY)
        else:
            record.wrote(answer)
            if not patch.keys().isdisjoint(NEWSWORTHY):
                for news in record.news(before, answer.get("status", {})):
                    self._events.tell(record.kind, record.object, news)

    def _later(self, record: Record, delay: float) -> None:
        asyncio.get_running_loop().call_later(delay, self._again, record)

    def _again(self, record: Record) -> None:
        if (record.kind, record.key) not in self._waiting:
            self.submit(record)
