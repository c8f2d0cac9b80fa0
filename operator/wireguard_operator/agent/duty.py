"""Whether this agent serves, and the first minutes in which it does.

The agents of a server with several pods obey an arbiter, the controller, and do not talk with each other. Each order
has a number that only grows, the term, and the last one is on disk: an order that comes late revives nobody. An agent
that was active and starts anew does not know whether it still is, so it waits a moment to be told; with the controller
away it goes on, since then nobody has taken its place.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress

from .awaited import Awaited
from .device import DeviceDump, DeviceError, DeviceGoneError
from .firewall.port import Port, Sender, State
from .places import Places
from .protocol import Endpoints, Role, RoleOrder, Seen, Standing
from .service import Service
from .store import Store, StoreError

logger = logging.getLogger(__name__)

CONFIRM_SECONDS = 5.0
"""For which an agent that was active waits for the controller's word; ten of its looks."""
STOPPED_SECONDS = 3.0
"""For which a process that did not run may have been given up meanwhile: the controller does so after two."""
KEEP_SECONDS = 0.5
"""Between words to the kernel that the port stays open."""
LISTEN_SECONDS = 0.1
"""Between looks at who sends, while somebody is awaited."""
NEXT_SECONDS = 0.02
"""Between looks at who has answered, while others wait to be called, and at who sends, just after a change."""
LOOK_SECONDS = 0.5
"""Between looks at the device for handshakes meanwhile, and between looks whether anything is to be done."""
LAST_SECONDS = 3.0
"""For which what a relieved agent has counted can still be read."""
NEW_SECONDS = 2.0
"""For which subscribers come to an agent that has just begun to serve: nodes follow a Service in less."""
RELIEF_SECONDS = 15.0
"""For which an active agent that is told to end waits for another one to take over; below the pod's grace period."""


class OutdatedOrderError(Exception):
    """A later order came first."""


class Duty:
    """One agent's role, and the peers that it awaits."""

    def __init__(self, service: Service, store: Store, port: Port | None, start: Role | None) -> None:
        """``start``: what the agent is before its first order; None, and no ``port``, where there are no roles."""
        self._service = service
        self._store = store
        self._port = port
        self._role = start
        self._term = 0
        self._serves = True
        self._confirm_by: float | None = None
        """Monotonic time at which a former active agent serves without an order."""
        self._lock = asyncio.Lock()
        self._awaited = Awaited()
        self._places = Places()
        self._relieved = asyncio.Event()
        self._begun = asyncio.Event()
        """Has the next look come at once."""
        self._looked = 0.0
        self._listened = 0.0
        self._new_until = 0.0
        self._has_sessions = False
        """Whether there may be sessions of a former term on the device."""
        self._relieved_at = 0.0
        self.stopping = False

    async def begin(self) -> None:
        """Take up what the disk says, before there is a device."""
        self._service.kicked = self._was_kicked
        if self._port is None or self._role is None:
            return
        order = self._store.load_role()
        if order is not None:
            self._term, self._role = order.term, order.role
            if order.role is Role.ACTIVE:
                self._confirm_by = time.monotonic() + CONFIRM_SECONDS
        self._serves = self._role is Role.ACTIVE and self._confirm_by is None
        self._service.speaks = self._serves
        await self._port.become(self._open() if self._serves else State.CLOSED)

    def standing(self) -> Standing:
        """Where this agent stands. Waits for nothing."""
        return Standing(self._term, self._role, self._serves, self._service.applied(), self.stopping)

    async def order(self, order: RoleOrder) -> Standing:
        """Be that from now on. Raises OutdatedOrderError, StoreError, DeviceError.

        An active agent that is told once more greets the peers that it has heard lately: a former one may have spoken
        to them meanwhile, and they follow whoever spoke last.
        """
        async with self._lock:
            if self._port is None or order.term < self._term:
                raise OutdatedOrderError
            if order.term == self._term and self._term and order.role is not self._role:
                raise OutdatedOrderError
            if (order.term, order.role) != (self._term, self._role):
                await asyncio.to_thread(self._store.save_role, order)
                logger.info("%s from now on, by order %d", order.role.value, order.term)
            if self._role is Role.ACTIVE and order.role is Role.STANDBY:
                self._has_sessions, self._relieved_at = True, time.monotonic()
            elif order.role is Role.ACTIVE:
                await self._start_over()
            self._term, self._role, self._confirm_by = order.term, order.role, None
            if order.role is Role.ACTIVE and self._serves:
                await self._port.become(self._open())
                await self._service.greet({sender.endpoint for sender in await self._port.heard()})
            elif order.role is Role.ACTIVE:
                await self._serve()
            else:
                await self._stand_by()
            return self.standing()

    async def pause(self, term: int) -> Standing:
        """Be silent until the next order, or for ``CONFIRM_SECONDS``: another agent is about to serve in ``term``.

        What leaves the node after its connection-tracking entry is deleted comes to a client from another port, and the
        client follows it here, where nobody serves any more. Raises OutdatedOrderError, DeviceError.
        """
        async with self._lock:
            if self._port is None or term <= self._term:
                raise OutdatedOrderError
            if self._serves:
                await self._fall_silent()
            return self.standing()

    async def expect(self, endpoints: Endpoints) -> Standing:
        """Another device had sessions with these. Raises DeviceError."""
        self._awaited.take(endpoints.seen)
        self._awaited.expire(time.time())
        self._looked = 0.0  # some may have a session here
        return self.standing()

    async def endpoints(self, cursor: str) -> Endpoints:
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

    async def attend(self) -> None:
        """Call those that are awaited. Runs until cancelled."""
        took = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause(took)):
                    await self._begun.wait()
            self._begun.clear()
            awake = time.monotonic()
            try:
                async with self._lock:
                    if self._confirm_by is not None and time.monotonic() > self._confirm_by:
                        logger.warning("nobody says who serves; this agent did before, and does again")
                        self._confirm_by = None
                        await self._serve()
                    if self._serves:
                        await self._listen()
                    elif time.monotonic() - self._relieved_at > LAST_SECONDS:
                        await self._start_over()
            except (DeviceError, StoreError) as error:
                logger.warning("the device does not follow: %s", error)
            took = time.monotonic() - awake

    async def keep(self) -> None:
        """Keep the port open while this process runs. Runs until cancelled."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(KEEP_SECONDS)
            if time.monotonic() - before > STOPPED_SECONDS:
                await self._doubt()
            elif self._serves and self._port is not None:
                self._port.keep()

    async def relieved(self) -> None:
        """Return when another agent serves, or nobody takes over in time; at once where there is no other."""
        self.stopping = True
        if self._term and self._role is Role.ACTIVE:
            logger.info("told to end; serving until another agent does")
            try:
                async with asyncio.timeout(RELIEF_SECONDS):
                    await self._relieved.wait()
                await asyncio.sleep(LAST_SECONDS)
            except TimeoutError:
                logger.warning("nobody took over within %.0f s", RELIEF_SECONDS)

    async def close(self, *, remove: bool) -> None:
        """Let go of the port, if the device goes, too."""
        if remove and self._port is not None:
            await self._port.remove()

    async def _serve(self) -> None:
        if self._serves:
            return
        now = int(time.time())
        own = {key: Seen(endpoint, now) for key, endpoint in self._service.last_endpoints().items()}
        self._awaited.take(own)
        self._awaited.forget_heard()
        assert self._port is not None  # noqa: S101 - the callers look
        await self._port.become(self._open())
        self._serves = self._service.speaks = True
        self._relieved.clear()
        self._looked = 0.0
        self._listened = 0.0
        self._new_until = time.monotonic() + NEW_SECONDS
        self._begun.set()

    def _open(self) -> State:
        """Where nobody orders there is no other pod, and the tunnels go on whatever becomes of the agent."""
        return State.KEPT if self._term else State.OPEN

    async def _doubt(self) -> None:
        """This process stood still, as it does on a frozen machine: be silent until it is known who serves."""
        async with self._lock:
            if self._port is None or not self._serves or not self._term:
                return
            logger.warning("this agent stood still, so another one may serve; waiting to be told")
            try:
                await self._fall_silent()
            except DeviceError as error:
                logger.warning("the port does not close: %s", error)

    async def _fall_silent(self) -> None:
        """For a while; whoever serves is about to be told."""
        assert self._port is not None  # noqa: S101 - the callers look
        self._serves = self._service.speaks = False
        self._confirm_by = time.monotonic() + CONFIRM_SECONDS
        await self._port.become(State.CLOSED)

    async def _stand_by(self) -> None:
        assert self._port is not None  # noqa: S101 - the caller looks
        self._serves = self._service.speaks = False
        await self._port.become(State.CLOSED)
        self._places = Places()
        self._relieved.set()

    async def _start_over(self) -> None:
        """Sessions of a former term would speak again in a later one, and their counters be counted twice."""
        if self._has_sessions:
            await self._service.start_over()
            self._has_sessions = False

    def _pause(self, took: float) -> float:
        """Until the next look; the last one ``took`` so many seconds, which handshakes need as well."""
        if not self._serves or not self._awaited:
            return LOOK_SECONDS
        is_new = time.monotonic() < self._new_until
        return min(LISTEN_SECONDS, max(NEXT_SECONDS, took)) if is_new or self._awaited.waits else LISTEN_SECONDS

    async def _listen(self) -> None:
        now = time.monotonic()
        self._awaited.expire(time.time())
        if self._awaited and (now - self._looked >= LOOK_SECONDS or self._awaited.outstanding(now)):
            self._looked = now
            self._settle(await self._service.observe())
        if not self._awaited:
            return
        if self._port is None:
            calls = self._awaited.all(now)
        else:
            senders: list[Sender] = []
            if not self._awaited.waits or now - self._listened >= LOOK_SECONDS:
                self._listened = now
                senders = await self._port.heard()
            calls = self._awaited.heard(senders, now)
        if calls.endpoints:
            await self._service.call(calls.endpoints, calls.again)
            logger.info("%d peers that had a session elsewhere are called", len(calls.endpoints))

    def _settle(self, dump: DeviceDump) -> None:
        self._awaited.forget([key for key, peer in dump.peers.items() if peer.last_handshake])

    def _was_kicked(self, endpoints: Mapping[str, str]) -> None:
        """The service has called these; one call may be lost."""
        now = int(time.time())
        self._awaited.take({key: self._places.of(key) or Seen(endpoint, now) for key, endpoint in endpoints.items()})
        self._awaited.called(endpoints, time.monotonic())
