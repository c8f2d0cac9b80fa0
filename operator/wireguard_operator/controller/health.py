"""``/livez`` and ``/readyz`` for the kubelet.

Ready is whoever runs, standby or not: a rolling update must not wait for a Lease. Alive is whoever's watches deliver:
a sweep that finds the same object newer on the API server than in the cache twice in a row says that they do not.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from .port import Port


class Health(Port):
    """The port of the probes."""

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        super().__init__({"/livez": self._livez, "/readyz": self._readyz})
        self._is_alive = is_alive

    async def _livez(self, _: web.Request) -> web.Response:
        if self._is_alive():
            return web.Response(text="ok\n")
        return web.Response(text="a watch does not deliver any more\n", status=503)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")
