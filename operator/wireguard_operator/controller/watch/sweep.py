"""Looks at everything there is: once before the watches, and now and then for what they missed.

kopf does not report objects that were deleted while its watch was down and had to list again (410 Gone), so what
the cache knows and a list does not is a ghost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial

from ...api.base import Key
from ...domain.secrets import SELECTOR
from ...kube.client import KubeClient, Object, walk
from ...kube.errors import Forbidden, KubeError, NotFound
from ...kube.resources import BLOCKS, NAMESPACES, OBSERVED, PEERS, SECRETS, SERVERS, ResourceType
from ..metrics.process import Metrics
from .cache import Cache

logger = logging.getLogger(__name__)

FIRST_RETRY = 2.0
FIRST_LOOK = 15.0
RELIST_PAUSE = 2.0
"""Seconds between a watch that lists anew and the look for what it does not tell; others may list, too."""


class Sweep:
    """Full looks at the API server."""

    def __init__(
        self,
        client: KubeClient,
        cache: Cache,
        namespaces: tuple[str, ...],
        look_for_orphans: Callable[[], None],
        metrics: Metrics | None = None,
    ) -> None:
        self._client = client
        self._cache = cache
        self._namespaces = namespaces
        self._look_for_orphans = look_for_orphans
        self._metrics = metrics or Metrics()
        self._relisted = asyncio.Event()
        self._behind: dict[str, int] = {}
        self.is_stalled = False
        """The watches do not deliver."""

    async def fill(self) -> None:
        """Read all objects into the cache; waits for the API server as long as it takes."""
        while True:
            try:
                await self._see_namespaces()
                # A choice of server that was made just before a crash stands in a block only.
                async for body in self._walk(BLOCKS):
                    self._see_seats(body)
                # Secrets first: a peer whose Secret were not known yet would be given new keys.
                for kind in (SECRETS, *OBSERVED):
                    async for body in self._walk(kind):
                        self._cache.children.see(kind, body)
                async for body in self._walk(SERVERS):
                    self._cache.see_server(body)
                async for body in self._walk(PEERS):
                    self._cache.see_peer(body)
            except KubeError as error:
                logger.warning("cannot read the objects yet, trying again in %.0f s: %s", FIRST_RETRY, error)
                await asyncio.sleep(FIRST_RETRY)
            else:
                return

    async def repeat(self, interval: float) -> None:
        """Look for ghosts every ``interval`` seconds, until cancelled."""
        # The first look is early: of a deletion between our first list and the watches' own nobody tells.
        await asyncio.sleep(min(FIRST_LOOK, interval))
        while True:
            self._relisted.clear()
            began = time.monotonic()
            try:
                await self._see_namespaces()
                await self.find_ghosts()
                self._look_for_orphans()
                self._metrics.swept(time.monotonic() - began, stalled=self.is_stalled)
            except KubeError as error:
                logger.warning("the search for missed deletions is put off: %s", error)
            except Exception:
                logger.exception("the search for missed deletions failed")
            await self._until_due(interval)

    def relisted(self) -> None:
        """A watch lists everything anew, as it does after 410 Gone: nobody will tell of what was deleted meanwhile."""
        self._relisted.set()

    async def _until_due(self, interval: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await self._relisted.wait()
            await asyncio.sleep(min(RELIST_PAUSE, interval))

    async def find_ghosts(self) -> None:
        """Take from the cache what does not exist any more. Raises KubeError."""
        cache = self._cache
        newest = await self._lose(
            SERVERS, {key: record.uid for key, record in cache.servers.items()}, cache.lose_server
        )
        newest |= await self._lose(PEERS, {key: record.uid for key, record in cache.peers.items()}, cache.lose_peer)
        await self._doubt_watches(newest)
        for kind in (SECRETS, *OBSERVED):
            await self._lose(kind, cache.children.uids(kind), partial(cache.children.lose, kind))

    async def _see_namespaces(self) -> None:
        """Of the whole cluster there is a watch; of single namespaces each is asked for."""
        if not self._namespaces:
            async for body in walk(self._client, NAMESPACES, ()):
                self._cache.see_namespace(body)
        for name in self._namespaces:
            try:
                self._cache.see_namespace(await self._client.get(NAMESPACES, "", name))
            except (Forbidden, NotFound) as error:
                logger.info("the labels of namespace %s are not known: %s", name, error)

    def _see_seats(self, body: Object) -> None:
        meta, spec = body["metadata"], body["spec"]
        for allocation in (spec.get("allocations") or {}).values():
            self._cache.seats[allocation["uid"]] = Key(meta["namespace"], spec["serverName"])

    async def _doubt_watches(self, newest: dict[str, int]) -> None:
        """What was behind at the last look and still is was not told by a watch: read it, and say that we are ill."""
        have = self._versions()
        missed = [uid for uid, version in self._behind.items() if uid in newest and have.get(uid, 0) < version]
        self._behind = {uid: version for uid, version in newest.items() if have.get(uid, 0) < version}
        if missed:
            await self.fill()
            # What the cache does not take, say because it is no valid object, is no fault of a watch.
            have = self._versions()
            missed = [uid for uid in missed if uid in have]
        self.is_stalled = bool(missed)
        if missed:
            logger.error("the watches did not tell of %d objects; everything was read anew", len(missed))

    def _versions(self) -> dict[str, int]:
        have = {record.uid: record.version for record in self._cache.servers.values()}
        return have | {record.uid: record.version for record in self._cache.peers.values()}

    async def _lose(
        self, kind: ResourceType, known: dict[Key, str], lose: Callable[[Key, str], None]
    ) -> dict[str, int]:
        """Lose what is not there any more; the resource version of what is there to stay, by UID."""
        # ``known`` was taken before the list, so that what is made meanwhile is not mistaken for a ghost.
        there, staying = set[str](), dict[str, int]()
        async for body in self._walk(kind, metadata_only=True):
            meta = body["metadata"]
            there.add(meta["uid"])
            if not meta.get("deletionTimestamp"):
                staying[meta["uid"]] = int(meta["resourceVersion"])
        for key, uid in known.items():
            if uid not in there:
                logger.info("%s %s was deleted unseen", kind.plural, key)
                self._metrics.ghost(kind.plural)
                lose(key, uid)
        return staying

    def _walk(self, kind: ResourceType, *, metadata_only: bool = False) -> AsyncIterator[Object]:
        labels = SELECTOR if kind in (SECRETS, *OBSERVED) else ""
        return walk(self._client, kind, self._namespaces, labels=labels, metadata_only=metadata_only)
