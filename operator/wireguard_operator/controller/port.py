"""A port with a few pages over HTTP: what probes and Prometheus ask, in the event loop of the controller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Port:
    """Serves GET of each path."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        app = web.Application()
        for path, page in pages.items():
            app.router.add_get(path, page)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self, port: int) -> None:
        """Listen on all addresses. Raises OSError."""
        await self._runner.setup()
        await web.TCPSite(self._runner, None, port).start()

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()
