"""From a pod that serves to the next one, without a moment in which both do.

Nodes lead subscribers where the Service says. When a node follows a change it forgets the connections to the former
pod, and what that one sent a moment later would come to clients from another port. WireGuard clients follow whoever of
their server spoke last, so they would go on sending there, to a pod that ends. Hence the former pod is silent first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ...agent.protocol import Role
from ...api.base import Key
from ...api.server import WireGuardServer
from ...domain import server_pods, succession
from ...domain.succession import Seat
from ...kube.client import Object
from ...kube.errors import Conflict, Invalid, KubeError
from ...kube.resources import SERVICES
from ..agents.client import AgentClient, AgentError
from ..services import Services
from .member import Member

WRITE_SECONDS = 2.0
"""For the Service to be written, and for a look at it: less than the former pod is silent."""
REST_SECONDS = 5.0
"""After a Service could not be written: each attempt interrupts the subscribers."""
LAST_SECONDS = 2.0
"""For the former pod's last counters."""


class Handover:
    """The Service of one server, and how it changes."""

    def __init__(self, services: Services, read_last: Callable[[AgentClient], Awaitable[None]]) -> None:
        """``read_last``: take in the last counters of a device."""
        self._services = services
        self._read_last = read_last
        self._rest_until = 0.0

    def seat(self, server: WireGuardServer) -> Seat | None:
        """Who serves, as the Service says."""
        return succession.seat_of(self._service(server))

    def is_due(self) -> bool:
        """Whether the last attempt that went wrong was long enough ago."""
        return time.monotonic() >= self._rest_until

    async def rehearse(self, server: WireGuardServer, seat: Seat) -> None:
        """Look whether the Service can be written, before anybody is silent for it. Raises KubeError, TimeoutError."""
        # An admission webhook need not know dry runs. If it is the object that is refused, the write will tell.
        with suppress(Invalid):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._apply(server, seat, dry_run=True)

    async def write(self, server: WireGuardServer, seat: Seat) -> None:
        """Have the Service lead to a pod, if nobody changed it meanwhile. Raises KubeError."""
        self._services.cache.children.see(SERVICES, await self._apply(server, seat))

    async def switch(self, server: WireGuardServer, seat: Seat, former: Member) -> None:
        """Have the Service lead to a pod while the former one is silent. Raises KubeError, TimeoutError."""
        term = former.standing.term if former.standing is not None else 0
        try:
            former.standing = await former.client().pause(seat.term)
        except AgentError as error:
            former.tell(f"it is not silent while another one takes over: {error}")
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self.write(server, seat)
        except (KubeError, TimeoutError):
            self._rest_until = time.monotonic() + REST_SECONDS
            # It may have been carried out without an answer. Where that cannot be known the silence ends by itself.
            async with asyncio.timeout(WRITE_SECONDS):
                await self._reread(server)
            if self.seat(server) != seat:
                await former.order(term, Role.ACTIVE)
                raise

    async def relieve(self, former: Member, seat: Seat) -> None:
        """The former pod stands by, and what it counted last is taken in."""
        if not await former.order(seat.term, Role.STANDBY):
            return
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._read_last(former.client())
        except (AgentError, TimeoutError) as error:
            former.tell(f"its last counters are not read: {str(error) or 'no answer in time'}")

    async def _apply(self, server: WireGuardServer, seat: Seat, *, dry_run: bool = False) -> Object:
        wanted, seen = server_pods.service(server, seat), self._service(server)
        if seen is not None:
            wanted["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
        try:
            return await self._services.client.apply(SERVICES, *_place(server), wanted, dry_run=dry_run)
        except Conflict:
            await self._reread(server)
            raise

    async def _reread(self, server: WireGuardServer) -> None:
        self._services.cache.children.see(SERVICES, await self._services.client.get(SERVICES, *_place(server)))

    def _service(self, server: WireGuardServer) -> Object | None:
        return self._services.cache.children.get(SERVICES, Key(*_place(server)))


def _place(server: WireGuardServer) -> tuple[str, str]:
    return server.metadata.namespace, server_pods.short_name(server.metadata.name)
