"""Addresses that nobody holds any more: their peer is gone, or is on another server, and nobody noticed.

The API server is asked about each holder that is not known here, since what is known may be older than the block.
"""

from __future__ import annotations

import asyncio

from ...api.base import Key
from ...domain.addresses import Holder
from ...kube.client import KubeClient
from ...kube.errors import Forbidden, NotFound
from ...kube.resources import PEERS
from .address_store import AddressStore

CALLS_AT_ONCE = 16


class Orphans:
    """The search for such addresses in the blocks of one server."""

    def __init__(self, client: KubeClient, server: Key) -> None:
        self._client = client
        self._server = server
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)
        self.due = False
        """Whether the blocks are to be read again for it."""

    async def find(self, store: AddressStore, known: set[str]) -> set[str]:
        """UIDs that hold addresses and are neither ``known`` nor peers of this server. Raises KubeError."""
        self.due = True
        holders = list({holder for _, holder in store.held() if holder.uid not in known})
        belongs = await asyncio.gather(*(self._belongs(holder) for holder in holders))
        self.due = False
        return {holder.uid for holder, does in zip(holders, belongs, strict=True) if not does}

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
