"""The finalizer that keeps a server as long as peers need it, and what becomes of it when nobody is here.

A server that is deleted takes its key with it, and with the key every client's configuration. So a server with peers
waits for them. A finalizer that nobody takes away would hang the deletion of a namespace, though; therefore it is
there only while there are peers, a namespace that is being deleted waits for nobody, and a controller that stops
takes its finalizers along.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from ...api.base import GROUP
from ...kube.client import KubeClient, Object
from ...kube.errors import Conflict, KubeError, NotFound
from ...kube.resources import SERVERS
from ..watch.records import ServerRecord

logger = logging.getLogger(__name__)

FINALIZER = f"{GROUP}/peers"
STOP_SECONDS = 10.0
ATTEMPTS = 5


class Finalizer:
    """Puts the finalizer on servers and takes it away."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def set(self, record: ServerRecord, *, held: bool) -> None:
        """Have the finalizer on the server, or not. Raises KubeError."""
        meta = record.server.metadata
        if (FINALIZER in meta.finalizers) == held:
            return
        try:
            body = await self._client.get(SERVERS, meta.namespace, meta.name)
            if body["metadata"]["uid"] == meta.uid:
                body = await self._patch(body, held=held)
        except NotFound:
            return
        finalizers = tuple(body["metadata"].get("finalizers", ()))
        # Of now: the watch may have told of another generation meanwhile.
        meta = record.server.metadata.model_copy(update={"finalizers": finalizers})
        record.server = record.server.model_copy(update={"metadata": meta})

    async def _patch(self, body: Object, *, held: bool) -> Object:
        meta = body["metadata"]
        others = [name for name in meta.get("finalizers", ()) if name != FINALIZER]
        # A list is replaced whole; the resource version keeps others' finalizers from getting lost.
        change = {
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
            "finalizers": [*others, FINALIZER] if held else others,
        }
        return await self._client.merge_patch(SERVERS, meta["namespace"], meta["name"], {"metadata": change})

    async def let_go(self, records: Iterable[ServerRecord]) -> None:
        """Take all finalizers away, within a few seconds: the controller stops."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await asyncio.gather(*(self._let_go(record) for record in records))
        except TimeoutError:
            logger.warning("some servers keep the finalizer %s until a controller runs again", FINALIZER)

    async def _let_go(self, record: ServerRecord) -> None:
        for _ in range(ATTEMPTS):
            try:
                return await self.set(record, held=False)
            except Conflict:
                continue
            except KubeError as error:
                logger.warning("server %s keeps the finalizer %s: %s", record.key, FINALIZER, error)
                return None
        return None
