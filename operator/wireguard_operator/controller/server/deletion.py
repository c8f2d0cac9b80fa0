"""How a server goes: it waits for the peers that are on it and serves them, unless its namespace goes, too."""

from __future__ import annotations

from collections.abc import Callable

from ...domain.networks import Address
from ...kube.client import KubeClient
from ...kube.errors import Forbidden, NotFound, TooManyRequests, Unavailable
from ...kube.resources import NAMESPACES
from ..watch.cache import Cache
from ..watch.records import ServerRecord
from .finalizer import Finalizer


class Deletion:
    """Whether a server is kept for its peers, and the finalizer that keeps it."""

    def __init__(self, client: KubeClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache
        self._finalizer = Finalizer(client)

    async def keeps(self, server: ServerRecord, held_by: Callable[[str], tuple[Address, ...]]) -> bool:
        """Whether the server serves its peers; ``held_by`` tells by UID what addresses of it one has. Raises KubeError.

        A peer that only names the server does not count: it is refused, and would keep the server for ever.
        """
        server.facts.waits_for = ()
        if server.server.metadata.deletion_timestamp is None:
            return True
        if await self._is_terminating(server.key.namespace):
            return False
        seated = [key for key in self._cache.peers_of(server.key) if held_by(self._cache.peers[key].uid)]
        server.facts.waits_for = tuple(str(key) for key in sorted(seated))
        return bool(seated)

    async def settle(self, server: ServerRecord, *, keeps: bool) -> None:
        """Have the finalizer there as long as there is anything to wait for. Raises KubeError."""
        if server.server.metadata.deletion_timestamp is None:
            await self._finalizer.set(server, held=self._cache.count_of(server.key) > 0)
        elif not keeps:
            await self._finalizer.set(server, held=False)

    async def _is_terminating(self, namespace: str) -> bool:
        try:
            self._cache.see_namespace(await self._client.get(NAMESPACES, "", namespace))
        except NotFound:
            return True
        except (Forbidden, TooManyRequests, Unavailable):
            pass  # what is known is all there is
        return self._cache.namespace(namespace).terminating
