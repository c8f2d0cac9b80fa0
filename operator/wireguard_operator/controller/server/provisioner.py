"""What a peer needs before it goes on the device: addresses, routes, keys and the Secret; a batch of peers at a time.

Whatever cannot be had is written down in the peer's facts and tried again: at the time that is known, or when something
of the server changes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...api.base import Key
from ...api.reasons import Reason
from ...api.server import MAX_PEERS
from ...domain import networks
from ...domain.addresses import AllocationError, Holder
from ...domain.capabilities import Capability
from ...domain.conditions import Problem
from ...domain.networks import Address, Network
from ...domain.routes import RouteTable
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord
from .address_store import AddressStore, Request
from .foreign import ForeignServer
from .identity import Ready
from .peer_keys import PeerKeys, Work


@dataclass(slots=True)
class Outcome:
    """What came of a batch."""

    placeable: list[Work] = field(default_factory=list)
    """Peers that can go on the device, with their keys."""
    failed: set[Key] = field(default_factory=set)
    """Peers to be tried again soon."""
    concerned: set[Key] = field(default_factory=set)
    """Other peers that have to be looked at."""
    moments: dict[Key, datetime] = field(default_factory=dict)
    """When a peer has to be looked at again."""
    homeless: set[Key] = field(default_factory=set)
    """Peers with a selector that found no room here."""
    released: Set[str] = frozenset()
    """UIDs whose addresses were given back."""


class Provisioner:
    """Provides for the peers of one server."""

    def __init__(self, services: Services, foreign: ForeignServer | None = None) -> None:
        self._services = services
        self._foreign = foreign
        self.addresses = AddressStore(services.client)
        self.keys = PeerKeys(services, foreign)
        self.rotated: dict[Key, str] = {}
        """The new public keys of peers that use them."""
        self._routes = RouteTable()
        self.networks: tuple[Network, ...] = ()
        """Those in force."""
        self.rotating: set[Key] = set()
        """Peers whose former keys still work."""
        self._starved: set[Key] = set()
        """Peers that want something which others have."""
        self.freed = False
        """Whether addresses were given back of which nobody has been told."""

    def open(self, record: ServerRecord) -> None:
        """Settle which networks are in force. ``load`` comes first."""
        server, facts = record.server, record.facts
        spec = server.spec
        in_force = networks.parse(facts.networks or server.status.networks)
        held = [(address, holder.peer) for address, holder in self.addresses.held()]
        plan = networks.plan(networks.parse(spec.networks), in_force, held)
        facts.network_problem = plan.problem
        facts.capacity = networks.capacity(spec, plan.networks)
        self.addresses.open(plan.networks, networks.parse(spec.reserved))
        if plan.networks != self.networks:
            self._routes = RouteTable(plan.networks)
            facts.room_problem = None
        self.networks = plan.networks

    def starved(self) -> set[Key]:
        """Take the peers that want something which others had: there may be something for them now."""
        starved, self._starved = self._starved, set()
        return starved

    def forget(self, record: PeerRecord) -> set[Key]:
        """The peer has left this server; the peers that this concerns."""
        self.keys.forget(record.uid)
        self.addresses.wish(record.uid, ())
        self.rotated.pop(record.key, None)
        self.rotating.discard(record.key)
        self._starved.discard(record.key)
        # The addresses that it named need not be kept from others any more.
        waiting = self.starved() if record.peer.spec.addresses else set[Key]()
        return self._routes.withdraw(record.key) | waiting

    def wish(self, record: PeerRecord) -> None:
        """Keep the addresses that the peer names from being given to others."""
        self.addresses.wish(record.uid, self._wanted(record))

    async def prepare(
        self, server: ServerRecord, ready: Ready, batch: Sequence[PeerRecord], leaving: Set[str] = frozenset()
    ) -> Outcome:
        """Give back what the UIDs in ``leaving`` hold, and provide for a batch.

        Raises KubeError when nothing could be done.
        """
        outcome = Outcome()
        now = self._services.clock()
        rest_until = now + timedelta(seconds=self._services.settings.cool_down)
        if leaving:
            self.freed |= await self.addresses.release(leaving, rest_until)
            outcome.released = leaving
        if not batch:
            return outcome
        requests = [Request(_holder(record), self._wanted(record), _remembered(record)) for record in batch]
        results = await self.addresses.take(requests, server.server.spec.max_peers or MAX_PEERS, now, rest_until)
        seated = [record for record in batch if self._seat(record, results[record.uid], server, outcome)]
        for record in seated:
            self._route(record, now, outcome)
        work, failed = await self.keys.rings(seated, self.rotated)
        outcome.failed |= failed | await self.keys.write(server.server, ready, work)
        # Keys that are in no Secret yet would be lost with this process, and with them the tunnel.
        outcome.placeable = [(record, ring) for record, ring in work if self.keys.is_saved(record, ring)]
        for record, ring in outcome.placeable:
            if ring.previous is not None:
                self.rotating.add(record.key)
                outcome.moments[record.key] = ring.previous.until
            else:
                self.rotating.discard(record.key)
            if ring.previous is None or self.rotated.get(record.key) != ring.current.public:
                self.rotated.pop(record.key, None)  # else the word came meanwhile, and the next batch heeds it
        return outcome

    def _can(self, capability: Capability) -> bool:
        return self._foreign is None or self._foreign.can(capability)

    def _wanted(self, record: PeerRecord) -> tuple[Address, ...]:
        """The addresses that the peer names, where anybody can give it those."""
        named = record.peer.spec.addresses if self._can(Capability.ADDRESSES) else ()
        return tuple(ipaddress.ip_address(text) for text in named)

    def _seat(
        self,
        record: PeerRecord,
        result: tuple[Address, ...] | AllocationError,
        server: ServerRecord,
        outcome: Outcome,
    ) -> bool:
        facts = record.facts
        # Who cannot have what it wants goes on with what it has: a wish that cannot be granted cuts nobody.
        held = self.addresses.held_by(record.uid) if isinstance(result, AllocationError) else result
        facts.addresses = tuple(f"{address}/{address.max_prefixlen}" for address in held)
        if not self._can(Capability.ADDRESSES):
            facts.seated, facts.addresses = bool(held), ()
        if not isinstance(result, AllocationError):
            facts.address_problem = None
            return True
        facts.address_problem = Problem(result.reason, str(result))
        if result.reason in (Reason.POOL_EXHAUSTED, Reason.SERVER_FULL):
            server.facts.room_problem = facts.address_problem
            if record.peer.spec.server_selector is not None and not held:
                outcome.homeless.add(record.key)
        self._starved.add(record.key)
        if result.until is not None:
            outcome.moments[record.key] = result.until
        return bool(held)

    def _route(self, record: PeerRecord, now: datetime, outcome: Outcome) -> None:
        facts = record.facts
        routes = networks.parse(record.peer.spec.routes) if self._can(Capability.ROUTES) else ()
        outcome.concerned |= self._routes.enter(record.claim(now), routes)
        facts.routes = tuple(map(str, self._routes.granted(record.key)))
        refused = self._routes.refused(record.key)
        facts.route_problem = Problem(Reason.ROUTE_CONFLICT, "; ".join(refused)) if refused else None


def _holder(record: PeerRecord) -> Holder:
    return Holder(record.uid, str(record.key))


def _remembered(record: PeerRecord) -> tuple[Address, ...]:
    status = record.peer.status
    if status.server_ref is None or status.server_ref.key != record.server_key:
        return ()
    return tuple(ipaddress.ip_interface(text).ip for text in status.addresses)
