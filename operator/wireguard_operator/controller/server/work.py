"""The way from changed objects to the device and back into their statuses, for one server.

what changed → judge (pure) → cuts to the agent → addresses, keys, Secrets → the rest to the agent → statuses
"""

from __future__ import annotations

import logging
from collections.abc import Set
from datetime import timedelta
from typing import Protocol

from ...agent.protocol import Ack, agent_name
from ...api.base import Key
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain import events, usage
from ...domain.claims import Claims
from ...domain.conditions import Problem
from ...domain.lifecycle import Situation, Verdict, judge
from ...kube.errors import KubeError
from ...kube.resources import PEERS
from ..agents.client import AgentClient, AgentError, AgentUnreachable
from ..agents.link import DeviceLink
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord
from .boot import BootSecrets
from .deadlines import Deadlines
from .deletion import Deletion
from .identity import Identity, Ready
from .orphans import Orphans
from .pods import Pods, Reach
from .provisioner import Outcome, Provisioner
from .roster import Roster
from .statistics import Statistics

logger = logging.getLogger(__name__)


class Mark(Protocol):
    """Has peers looked at in the next turn."""

    def __call__(self, peers: Set[Key], *, wake: bool) -> None:
        """``wake``: now; otherwise when the next turn comes anyway, at the latest after the pause for a failure."""
        ...


BATCH = 500
"""Peers that go through the steps together: enough to share writes of address blocks, few enough to show progress."""
ROOM = Key("", "")
"""Stands among the peers' deadlines for the moment at which the server may have room again."""


class ServerWork:
    """What is known of one server and its device, and what is done about it. Calls are never concurrent."""

    def __init__(
        self,
        services: Services,
        key: Key,
        uid: str,
        deadlines: Deadlines,
        mark: Mark,
    ) -> None:
        self.uid = uid
        self._key = key
        self._services = services
        self._cache = services.cache
        self._deadlines = deadlines
        self._mark = mark
        self._served: WireGuardServer | None = None
        self._seen: tuple[object, ...] = ()
        self._ready: Ready | None = None
        self._complete = False
        """Whether every peer has been looked at once; before that, a push would cut those who are still to come."""
        members: dict[Key, PeerRecord] = {}
        claims = Claims()
        self._link = DeviceLink()
        self._statistics = Statistics(services, claims, members)
        self._roster = Roster(self._link, claims, self._statistics, members)
        self._pods = Pods(services)
        self._boot = BootSecrets(services.secrets)
        self._reach: Reach | None = None
        self._own = Identity(services.secrets, services.authority)
        self._provisioner = Provisioner(services)
        self._orphans = Orphans(services.client, key)
        self._deletion = Deletion(services.client, services.cache)
        self._releasing: set[str] = set()
        """UIDs whose addresses are free as soon as the device does not know them any more."""

    def is_settled(self) -> bool:
        """Whether the agent has acknowledged all that is wanted."""
        return self._ready is not None and self._link.is_settled()

    def is_rotating(self) -> bool:
        """Whether a peer's new key waits to be used."""
        return bool(self._provisioner.rotating)

    def look_for_orphans(self) -> None:
        """Read the address blocks again at the next turn, and give back what nobody holds any more."""
        self._orphans.due = True

    async def turn(self, server: ServerRecord, dirty: set[Key]) -> bool:
        """Do what is to be done, also for what is added to ``dirty``; whether nothing is left over.

        Raises KubeError when it has to be tried again.
        """
        if ROOM in dirty:
            self._has_room(server)
        dirty |= await self._serve(server)
        keeps = await self._deletion.keeps(server, self._provisioner.addresses.held_by)
        well = await self._bring_about(server, self._judge(dirty, server, keeps=keeps))
        if keeps:
            await self._release(server)
        else:  # the blocks go with the server, and in a namespace that goes nothing can be written
            await self.take_leave()
        await self._deletion.settle(server, keeps=keeps)
        return well

    async def take_leave(self) -> None:
        """The server is gone: take its peers off the device, as far as the agent can still be reached."""
        if self._served is None or not self._complete:
            return
        for record in self._roster.members():
            # Who went in the last moment has not been looked at, and its last usage not been told.
            if self._cache.peers.get(record.key) is not record:
                self._roster.part_with(record)
        self._link.clear()
        try:
            ack = await self._link.push(self._agent(self._served))
            self._take_word(ack)
        except AgentError as error:
            logger.warning("server %s is gone, but its tunnels stay until its agent is stopped: %s", self._key, error)

    async def read_counters(self, server: ServerRecord) -> bool:
        """Take the agent's counters in; whether it still holds what it should. Raises AgentError."""
        page = await self._link.counters(self._agent(server.server), self._statistics.cursor)
        self._statistics.take(page, server)
        rotated, self._statistics.rotated = self._statistics.rotated, {}
        rotated = {peer: key for peer, key in rotated.items() if peer in self._provisioner.rotating}
        self._provisioner.rotated |= rotated
        self._mark(set(rotated), wake=True)
        return self._link.is_settled()

    async def save_boot(self, server: ServerRecord) -> None:
        """Have what a new pod boots from be what the agent holds. Raises KubeError."""
        held = self._link.acknowledged()
        if held is not None and server.server.metadata.deletion_timestamp is None:
            await self._boot.save(server.server, *held)

    def agent_failed(self, server: ServerRecord, error: AgentError) -> None:
        """The agent did not do what it was asked."""
        problem = Problem(error.reason, str(error))
        if error.reason is Reason.AGENT_UNREACHABLE:
            problem = self._pods.explain(server.server) or problem
        if server.facts.program_problem != problem:
            logger.warning("server %s: %s", self._key, error)
        server.facts.program_problem = problem
        self._roster.trouble(problem)

    def report(self, server: ServerRecord) -> None:
        """Have the server's status written."""
        self._statistics.summarize(server)
        self._services.statuses.submit(server)

    async def _serve(self, server: ServerRecord) -> set[Key]:
        """Bring the server's own things about; the peers that have to be looked at because one of them changed."""
        store = self._provisioner.addresses
        reread = await self._read_blocks(server)
        seen = (server.server.metadata.generation, server.server.metadata.deletion_timestamp, server.server.spec)
        changed = seen != self._seen
        if changed or reread or server.facts.network_problem is not None:
            self._provisioner.open(server)
        if changed or reread:
            server.facts.room_problem = None
        await self._find_reach(server)
        ready = await self._own.reconcile(server, self._provisioner.networks)
        if ready is not None:
            self._link.set_interface(ready.interface)
        members = self._cache.peers_of(self._key)
        if reread:
            known = {self._cache.peers[key].uid for key in members} | self._roster.uids()
            self._releasing |= await self._orphans.find(store, known)
        everybody = changed or ready != self._ready
        self._ready, self._seen, self._served = ready, seen, server.server
        if everybody:
            return set(members)
        # Blocks that were lost are written anew from what the statuses say.
        return {key for key in members if reread and not store.holds(self._cache.peers[key].uid)}

    async def _read_blocks(self, server: ServerRecord) -> bool:
        """Read the address blocks where that is due; whether they were."""
        store = self._provisioner.addresses
        if store.is_loaded and not self._orphans.due:
            return False
        try:
            await store.load(server.server)
        except KubeError as error:
            if not store.is_loaded:
                raise
            # Peers have to be cut with the API server away, too.
            logger.info("server %s: the search for orphaned addresses is put off: %s", self._key, error)
            return False
        return True

    async def _find_reach(self, server: ServerRecord) -> None:
        self._reach = reach = await self._pods.reconcile(server.server)
        server.facts.endpoint = reach.endpoint if isinstance(reach.endpoint, str) else None
        server.facts.endpoint_problem = None if isinstance(reach.endpoint, str) else reach.endpoint
        server.facts.pod_problem = reach.problem

    def _judge(self, dirty: set[Key], server: ServerRecord, *, keeps: bool) -> list[PeerRecord]:
        """Take from the desired state what does not belong there any more; the peers to provide for, oldest first."""
        serving = []
        now = self._services.clock()
        for key in dirty:
            record, former = self._cache.peers.get(key), self._roster.member(key)
            if former is not None and former is not record:
                self._mark(self._roster.part_with(former) | self._provisioner.forget(former), wake=True)
                self._releasing.add(former.uid)
            if record is None or record.server_key != self._key:
                self._deadlines.set(key, None)
                continue
            seated = keeps and bool(self._provisioner.addresses.held_by(record.uid))
            labels = self._cache.namespace(key.namespace).labels
            verdict = judge(Situation(record.peer, self._key, server.server, now, labels, seated))
            record.facts.verdict = verdict
            self._deadlines.set(key, verdict.until)
            self._roster.take_in(record)
            self._provisioner.wish(record)
            if not verdict.admitted:
                self._roster.withdraw(record)
            if _is_provided_for(verdict):
                self._releasing.discard(record.uid)
                serving.append(record)
        # Who names its addresses comes first: others can take any.
        return sorted(serving, key=lambda record: (not record.peer.spec.addresses, record.claim(now)))

    async def _bring_about(self, server: ServerRecord, serving: list[PeerRecord]) -> bool:
        """Cuts first, then address, Secret and device for the others; whether nothing is left over."""
        if self._ready is None:
            await self._push(server)  # cuts wait for nothing
            for record in serving:
                record.facts.program_problem = Problem(
                    Reason.SERVER_NOT_READY, f"WireGuardServer {self._key.name} is not ready; its conditions say why"
                )
            return False
        well, all_done = await self._push(server), True
        for start in range(0, len(serving), BATCH):
            outcome = await self._provisioner.prepare(server, self._ready, serving[start : start + BATCH])
            self._take(outcome)
            all_done = all_done and not outcome.failed
            well = await self._push(server)
        if not self._complete:
            self._complete = True
            self._roster.expect_word_on_all()
            well = await self._push(server)
        return well and all_done

    def _take(self, outcome: Outcome) -> None:
        now = self._services.clock()
        concerned = set(outcome.concerned)
        for record, ring in outcome.placeable:
            concerned |= self._roster.place(record, ring, now)
        for key, moment in outcome.moments.items():
            self._deadlines.set(ROOM if key in outcome.homeless else key, moment, sooner=True)
        self._mark(concerned, wake=True)
        self._mark(outcome.failed, wake=False)
        for key in outcome.homeless:
            self._cache.place(key, None)

    async def _push(self, server: ServerRecord) -> bool:
        """Have the agent do what is wanted; whether it did."""
        if not self._complete:
            return True
        try:
            ack = await self._link.push(self._agent(server.server))
        except AgentError as error:
            self.agent_failed(server, error)
            return False
        self._take_word(ack)
        server.facts.programmed, server.facts.program_problem = True, None
        server.facts.data_plane, server.facts.warnings = self._link.data_plane, self._link.warnings
        return True

    def _take_word(self, ack: Ack | None) -> None:
        """What the agent has acknowledged becomes known."""
        for record in self._roster.confirm(ack) if ack is not None else ():
            self._services.statuses.submit(record)
        for record in self._roster.gone():
            self._say_farewell(record)

    def _say_farewell(self, record: PeerRecord) -> None:
        """What a peer used here goes on with it to its next server, or is said for good."""
        facts, successor = record.facts, self._cache.peers.get(record.key)
        if successor is not None and successor.uid == record.uid:
            rest = usage.growth(record.moved_with, facts.traffic)
            successor.facts.traffic = usage.add(successor.facts.traffic, rest)
        elif facts.traffic is not None:
            news = events.farewell(facts.traffic)
            logger.info("peer %s is gone: %s", record.key, news.message)
            self._services.events.tell(PEERS, record.peer, news)

    async def _release(self, server: ServerRecord) -> None:
        """Give back the addresses of peers that the device does not know any more."""
        if self._releasing and self._link.is_settled():
            gone = set(self._releasing)
            until = self._services.clock() + timedelta(seconds=self._services.settings.cool_down)
            anything = await self._provisioner.addresses.release(gone, until)
            self._releasing -= gone
            if anything:
                self._has_room(server)
            else:  # nor is there more room than before, or whoever was sent away for want of it would be sent back
                self._services.placer.wake()

    def _has_room(self, server: ServerRecord) -> None:
        """Those who found none may find some now."""
        server.facts.room_problem = None
        self._mark(self._provisioner.starved(), wake=True)
        self._services.placer.wake()

    def _agent(self, server: WireGuardServer) -> AgentClient:
        if self._reach is None or self._reach.agent_url is None:
            raise AgentUnreachable("the Service of the agent has no address yet")
        name = agent_name(server.metadata.namespace, server.metadata.name)
        return AgentClient(self._services.http, self._services.authority.context(), self._reach.agent_url, name)


def _is_provided_for(verdict: Verdict) -> bool:
    """Whether a peer gets addresses and keys. One that is only switched off does, to be ready when it is back."""
    objection = verdict.objection
    return objection is None or objection.accepted or objection.reason is Reason.SERVER_DISABLED
