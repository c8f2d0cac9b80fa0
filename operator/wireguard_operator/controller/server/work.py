"""The way from changed objects to the device and back into their statuses, for one server.

what changed → judge (pure) → cuts to the agent → addresses, keys, Secrets → the rest to the agent → statuses

A turn is short: it never waits for addresses and Secrets, which are the business of the intake. So a peer that must be
cut waits for one exchange with the agent at most, however many others are just coming.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from ...api.base import Key
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain.claims import Claims
from ...domain.conditions import Problem
from ..agents.client import AgentClient, AgentError
from ..agents.link import DeviceLink
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord
from .boot import BootSecrets
from .carrier import Carrier
from .deadlines import Deadlines
from .deletion import Deletion
from .delivery import Delivery
from .foreign import ForeignServer
from .holders import Holders
from .identity import Identity, Ready
from .intake import FOREIGN_BATCH, Intake
from .lifecycle import ROOM, Lifecycle, Mark
from .orphans import Orphans
from .provisioner import Provisioner
from .roster import Roster
from .statistics import Statistics


class ServerWork:
    """What is known of one server and its device, and what is done about it. Calls are never concurrent."""

    def __init__(
        self,
        services: Services,
        key: Key,
        uid: str,
        deadlines: Deadlines,
        mark: Mark,
        wake: Callable[[], None],
        told: dict[Key, float],
    ) -> None:
        """``told``: when (monotonic) a watch told of each change; what is carried out is taken from there."""
        self.uid = uid
        self._key = key
        self._services = services
        self._cache = services.cache
        self._mark = mark
        self._wake = wake
        self._served: WireGuardServer | None = None
        self._seen: tuple[object, ...] = ()
        self._ready: Ready | None = None
        self._keeps = True
        """Whether the server goes on to exist."""
        members: dict[Key, PeerRecord] = {}
        claims = self._claims = Claims()
        self._link = DeviceLink(partial(services.metrics.state_sent, key))
        self._statistics = Statistics(services, key, claims, members)
        self._roster = Roster(self._link, claims, self._statistics, members)
        self._holders = Holders(services.cache, key, self._roster, claims)
        self._boot = BootSecrets(services.secrets)
        self._own = Identity(services.secrets, services.authority)
        foreign = self._foreign = self._find_foreign()
        self._carrier = Carrier(services, key, self._link, foreign, self._read_last, wake)
        self._provisioner = Provisioner(services, foreign)
        most = FOREIGN_BATCH if foreign is not None else None
        self._intake = Intake(self._provisioner, services.clock, self._provisioner.keys.may_be_in_use, wake, most)
        self._lifecycle = Lifecycle(
            services, self._roster, self._holders, self._provisioner, self._intake, foreign, deadlines, mark
        )
        self._delivery = Delivery(services, self._link, self._carrier, self._roster, self._intake, told)
        self._orphans = Orphans(
            services.client, key, self._provisioner.addresses, self._intake.is_idle, self._holders.uids
        )
        self._deletion = Deletion(services.client, services.cache)

    def is_settled(self) -> bool:
        """Whether the agent has acknowledged all that is wanted."""
        return self._ready is not None and self._link.is_settled()

    def has_looked(self) -> bool:
        """Whether all who may be on the device have been looked at, or the server is in no state to do so."""
        return self._delivery.is_open or self._ready is None

    def is_rotating(self) -> bool:
        """Whether a peer's new key waits to be used."""
        return bool(self._provisioner.rotating)

    def look_for_orphans(self) -> None:
        """Read the address blocks again at the next turn, and give back what nobody holds any more."""
        self._orphans.due = True

    def is_idle(self) -> bool:
        """Whether nobody waits to be provided for."""
        return self._intake.is_idle()

    def waiting(self) -> int:
        """How many peers wait to be provided for."""
        return self._intake.waiting()

    def leaving(self) -> int:
        """How many keys should be off the device, and may be on it."""
        return self._roster.leaving()

    def awaits(self, peer: Key) -> bool:
        """Whether it is too early for a word on the peer: it is still being provided for."""
        return self._intake.has(peer)

    async def turn(self, server: ServerRecord, dirty: set[Key], *, own: bool) -> bool:
        """Do what can be done now, also for what is added to ``dirty``; whether nothing has to be tried again.

        ``own``: the server, or something of its own, may not be as it was. Raises KubeError when it has to be tried
        again.
        """
        began = time.monotonic()
        if self._foreign is not None and self._foreign.take_news():
            self._link.doubt()  # it says what it has come to when it is asked
            own = True
            dirty |= {key for void in self._foreign.void_keys() if (key := self._claims.holder(void)) is not None}
        if ROOM in dirty:
            self._lifecycle.has_room(server)
        if self._delivery.is_open:
            # Cuts wait for nothing, not even for the API server.
            self._lifecycle.judge(dirty, server, keeps=self._keeps)
            await self._delivery.push(server)
        facts = server.facts
        own = own or self._ready is None or facts.network_problem is not None or facts.pod_problem is not None
        own = own or self._orphans.may_search()
        concerned = await self._serve(server) if own else set[Key]()
        self._keeps = await self._deletion.keeps(server, self._provisioner.addresses.held_by)
        changed = concerned if self._delivery.is_open else dirty | concerned
        self._lifecycle.judge(changed, server, keeps=self._keeps)
        if self._orphans.look_back():
            self._wake()
        dirty |= concerned
        well = await self._provide(server, dirty)
        if self._keeps:
            if self._ready is not None:
                self._intake.start(server, self._ready, self._leaving())
        else:  # the blocks go with the server, and in a namespace that goes nothing can be written
            await self.take_leave()
        await self._deletion.settle(server, keeps=self._keeps)
        if self.is_settled():
            self._delivery.forget_told(began)
        return well

    async def close(self) -> None:
        """Stop what is under way. The device goes on as it is."""
        await self._intake.stop()
        await self._carrier.close()

    async def take_leave(self) -> None:
        """The server is gone: take its peers off the device, as far as the agent can still be reached."""
        await self._intake.stop()
        if self._foreign is not None:
            self._foreign.leave(frozenset(self._holders.uids() if self._delivery.is_open else ()))
        elif self._served is not None and self._delivery.is_open:
            await self._delivery.clear(self._served)

    async def read_counters(self, server: ServerRecord) -> bool:
        """Take the agent's counters in; whether it still holds what it should. Raises AgentError."""
        page = await self._statistics.read(partial(self._link.counters, self._carrier.agent(server.server)))
        self._statistics.round(server, page.now)
        await self._carrier.read_places(server.server)
        rotated, self._statistics.rotated = self._statistics.rotated, {}
        rotated = {peer: key for peer, key in rotated.items() if peer in self._provisioner.rotating}
        self._provisioner.rotated |= rotated
        self._mark(set(rotated), wake=True)
        return self._link.is_settled()

    async def look_after_pods(self, server: ServerRecord) -> bool:
        """See to it that one of several pods serves; whether to look again at once. Raises KubeError, AgentError."""
        return await self._carrier.look_after_pods(server.server, complete=self._delivery.is_open)

    async def save_boot(self, server: ServerRecord) -> None:
        """Have what a new pod boots from be what the agent holds. Raises KubeError."""
        held = self._link.acknowledged()
        going = server.server.metadata.deletion_timestamp is not None
        # In a namespace that goes nothing can be made any more.
        if held is not None and not going and not self._cache.namespace(server.key.namespace).terminating:
            await self._boot.save(server.server, *held)

    def agent_failed(self, server: ServerRecord, error: AgentError) -> None:
        """The agent did not do what it was asked."""
        self._delivery.failed(server, error)

    def report(self, server: ServerRecord) -> None:
        """Have the server's status written, unless it is too early to say anything."""
        if not self.has_looked():
            return
        self._statistics.summarize(server)
        self._carrier.describe(server)
        self._services.statuses.submit(server)

    async def _serve(self, server: ServerRecord) -> set[Key]:
        """Bring the server's own things about; the peers that have to be looked at because one of them changed."""
        store = self._provisioner.addresses
        seen = (server.server.metadata.generation, server.server.metadata.deletion_timestamp, server.server.spec)
        changed = seen != self._seen
        if changed:
            await self._intake.stop()  # what it builds on is about to change
        reread = await self._orphans.read(server)
        refused = server.facts.network_problem is not None
        if changed or reread or (refused and self._intake.is_idle()):
            self._provisioner.open(server)
        if changed or reread:
            server.facts.room_problem = None
        await self._carrier.find(server)
        ready = await (self._foreign or self._own).reconcile(server, self._provisioner.networks)
        if ready is not None:
            self._link.set_interface(ready.interface)
        members = self._cache.peers_of(self._key)
        if reread:
            self._holders.leaving |= await self._orphans.find()
        everybody = changed or ready != self._ready
        if ready != self._ready:
            await self._intake.stop()
        self._ready, self._seen, self._served = ready, seen, server.server
        if everybody:
            return set(members)
        # Blocks that were lost are written anew from what the statuses say.
        return {key for key in members if reread and not store.holds(self._cache.peers[key].uid)}

    async def _provide(self, server: ServerRecord, dirty: set[Key]) -> bool:
        """Take the batch that has ended to the agent while the next one begins; whether all of it went well.

        Those of whom there is something to say now are added to ``dirty``.
        """
        self._lifecycle.take_back(self._intake.lost())
        if self._ready is None:
            await self._delivery.push(server)
            for record in self._intake.clear():
                record.facts.program_problem = Problem(
                    Reason.SERVER_NOT_READY, f"WireGuardServer {self._key.name} is not ready; its conditions say why"
                )
                dirty.add(record.key)
            return False
        finished, all_done = self._intake.finished(), True
        leaving = self._leaving()
        if finished is not None:
            leaving -= finished.outcome.released
            self._lifecycle.take(finished, server)
            dirty.update(record.key for record in finished.records)
            all_done = not finished.outcome.failed
        self._intake.start(server, self._ready, leaving)
        if finished is not None and self._orphans.may_search():
            self._wake()
        if not self._delivery.is_open and not self._intake.has_known():
            self._delivery.open()
        return await self._delivery.push(server) and all_done

    def _leaving(self) -> frozenset[str]:
        """Whose addresses can be given back: no device knows them any more, and the server stays."""
        if not self._keeps:
            return frozenset()
        return self._carrier.gone(self._holders.leaving, complete=self._delivery.is_open)

    async def _read_last(self, agent: AgentClient) -> None:
        """Take in what a device has counted that serves no longer. Raises AgentError."""
        await self._statistics.read(agent.counters)

    def _find_foreign(self) -> ForeignServer | None:
        """What works with the foreign system behind the server, if there is one."""
        record = self._cache.servers.get(self._key)
        if record is None or not record.server.spec.data_plane.type.is_foreign:
            return None
        return ForeignServer(self._services, record.server, self._holders.accounts, self._holders.owner, self._wake)
