"""Calls peers that had a session elsewhere: the looks at who sends and who has answered, around ``awaited``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from .awaited import Awaited, Calls
from .device import DeviceDump, DeviceGoneError
from .firewall.port import Port, Sender
from .places import Places
from .protocol import Endpoints, Seen
from .service import Service

logger = logging.getLogger(__name__)

LISTEN_SECONDS = 0.1
"""Between looks at who sends, while somebody is awaited."""
NEXT_SECONDS = 0.02
"""The same just after a change, and between looks at who has answered while others wait to be called."""
NEW_SECONDS = 2.0
"""For which subscribers come to an agent that has just begun to serve: nodes follow a Service in less."""
LOOK_SECONDS = 0.5
"""Between looks at the device for handshakes meanwhile, and the longest pause."""
IDLE_SHARE = 4
"""While only silent ones are awaited a pause is so many times as long as the look before it: one at ten thousand
senders takes a tenth of a second."""


class Calling:
    """The peers of one device that are awaited."""

    def __init__(self, service: Service, port: Port | None) -> None:
        """Without a ``port`` peers are called without being heard."""
        self._service = service
        self._port = port
        self._awaited = Awaited()
        self._places = Places()
        self._looked = 0.0
        self._listened = 0.0
        self._new_until = 0.0
        self._lock = asyncio.Lock()
        """Looks are taken one at a time."""

    def begin(self) -> None:
        """The device begins to serve."""
        now = int(time.time())
        self.expect({key: Seen(endpoint, now) for key, endpoint in self._service.last_endpoints().items()})
        self._awaited.forget_heard()
        self._listened = 0.0
        self.begin_to_listen()

    def begin_to_listen(self) -> None:
        """Subscribers come any moment."""
        self._new_until = time.monotonic() + NEW_SECONDS

    def end(self) -> None:
        """The device serves no longer, and another one learns where peers are."""
        self._places = Places()

    def expect(self, seen: Mapping[str, Seen]) -> None:
        """Another device had sessions with these."""
        self._awaited.take(seen)
        self._awaited.expire(time.time())
        self._looked = 0.0  # some may have a session here

    def kicked(self, endpoints: Mapping[str, str]) -> None:
        """The service has called these; one call may be lost."""
        now = int(time.time())
        self._awaited.take({key: self._places.of(key) or Seen(endpoint, now) for key, endpoint in endpoints.items()})
        self._awaited.called(endpoints, time.monotonic())

    async def places(self, cursor: str) -> Endpoints:
        """Who has a session here, as far as it changed since. Raises DeviceError."""
        async with self._lock:
            try:
                dump = await self._service.observe()
                senders = await self._port.heard() if self._port is not None else []
            except DeviceGoneError:
                return Endpoints({}, "")
            await self._service.save_endpoints()
            self._settle(dump)
            self._places.observe(dump.peers, senders, time.time())
            next_cursor, seen = self._places.since(cursor)
            return Endpoints(seen, next_cursor)

    def pause(self, took: float) -> float:
        """Seconds until the next look; the last one ``took`` so many, which handshakes need as well."""
        if not self._awaited:
            return LOOK_SECONDS
        if self._awaited.waits or time.monotonic() < self._new_until:
            return min(LISTEN_SECONDS, max(NEXT_SECONDS, took))
        return min(LOOK_SECONDS, max(LISTEN_SECONDS, IDLE_SHARE * took))

    async def listen(self) -> None:
        """Look who sends, and call those of them that are awaited. Raises DeviceError."""
        async with self._lock:
            now = time.monotonic()
            self._awaited.expire(time.time())
            if self._awaited and (now - self._looked >= LOOK_SECONDS or self._awaited.outstanding(now)):
                self._looked = now
                self._settle(await self._service.observe())
            if not self._awaited:
                return
            calls = await self._due(now)
            if calls.endpoints:
                await self._service.call(calls.endpoints, calls.again)
                logger.info("%d peers that had a session elsewhere are called", len(calls.endpoints))

    async def _due(self, now: float) -> Calls:
        if self._port is None:
            return self._awaited.all(now)
        senders: list[Sender] = []
        if not self._awaited.waits or now - self._listened >= LOOK_SECONDS:
            self._listened = now
            senders = await self._port.heard()
        return self._awaited.heard(senders, now)

    def _settle(self, dump: DeviceDump) -> None:
        self._awaited.forget([key for key, peer in dump.peers.items() if peer.last_handshake])
