"""All objects of a kind, and then every change: a list, a watch from there, and the list again when that is too old.

kopf serves the controller; this is for parts that only read. No error ends it: it goes on when the API server is back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from .client import KubeClient, Object
from .errors import Expired, KubeError
from .resources import ResourceType

logger = logging.getLogger(__name__)
SECONDS = 300
"""After which a watch is renewed, without a gap."""
PAUSES = (0.5, 1.0, 2.0, 5.0)
"""After failures one upon the other; the last goes on."""


class Audience(Protocol):
    """Who is told. A call must be quick and must not fail."""

    def page(self, objects: list[Object]) -> None:
        """Some of all objects that there are; more pages follow, and then ``listed``."""

    def listed(self) -> None:
        """All pages have come: what was on none since the last time is gone."""

    def changed(self, body: Object) -> None:
        """An object is new or has changed."""

    def deleted(self, body: Object) -> None:
        """An object is gone."""


async def follow(client: KubeClient, kind: ResourceType, namespace: str | None, audience: Audience) -> None:
    """Tell the audience for ever."""
    version, failures = "", 0
    while True:
        try:
            if not version:
                version = await _list(client, kind, namespace, audience)
            async for event in client.watch(kind, namespace, version, SECONDS):
                version = event["object"]["metadata"]["resourceVersion"]
                failures = 0
                if event["type"] == "DELETED":
                    audience.deleted(event["object"])
                elif event["type"] != "BOOKMARK":
                    audience.changed(event["object"])
        except Expired:
            version = ""
        except KubeError as error:
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            failures += 1
            logger.warning("watch of %s: %s; again in %g s", kind.plural, error, pause)
            await asyncio.sleep(pause)


async def _list(client: KubeClient, kind: ResourceType, namespace: str | None, audience: Audience) -> str:
    version = ""
    # A page at a time: all objects at once would take many times the memory of what is kept of them.
    async for page in client.pages(kind, namespace):
        audience.page(page.get("items") or [])
        version = page["metadata"]["resourceVersion"]
    audience.listed()
    return version
