"""Addresses that nobody holds any more: their peer is gone, or is on another server, and nobody noticed.

Whenever the address blocks have been read they are searched. The API server is asked about each holder that is not
known here, since what is known may be older than the block.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ...api.base import Key
from ...domain.addresses import Holder
from ...kube.client import KubeClient
from ...kube.errors import Forbidden, KubeError, NotFound
from ...kube.resources import PEERS
from ..watch.records import ServerRecord
from .address_store import AddressStore

logger = logging.getLogger(__name__)

CALLS_AT_ONCE = 16


class Orphans:
    """The search for such addresses in the blocks of one server."""

    def __init__(
        self,
        client: KubeClient,
        server: Key,
        store: AddressStore,
        is_idle: Callable[[], bool],
        known: Callable[[], set[str]],
    ) -> None:
        """``is_idle``: whether nobody is being given addresses; ``known``: UIDs of all who may have some."""
        self._client = client
        self._server = server
        self._store = store
        self._is_idle = is_idle
        self._known = known
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)
        self._searched: set[str] = set()
        """Who was known at the search on which nobody has looked back."""
        self.due = False
        """Whether the blocks are to be read again for it."""

    def may_search(self) -> bool:
        """Whether the blocks are to be read again, and nobody is just being given addresses of them."""
        return self.due and self._is_idle()

    async def read(self, server: ServerRecord) -> bool:
        """Read the address blocks where that is due; whether they were, so that ``find`` has to follow.

        Raises KubeError when nothing is known of them.
        """
        if self._store.is_loaded and not self.may_search():
            return False
        try:
            await self._store.load(server.server)
        except KubeError as error:
            if not self._store.is_loaded:
                raise
            # Peers have to be cut with the API server away, too.
            logger.info("server %s: the search for orphaned addresses is put off: %s", self._server, error)
            return False
        return True

    async def find(self) -> set[str]:
        """UIDs that hold addresses and are neither known nor peers of this server. Raises KubeError."""
        known = self._searched = self._known()
        self.due = True
        holders = list({holder for _, holder in self._store.held() if holder.uid not in known})
        belongs = await asyncio.gather(*(self._belongs(holder) for holder in holders))
        self.due = False
        return {holder.uid for holder, does in zip(holders, belongs, strict=True) if not does}

    def look_back(self) -> bool:
        """Whether to search again: somebody went during the search, and had not been looked at yet."""
        searched, self._searched = self._searched, set()
        if not searched or searched <= self._known():
            return False
        self.due = True
        return True

    async def _belongs(self, holder: Holder) -> bool:
        namespace, _, name = holder.peer.partition("/")
        try:
            async with self._gate:
                body = await self._client.get(PEERS, namespace, name)
        except NotFound:
            return False
        except Forbidden:
            return True  # a namespace that is not watched, say: it may well be there
        if body["metadata"]["uid"] != holder.uid:
            return False
        ref = body["spec"].get("serverRef") or body.get("status", {}).get("serverRef")
        # A peer that has not been told yet where it is may well be here.
        return ref is None or Key(ref.get("namespace") or namespace, ref["name"]) == self._server
