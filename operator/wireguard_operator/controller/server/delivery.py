"""What is wanted of a device is taken to its agent, and what the agent acknowledges becomes known.

Nothing is sent before everybody who may be on the device has been looked at once: it would cut the others.
"""

from __future__ import annotations

import logging
import time

from ...agent.protocol import Ack
from ...api.base import Key
from ...api.server import WireGuardServer
from ...domain import events, usage
from ...kube.resources import PEERS
from ..agents.client import AgentError, AgentReplaced
from ..agents.link import DeviceLink
from ..metrics.process import Change
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord
from .carrier import Carrier
from .intake import Intake
from .roster import Roster

logger = logging.getLogger(__name__)


class Delivery:
    """To the device of one server, and its agent's word back into the statuses."""

    def __init__(
        self,
        services: Services,
        link: DeviceLink,
        carrier: Carrier,
        roster: Roster,
        intake: Intake,
        told: dict[Key, float],
    ) -> None:
        """``told``: when (monotonic) a watch told of each change; what is carried out is taken from there."""
        self._services = services
        self._link = link
        self._carrier = carrier
        self._roster = roster
        self._intake = intake
        self._told = told
        self.is_open = False
        """Whether all who may be on the device have been looked at once; before that, a push would cut some of them."""

    def open(self) -> None:
        """All who may be on the device have been looked at: from now on what is wanted is sent."""
        self.is_open = True
        self._roster.expect_word_on_all()

    async def push(self, server: ServerRecord) -> bool:
        """Have the agent do what is wanted; whether it did."""
        if not self.is_open:
            return True
        try:
            ack = await self._link.push(self._carrier.agent(server.server))
        except AgentError as error:
            self.failed(server, error)
            return False
        if ack is not None:
            await self._carrier.tell_places(server.server, ack)
        self._take_word(ack)
        server.facts.programmed, server.facts.program_problem = True, None
        server.facts.data_plane, server.facts.warnings = self._link.data_plane, self._link.warnings
        return True

    def failed(self, server: ServerRecord, error: AgentError) -> None:
        """The agent did not do what it was asked."""
        if isinstance(error, AgentReplaced):
            return  # the next turn asks the other one
        problem = self._carrier.problem(server.server, error)
        if server.facts.program_problem != problem:
            logger.warning("server %s: %s", server.key, error)
        server.facts.program_problem = problem
        self._roster.trouble(problem)

    async def clear(self, server: WireGuardServer) -> None:
        """The server is gone: take its peers off the device, as far as the agent can still be reached."""
        for record in self._roster.members():
            # Who went in the last moment has not been looked at, and its last usage not been told.
            if self._services.cache.peers.get(record.key) is not record:
                self._roster.part_with(record)
        self._link.clear()
        try:
            ack = await self._link.push(self._carrier.agent(server))
            self._take_word(ack)
        except AgentError as error:
            logger.warning("server %s is gone, but its tunnels stay until its agent is stopped: %s", server.key, error)

    def forget_told(self, until: float) -> None:
        """All that is wanted is done: what a watch told before changed nothing on the device, and needs no measuring.

        Whoever is still provided for may yet change something.
        """
        for key in [key for key, since in self._told.items() if since <= until and not self._intake.has(key)]:
            del self._told[key]

    def _take_word(self, ack: Ack | None) -> None:
        """What the agent has acknowledged becomes known."""
        for record in self._roster.confirm(ack) if ack is not None else ():
            if record.is_cut or not self._intake.has(record.key):
                self._services.statuses.submit(record)
                self._carried_out(record)
        for record in self._roster.gone():
            self._say_farewell(record)
            if self._roster.member(record.key) is None:
                self._carried_out(record, gone=True)

    def _carried_out(self, record: PeerRecord, *, gone: bool = False) -> None:
        since = self._told.pop(record.key, None)
        if since is not None:
            kind: Change = "cut" if gone or record.is_cut else "change"
            self._services.metrics.programmed(kind, time.monotonic() - since)

    def _say_farewell(self, record: PeerRecord) -> None:
        """What a peer used here goes on with it to its next server, or is said for good."""
        facts, successor = record.facts, self._services.cache.peers.get(record.key)
        if successor is not None and successor.uid == record.uid:
            rest = usage.growth(record.moved_with, facts.traffic)
            successor.facts.traffic = usage.add(successor.facts.traffic, rest)
        elif facts.traffic is not None:
            news = events.farewell(facts.traffic)
            logger.info("peer %s is gone: %s", record.key, news.message)
            self._services.events.tell(PEERS, record.peer, news)
