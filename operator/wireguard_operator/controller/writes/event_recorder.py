"""Writes Events about servers and peers, for ``kubectl describe``.

Best effort, as everywhere in Kubernetes: a bounded queue and one writer, so that no wave of Events ever competes with
the statuses; what does not fit is dropped. The name of an Event follows from what it says, so that the same news a
second time counts up the first Event instead of adding another.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ...api.base import API_VERSION, GROUP, Resource
from ...api.crd import KINDS
from ...domain.events import News
from ...kube.client import KubeClient, Object
from ...kube.errors import AlreadyExists, KubeError
from ...kube.resources import EVENTS, ResourceType
from ..metrics.process import Metrics

logger = logging.getLogger(__name__)

CONTROLLER = f"{GROUP}/controller"
WAITING = 1000
"""Events that may wait; more are dropped."""
NOTE_LENGTH = 1024
"""The most that the API server takes (events.k8s.io/v1, Event.note)."""

_KINDS = {kind.plural: kind.kind for kind in KINDS}


class EventRecorder:
    """A queue of Events."""

    def __init__(self, client: KubeClient, clock: Callable[[], datetime], metrics: Metrics | None = None) -> None:
        self._client = client
        self._clock = clock
        self._queue: asyncio.Queue[Object] = asyncio.Queue(WAITING)
        self._metrics = metrics or Metrics()
        self._metrics.watch_queue("event", self._queue.qsize)
        self._instance = f"{socket.gethostname()}-{os.getpid()}"
        self._dropped = 0

    def tell(self, kind: ResourceType, about: Resource[Any, Any], news: News) -> None:
        """Have an Event about the object written, soon and if possible."""
        try:
            self._queue.put_nowait(self._event(_KINDS[kind.plural], about, news))
        except asyncio.QueueFull:
            self._dropped += 1
            self._metrics.event_dropped()

    async def work(self) -> None:
        """Write until cancelled."""
        while True:
            event = await self._queue.get()
            if self._dropped:
                logger.warning("%d events were dropped: too many at once", self._dropped)
                self._dropped = 0
            try:
                await self._write(event)
            except KubeError as error:
                logger.info("an event about %s is lost: %s", event["regarding"]["name"], error)
            except Exception:
                # With this task the whole controller would end.
                logger.exception("an event about %s is lost", event["regarding"]["name"])

    async def _write(self, event: Object) -> None:
        meta = event["metadata"]
        try:
            await self._client.create(EVENTS, meta["namespace"], event)
        except AlreadyExists:
            found = await self._client.get(EVENTS, meta["namespace"], meta["name"])
            count = (found.get("series") or {}).get("count", 1) + 1
            series = {"count": count, "lastObservedTime": event["eventTime"]}
            await self._client.merge_patch(EVENTS, meta["namespace"], meta["name"], {"series": series})

    def _event(self, kind: str, about: Resource[Any, Any], news: News) -> Object:
        meta = about.metadata
        said = f"{meta.uid}\n{news.reason}\n{news.message}"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta.name}.{hashlib.sha256(said.encode()).hexdigest()[:16]}",
                "namespace": meta.namespace,
            },
            "eventTime": self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": news.reason.value,
            "reason": news.reason.value,
            "note": news.message[:NOTE_LENGTH],
            "type": "Warning" if news.warning else "Normal",
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": kind,
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
        }
