"""``/livez`` and ``/readyz`` for the kubelet.

Ready is whoever runs, standby or not: a rolling update must not wait for a Lease. Alive is whoever's watches deliver:
a sweep that finds the same object newer on the API server than in the cache twice in a row says that they do not.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


class Health:
    """The HTTP server of the probes."""

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        self._is_alive = is_alive
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, port: int) -> None:
        """Listen on all addresses. Raises OSError."""
        await self._runner.setup()
        await web.TCPSite(self._runner, None, port).start()

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        if self._is_alive():
            return web.Response(text="ok\n")
        return web.Response(text="a watch does not deliver any more\n", status=503)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")
