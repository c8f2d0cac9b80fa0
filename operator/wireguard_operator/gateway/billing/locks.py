"""Carries orders out on the API server: read the peer, decide, write under the condition that it is still as read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...api.base import Key
from ...kube.client import KubeClient
from ...kube.errors import Conflict, Invalid, KubeError, NotFound
from ...kube.resources import PEERS
from ..audit import LAST_CHANGED_BY
from .decide import Change, decide
from .events import Order

TRIES = 5
"""Of a peer that others change at the same time."""
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one peer."""

    peer: Key
    outcome: str
    message: str = ""
    failed: bool = False
    """Trying again may help."""


class Locks:
    """Sets and lifts suspensions of peers."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def carry_out(self, peers: Sequence[Key], order: Order, at: datetime, by: str) -> list[Result]:
        """One result for each peer, whatever becomes of the others."""
        return list(await asyncio.gather(*(self._one(peer, order, at, by) for peer in peers)))

    async def _one(self, peer: Key, order: Order, at: datetime, by: str) -> Result:
        async with self._gate:
            try:
                return Result(peer, (await self._settle(peer, order, at, by)).outcome)
            except NotFound:
                return Result(peer, "gone", "the peer was deleted meanwhile")
            except Invalid as error:
                return Result(peer, "refused", str(error))
            except KubeError as error:
                return Result(peer, "failed", str(error), failed=True)

    async def _settle(self, peer: Key, order: Order, at: datetime, by: str) -> Change:
        for attempt in range(TRIES):
            found = await self._client.get(PEERS, peer.namespace, peer.name)
            change = decide(found, order, at, by)
            if change.patch is None:
                break
            try:
                await self._client.merge_patch(PEERS, peer.namespace, peer.name, _conditional(change.patch, found, by))
                break
            except Conflict:
                if attempt == TRIES - 1:
                    raise
        return change


def _conditional(patch: Mapping[str, Any], found: Mapping[str, Any], by: str) -> dict[str, Any]:
    """The patch, for this very version of this very object."""
    metadata = patch.get("metadata", {})
    return {
        **patch,
        "metadata": {
            "uid": found["metadata"]["uid"],
            "resourceVersion": found["metadata"]["resourceVersion"],
            "annotations": {**metadata.get("annotations", {}), LAST_CHANGED_BY: by},
        },
    }
