"""Gives every server its pipeline, and passes on what the cache noticed."""

from __future__ import annotations

import asyncio
import logging

from ..api.base import Key
from .server.pipeline import Pipeline
from .services import Services
from .watch.records import PeerRecord, ServerRecord

logger = logging.getLogger(__name__)


class Supervisor:
    """The pipelines by server. Collects changes from the start, works on them once ``open`` was called."""

    def __init__(self) -> None:
        self._services: Services | None = None
        self._pipelines: dict[Key, Pipeline] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def open(self, services: Services) -> None:
        """The cache is complete: begin to work."""
        self._services = services
        for key in {*services.cache.servers, *services.cache.wanted_servers()}:
            self._pipeline(key).server_changed()
        services.placer.wake()

    async def first_look(self) -> None:
        """Return when every server that was there at the start has looked at its peers once."""
        await asyncio.gather(*(pipeline.looked.wait() for pipeline in list(self._pipelines.values())))

    async def close(self) -> None:
        """Stop all work. The devices go on as they are."""
        services, self._services = self._services, None
        tasks = [*self._tasks.values(), *(services.farewells if services is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def server_changed(self, server: Key) -> None:
        """See ``cache.Listener``."""
        if self._services is not None:
            self._pipeline(server).server_changed()
            self._services.placer.wake()

    def pods_changed(self, server: Key) -> None:
        """See ``cache.Listener``."""
        if self._services is not None:
            self._pipeline(server).pods_changed()

    def peer_changed(self, server: Key, peer: Key) -> None:
        """See ``cache.Listener``."""
        if self._services is not None:
            self._pipeline(server).peer_changed(peer)

    def peer_unplaced(self, peer: Key) -> None:
        """See ``cache.Listener``."""
        if self._services is not None:
            self._services.placer.wake()

    def look_for_orphans(self) -> None:
        """Have every server's address blocks compared with the peers that there are."""
        for pipeline in self._pipelines.values():
            pipeline.look_for_orphans()

    def status_changed(self, record: PeerRecord | ServerRecord) -> None:
        """Somebody else wrote a status of ours: it is composed again and written if it differs."""
        if self._services is not None:
            self._services.statuses.submit(record)

    def _pipeline(self, server: Key) -> Pipeline:
        if self._services is None:
            raise RuntimeError("the supervisor is not open")
        pipeline = self._pipelines.get(server)
        if pipeline is None or pipeline.is_over:
            pipeline = self._pipelines[server] = Pipeline(self._services, server)
            task = self._tasks[server] = asyncio.create_task(pipeline.run(), name=f"pipeline {server}")
            task.add_done_callback(_complain)
            task.add_done_callback(lambda task: self._forget(server, task))
        return pipeline

    def _forget(self, server: Key, task: asyncio.Task[None]) -> None:
        """A pipeline has ended; there may be a next one of the name already."""
        if self._tasks.get(server) is task:
            del self._tasks[server], self._pipelines[server]


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.critical("%s ended", task.get_name(), exc_info=task.exception())
