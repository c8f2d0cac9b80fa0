"""Whether this agent serves.

The agents of a server with several pods obey an arbiter, the controller, and do not talk with each other. Each order
has a number that only grows, the term, and the last one is on disk: an order that comes late revives nobody. An agent
that was active and starts anew does not know whether it still is, so it waits a moment to be told; with the controller
away it goes on, since then nobody has taken its place.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from .calling import LOOK_SECONDS, Calling
from .device import DeviceError
from .firewall.port import Port, State
from .protocol import Endpoints, Role, RoleOrder, Standing
from .service import Service
from .store import Store, StoreError

logger = logging.getLogger(__name__)

CONFIRM_SECONDS = 5.0
"""For which an agent that was active waits for the controller's word; ten of its looks."""
STOPPED_SECONDS = 3.0
"""For which a process that did not run may have been given up meanwhile: the controller does so after two."""
KEEP_SECONDS = 0.5
"""Between words to the kernel that the port stays open."""
LAST_SECONDS = 3.0
"""For which what a relieved agent has counted can still be read."""
RELIEF_SECONDS = 15.0
"""For which an active agent that is told to end waits for another one to take over; below the pod's grace period."""


class OutdatedOrderError(Exception):
    """A later order came first."""


class Duty:
    """One agent's role."""

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
        self._calling = Calling(service, port)
        self._relieved = asyncio.Event()
        self._begun = asyncio.Event()
        """Has the next look come at once."""
        self._has_sessions = False
        """Whether there may be sessions of a former term on the device."""
        self._relieved_at = 0.0
        self.stopping = False

    async def begin(self) -> None:
        """Take up what the disk says, before there is a device."""
        self._service.kicked = self._calling.kicked
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
                self._calling.begin_to_listen()
                self._begun.set()
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
        self._calling.expect(endpoints.seen)
        return self.standing()

    async def endpoints(self, cursor: str) -> Endpoints:
        """Who has a session here, as far as it changed since. Raises DeviceError."""
        return await self._calling.places(cursor)

    async def attend(self) -> None:
        """Call those that are awaited. Runs until cancelled."""
        took = 0.0
        while True:
            awake = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._calling.pause(took) if self._serves else LOOK_SECONDS):
                    await self._begun.wait()
            self._begun.clear()
            asleep, awake = awake, time.monotonic()
            if awake - asleep > STOPPED_SECONDS:
                await self._doubt()
            try:
                async with self._lock:
                    if self._confirm_by is not None and time.monotonic() > self._confirm_by:
                        logger.warning("nobody says who serves; this agent did before, and does again")
                        await self._serve()
                        self._confirm_by = None
                    if not self._serves and time.monotonic() - self._relieved_at > LAST_SECONDS:
                        await self._start_over()
                # Not while it has the lock: an order to be silent waits for no device.
                if self._serves:
                    await self._calling.listen()
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
        assert self._port is not None  # noqa: S101 - the callers look
        await self._port.become(self._open())
        self._serves = self._service.speaks = True
        self._relieved.clear()
        self._calling.begin()
        self._begun.set()

    def _open(self) -> State:
        """Where nobody orders there is no other pod, and the tunnels go on whatever becomes of the agent."""
        return State.KEPT if self._term else State.OPEN

    async def _doubt(self) -> None:
        """This process stood still, as it does on a frozen machine: be silent until it is known who serves."""
        async with self._lock:
            if self._port is None or not self._term:
                return
            if self._confirm_by is not None:
                # Nor could anybody be told by an agent that did not run.
                self._confirm_by = time.monotonic() + CONFIRM_SECONDS
            if not self._serves:
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
        self._calling.end()
        self._relieved.set()

    async def _start_over(self) -> None:
        """Sessions of a former term would speak again in a later one, and their counters be counted twice."""
        if self._has_sessions:
            await self._service.start_over()
            self._has_sessions = False
