"""Around every request: its id, a line in the log, the figures, and headers that keep answers out of caches."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import errors, requestid
from .metrics import Metrics

logger = logging.getLogger("wireguard_operator.gateway.access")
QUIET = ("/healthz", "/readyz")
"""Probes come every few seconds and say nothing."""
DEFAULTS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Bracket:
    """Opens and closes each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == requestid.HEADER.encode()), b"")
        id_ = requestid.begin(given.decode("latin-1"))
        began, status, started = time.monotonic(), 500, False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                there = {name.lower() for name, _ in message["headers"]}
                extra = [(name, value) for name, value in DEFAULTS if name not in there]
                message["headers"] = [*message["headers"], (b"x-request-id", id_.encode()), *extra]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:
            # Not passed on: the server would log its text.
            refusal = errors.unexpected(error)
            if not started:
                await refusal(scope, receive, answer)
        finally:
            self._finish(scope, status, time.monotonic() - began)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", None) or "unknown"
        self._metrics.request(route, scope["method"], status, seconds)
        if scope["path"] not in QUIET:
            # The route and not the path: a path may hold what only its owner should know.
            logger.info("%s %s %d %.1f ms", scope["method"], route, status, seconds * 1000)
