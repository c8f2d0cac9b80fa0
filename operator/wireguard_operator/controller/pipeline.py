"""The way from changed objects to the device and back into their statuses; one pipeline per server.

    what changed → judge (pure) → cuts to the agent → addresses → Secrets → the rest to the agent → statuses

All work on a server happens here and in turns, so nothing in it needs a lock, and a server in trouble holds up
nobody else. Everything is level-triggered: whatever fails stays marked and is tried again, and a turn repeated
after a crash finds its own results.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from ..agent.protocol import agent_name
from ..api.base import Key
from ..api.server import WireGuardServer
from ..domain.addresses import Address, AllocationError, Holder
from ..domain.claims import Claims
from ..domain.lifecycle import Situation, judge
from ..domain.peer_status import Problem
from ..kube.errors import KubeError
from .address_store import AddressStore
from .agent_client import AgentClient, AgentError
from .deadlines import Deadlines
from .device_link import DeviceLink
from .peer_reconciler import PeerReconciler
from .records import PeerRecord, ServerRecord
from .roster import Roster
from .server_reconciler import Ready, ServerReconciler
from .services import Services
from .statistics import Statistics

logger = logging.getLogger(__name__)

BATCH = 500
"""Peers that go through the steps together: enough to share writes of address blocks, few enough to show progress."""
RETRY_FIRST, RETRY_LAST = 0.5, 30.0
"""Seconds between tries while something does not work; doubled each time."""


class Pipeline:
    """All work on one server; it exists as long as the server or peers that name it."""

    def __init__(self, services: Services, server: Key) -> None:
        self._services = services
        self._key = server
        self._wake = asyncio.Event()
        self._delay = RETRY_FIRST
        self._dirty: set[Key] = set()
        self._deadlines = Deadlines(services.clock, self.peer_changed)
        self._start(None)

    def _start(self, uid: str | None) -> None:
        """Begin with a server of which nothing is known but its UID."""
        services = self._services
        self._uid = uid
        self._served: WireGuardServer | None = None
        self._generation = 0
        self._ready: Ready | None = None
        self._complete = False
        """Whether every peer has been looked at once; before that, a push would cut those who are still to come."""
        self._addresses = AddressStore(services.client)
        self._link = DeviceLink()
        claims = Claims()
        self._statistics = Statistics(services, claims)
        self._roster = Roster(self._link, claims, self._statistics)
        self._own = ServerReconciler(services.secrets, services.authority)
        self._peers = PeerReconciler(services.secrets)
        self._releasing: set[str] = set()
        """UIDs whose addresses are free as soon as the device does not know them any more."""
        self._dirty |= services.cache.peers_of(self._key)

    def server_changed(self) -> None:
        """The server or something of its own changed."""
        self._wake.set()

    def peer_changed(self, peer: Key) -> None:
        """A peer came, changed or went."""
        self._dirty.add(peer)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._work())
            group.create_task(self._watch_counters())
            group.create_task(self._deadlines.run())

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                well = await self._turn()
            except KubeError as error:
                logger.warning("server %s: %s", self._key, error)
                well = False
            except Exception:
                # A mistake of ours must not end the work on this server for good.
                logger.exception("server %s: a turn failed", self._key)
                well = False
            if well:
                self._delay = RETRY_FIRST
            else:
                asyncio.get_running_loop().call_later(self._delay, self._wake.set)
                self._delay = min(self._delay * 2, RETRY_LAST)

    async def _watch_counters(self) -> None:
        while True:
            await asyncio.sleep(self._services.settings.stats_interval)
            server = self._server()
            if server is None or self._ready is None or not self._link.is_settled():
                continue
            try:
                page = await self._link.counters(self._agent(server.server), self._statistics.cursor)
            except AgentError as error:
                self._agent_failed(server, error)
                self._wake.set()
            else:
                self._statistics.take(page, server)
                if not self._link.is_settled():
                    self._wake.set()
            self._report(server)

    def _server(self) -> ServerRecord | None:
        return self._services.cache.servers.get(self._key)

    async def _turn(self) -> bool:
        """Do what is to be done; whether nothing is left over."""
        server = self._server()
        if (server.uid if server else None) != self._uid:
            await self._take_leave()
            self._start(server.uid if server else None)
        if server is not None:
            await self._serve(server)
        dirty, self._dirty = self._dirty, set()
        try:
            serving = self._judge(dirty, server)
            return await self._bring_about(server, serving) if server is not None else True
        except BaseException:
            self._dirty |= dirty
            raise
        finally:
            for key in dirty:
                record = self._services.cache.peers.get(key)
                if record is not None and record.server_key == self._key:
                    self._services.statuses.submit(record)
            if server is not None:
                self._report(server)

    async def _take_leave(self) -> None:
        """The server is gone: take its peers off the device, as far as the agent can still be reached."""
        if self._served is None or not self._complete:
            return
        self._link.clear()
        try:
            await self._link.push(self._agent(self._served))
        except AgentError as error:
            logger.warning("server %s is gone, but its tunnels stay until its agent is stopped: %s", self._key, error)

    async def _serve(self, server: ServerRecord) -> None:
        """Bring the server's own things about; when one of them changed, every peer has to be looked at."""
        ready = await self._own.reconcile(server)
        if ready is not None:
            self._link.set_interface(ready.interface)
        if not self._addresses.is_loaded:
            await self._addresses.load(server.server)
            known = {record.uid for record in self._services.cache.peers.values()}
            self._releasing |= await self._addresses.orphans(known)
        generation = server.server.metadata.generation
        if ready != self._ready or generation != self._generation:
            self._dirty |= self._services.cache.peers_of(self._key)
        self._ready, self._generation, self._served = ready, generation, server.server

    def _judge(self, dirty: set[Key], server: ServerRecord | None) -> list[PeerRecord]:
        """Take from the desired state what does not belong there any more; the peers to go on with."""
        serving = []
        now = self._services.clock()
        for key in sorted(dirty):
            record = self._services.cache.peers.get(key)
            former = self._roster.member(key)
            if former is not None and (record is None or record.uid != former.uid or record.server_key != self._key):
                self._mark(self._roster.part_with(former))
                self._peers.forget(former.uid)
                self._releasing.add(former.uid)
            if record is None or record.server_key != self._key:
                self._deadlines.set(key, None)
                continue
            facts = record.facts
            facts.verdict = judge(Situation(record.peer, server.server if server else None, now))
            self._deadlines.set(key, facts.verdict.until)
            if server is None:
                facts.addresses, facts.on_device, facts.settled = (), False, True
                continue
            self._roster.take_in(record)
            if not facts.verdict.admitted:
                self._roster.withdraw(record)
            serving.append(record)
        return serving

    async def _bring_about(self, server: ServerRecord, serving: list[PeerRecord]) -> bool:
        """Cuts first, then address, Secret and device for the others; whether nothing is left over."""
        if self._ready is None:
            for record in serving:
                record.facts.program_problem = Problem("ServerNotReady", "the server has no keys yet", passing=True)
            return False
        well = await self._push(server)
        for start in range(0, len(serving), BATCH):
            failed = await self._prepare(server.server, self._ready, serving[start : start + BATCH])
            self._dirty |= failed
            well = await self._push(server) and not failed
        if not self._complete:
            self._complete = True
            well = await self._push(server) and well
        await self._release()
        return well

    async def _prepare(self, server: WireGuardServer, ready: Ready, batch: list[PeerRecord]) -> set[Key]:
        """Addresses, keys, Secrets and places in the desired state; the peers to be tried again."""
        now = self._services.clock()
        results = await self._addresses.take([Holder(record.uid, str(record.key)) for record in batch], now)
        work = [
            (record, self._peers.keys(record)) for record in batch if self._has_address(record, results[record.uid])
        ]
        failed = await self._peers.write(server, ready.public_key, work)
        for record, keys in work:
            # Keys that are in no Secret yet would be lost with this process, and with them the tunnel.
            if self._peers.is_saved(record, keys):
                self._mark(self._roster.place(record, keys, now))
        return failed

    def _has_address(self, record: PeerRecord, result: tuple[Address, ...] | AllocationError) -> bool:
        facts = record.facts
        if isinstance(result, AllocationError):
            facts.address_problem = Problem(result.reason, str(result))
            return False
        facts.address_problem = None
        facts.addresses = tuple(f"{address}/{address.max_prefixlen}" for address in result)
        return True

    def _mark(self, peers: set[Key]) -> None:
        if peers:
            self._dirty |= peers
            self._wake.set()

    def _agent(self, server: WireGuardServer) -> AgentClient:
        name = agent_name(server.metadata.namespace, server.metadata.name)
        context = self._services.authority.context()
        return AgentClient(self._services.http, context, server.spec.data_plane.host.url, name)

    async def _push(self, server: ServerRecord) -> bool:
        """Have the agent do what is wanted; whether it did."""
        if not self._complete:
            return True
        try:
            ack = await self._link.push(self._agent(server.server))
        except AgentError as error:
            self._agent_failed(server, error)
            return False
        if ack is not None:
            for record in self._roster.confirm(ack):
                self._services.statuses.submit(record)
        server.facts.programmed, server.facts.program_problem = True, None
        server.facts.data_plane = self._link.data_plane
        return True

    def _agent_failed(self, server: ServerRecord, error: AgentError) -> None:
        problem = Problem(error.reason, str(error), passing=True)
        if server.facts.program_problem != problem:
            logger.warning("server %s: %s", self._key, error)
        server.facts.program_problem = problem
        self._roster.trouble(problem)

    async def _release(self) -> None:
        """Give back the addresses of peers that the device does not know any more."""
        if self._releasing and self._link.is_settled():
            gone = set(self._releasing)
            until = self._services.clock() + timedelta(seconds=self._services.settings.cool_down)
            await self._addresses.release(gone, until)
            self._releasing -= gone

    def _report(self, server: ServerRecord) -> None:
        self._statistics.summarize(server)
        self._services.statuses.submit(server)
