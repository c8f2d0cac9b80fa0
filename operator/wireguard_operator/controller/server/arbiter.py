"""Which pod of a server with several serves: looked at twice a second, decided purely, and carried out.

What is decided stands in the Service before anybody is told (``domain.succession``). Each step can be repeated: a
controller that dies at any instruction leaves a Service and agents whose orders the next one brings in line with it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from ...agent.protocol import Role, RoleOrder
from ...api.base import Key
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain import events, succession
from ...domain.conditions import Problem
from ...domain.succession import Cause, Change, Seat
from ...kube.resources import SERVERS
from ..agents.client import AgentClient, AgentError, AgentUnreachable
from ..agents.link import DeviceLink
from ..services import Services
from .handover import Handover
from .member import Member
from .relay import Relay

logger = logging.getLogger(__name__)

RELAY_SECONDS = 2.0
"""Between looks at where peers are; a peer that came since, and is lost with the pod, waits for 15 s."""
BRING_UP_SECONDS = 2.0
"""For an heir to take the last changes."""
ALONE_SECONDS = 15.0
"""For which a server is without a standby before that is told: a new pod takes some seconds."""


class Arbiter:
    """The pods of one server."""

    def __init__(
        self,
        services: Services,
        key: Key,
        link: DeviceLink,
        relay: Relay,
        read_last: Callable[[AgentClient], Awaitable[None]],
        moved: Callable[[], None],
    ) -> None:
        """``read_last``: take in the last counters of a device. ``moved``: the link leads to another agent now."""
        self._services = services
        self._key = key
        self._link = link
        self._relay = relay
        self._handover = Handover(services, read_last)
        self._moved = moved
        self._members: dict[str, Member] = {}
        self._seat: Seat | None = None
        self._relayed = 0.0
        self._accompanied = time.monotonic()
        """When there was last a pod that could take over."""

    @property
    def active_pod(self) -> str | None:
        """The pod that serves."""
        return self._seat.pod if self._seat is not None else None

    def standbys(self) -> int:
        """Pods that could take over at once."""
        digest = self._link.digest()
        found = [one.candidate(digest) for one in self._members.values() if one.name != self.active_pod]
        return sum(one.answers and one.loaded and not one.terminating for one in found)

    def agent(self) -> AgentClient:
        """The agent of the pod that serves. Raises AgentUnreachable."""
        member = self._members.get(self.active_pod or "")
        if member is None:
            raise AgentUnreachable("no pod of the server serves yet")
        return member.client()

    def problem(self, server: WireGuardServer) -> Problem | None:
        """Why nobody could take over."""
        if self.standbys() or not server.spec.enabled:
            self._accompanied = time.monotonic()
        if time.monotonic() - self._accompanied < ALONE_SECONDS:
            return None
        others = [one for one in self._members.values() if one.name != self.active_pod]
        if not others:
            said = "there is no second pod; is there room for it on another node?"
        else:
            said = "; ".join(f"pod {one.name} {'is not up to date' if one.answers else 'is silent'}" for one in others)
        return Problem(Reason.NO_STANDBY, f"no pod could take over from {self.active_pod or 'none'}: {said}")

    async def step(self, server: WireGuardServer, *, complete: bool) -> bool:
        """Look at the pods and do what is due; whether to look again at once. Raises KubeError, AgentError.

        ``complete``: all that is wanted is known.
        """
        await self._see()
        await asyncio.gather(*(member.ask(serves=member.name == self.active_pod) for member in self._members.values()))
        seat = self._handover.seat(server)
        digest = self._link.digest() if complete else None
        change = succession.decide(seat, [member.candidate(digest) for member in self._members.values()])
        if change is not None:
            await self._carry_out(server, change, complete=complete)
        else:
            self._take(seat)
        strays = await asyncio.gather(*(self._instruct(member) for member in self._members.values()))
        if any(strays):
            await self._greet()
        if complete:
            for member in self._members.values():
                if member.name != self.active_pod:
                    member.feed()
        await self._pass_on()
        active = self._members.get(self.active_pod or "")
        return active is not None and active.answers and active.silent > 0

    async def close(self) -> None:
        """Stop what is under way, and let go of the pods."""
        for member in list(self._members.values()):
            await self._lose(member)
        self._seat = None

    async def _see(self) -> None:
        found = {body["metadata"]["name"]: body for body in self._services.cache.children.pods_of(self._key)}
        for name in self._members.keys() - found.keys():
            await self._lose(self._members[name])
        for name, body in found.items():
            member = self._members.get(name)
            if member is None or member.body["metadata"]["uid"] != body["metadata"]["uid"]:
                if member is not None:
                    await self._lose(member)
                self._members[name] = Member(self._services, self._key, body)
            else:
                member.body = body
        self._relay.keep_to(set(found))
        for member in self._members.values():
            if member.name == self.active_pod:
                await member.unlink(self._link)
            elif member.link is None:
                member.link = self._link.follow()

    async def _lose(self, member: Member) -> None:
        del self._members[member.name]
        await member.unlink(self._link)

    async def _carry_out(self, server: WireGuardServer, change: Change, *, complete: bool) -> None:
        """Make the change. Raises KubeError, and AgentError where the heir of a pod that still serves does not obey."""
        heir, former = self._members[change.seat.pod], self._members.get(change.former or "")
        if former is not None and not self._handover.is_due():
            return
        await heir.label(Role.STANDBY)
        try:
            async with asyncio.timeout(BRING_UP_SECONDS):
                if former is not None:
                    await self._relay.read(former.client())
                await self._relay.tell(heir.name, heir.client())
                if complete and heir.link is not None:
                    await heir.link.push(heir.client())  # nobody who was cut may be back for a moment
        except (AgentError, TimeoutError) as error:
            heir.tell(f"it takes over without the last word: {str(error) or 'no answer in time'}")
        if former is not None:
            await self._handover.rehearse(server, change.seat)
            # The port is open before subscribers come. Should it end here, the heir is spoken to by nobody.
            heir.standing = await heir.client().order(RoleOrder(change.seat.term, Role.ACTIVE))
            await self._handover.switch(server, change.seat, former)
            self._take(change.seat)
            await self._handover.relieve(former, change.seat)
        else:
            await self._handover.write(server, change.seat)
            await heir.order(change.seat.term, Role.ACTIVE)  # in the next step it is told again, or found silent
            self._take(change.seat)
        if change.cause is not Cause.COUNTED:
            self._announce(server, change)

    def _take(self, seat: Seat | None) -> None:
        before, self._seat = self.active_pod, seat
        if self.active_pod != before:
            self._moved()

    def _announce(self, server: WireGuardServer, change: Change) -> None:
        news = events.taken_over(change)
        logger.log(logging.WARNING if news.warning else logging.INFO, "server %s: %s", self._key, news.message)
        if change.cause is not Cause.FIRST:
            self._services.metrics.taken_over(change.cause.value)
            self._services.events.tell(SERVERS, server, news)

    async def _instruct(self, member: Member) -> bool:
        """Bring an agent's last order in line with the Service; whether it still believed to be active."""
        seat, standing = self._seat, member.standing
        if seat is None or standing is None or not member.answers:
            return False
        role = Role.ACTIVE if member.name == seat.pod else Role.STANDBY
        await member.label(role)
        if (standing.term, standing.role) == (seat.term, role) and standing.serves == (role is Role.ACTIVE):
            return False
        if standing.term > seat.term:
            return False  # the next decision counts on from there
        return await member.order(seat.term, role) and standing.role is Role.ACTIVE and role is Role.STANDBY

    async def _greet(self) -> None:
        """A pod that had been given up was still there, and subscribers follow whoever spoke to them last."""
        active = self._members.get(self.active_pod or "")
        if active is not None and self._seat is not None:
            await active.order(self._seat.term, Role.ACTIVE)

    async def _pass_on(self) -> None:
        """Tell those that stand by where the peers are."""
        active = self._members.get(self.active_pod or "")
        if active is None or active.silent or time.monotonic() - self._relayed < RELAY_SECONDS:
            return
        self._relayed = time.monotonic()
        try:
            async with asyncio.timeout(BRING_UP_SECONDS):
                await self._relay.read(active.client())
                for member in self._members.values():
                    if member is not active and member.answers:
                        await self._relay.tell(member.name, member.client())
        except (AgentError, TimeoutError) as error:
            active.tell(f"where peers are is not passed on: {str(error) or 'no answer in time'}")
