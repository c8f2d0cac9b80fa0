"""``/metrics`` for Prometheus, in its own text format or as OpenMetrics, on a port of its own.

A page of 10,000 peers takes a tenth of a second, in a thread: the event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable

from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from ..port import Port
from .peers import FAMILIES, Peers
from .process import Metrics

PATH = "/metrics"
FAST = 1
"""Of gzip's levels; the page repeats itself, so higher ones take longer and gain little."""
_END = b"# EOF\n"
"""Last line of OpenMetrics; the older format has none."""


class Exposition(Port):
    """The port of the figures."""

    def __init__(self, metrics: Metrics, peers: Peers | None) -> None:
        """Without ``peers`` there is nothing about single ones."""
        super().__init__({PATH: self._page})
        self._metrics = metrics
        self._peers = peers
        self._rendering = asyncio.Lock()

    async def _page(self, request: web.Request) -> web.Response:
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        # However many ask at once, a single page is in the making: anybody who reaches the port may ask.
        async with self._rendering:
            self._metrics.read_queues()
            accept = request.headers.get("Accept", "")
            kind, body = await asyncio.to_thread(self._render, accept, packed)
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        return web.Response(body=body, headers=headers | ({"Content-Encoding": "gzip"} if packed else {}))

    def _render(self, accept: str, packed: bool) -> tuple[str, bytes]:
        kind, body = render(self._metrics, self._peers, accept)
        return kind, gzip.compress(body, FAST) if packed else body


def render(metrics: Metrics, peers: Peers | None, accept: str = "") -> tuple[str, bytes]:
    """Content type and page, as the header ``Accept`` wishes."""
    # Not the library's own choice, which may be one of several ways to escape names; ours need none.
    is_open = "application/openmetrics-text" in accept
    encode = openmetrics.generate_latest if is_open else generate_latest
    parts = [encode(metrics.registry).removesuffix(_END)]
    if peers is not None:
        lines = peers.lines()
        for family in FAMILIES:
            # The library writes the head, which differs between the formats.
            parts += [encode(_One(family)).removesuffix(_END), lines[family.name].encode()]
    if is_open:
        return openmetrics.CONTENT_TYPE_LATEST, b"".join(parts) + _END
    return CONTENT_TYPE_PLAIN_0_0_4, b"".join(parts)


class _One(Collector):
    """A single family, as a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return [self._family]
