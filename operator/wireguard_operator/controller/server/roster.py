"""Who should be on a server's device, who is, and who waits for the agent's word. In memory only, no I/O.

The pipeline tells it what was decided and what the agent acknowledged; it keeps the desired state of the link and
the facts of the peers in step.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import datetime

from ...agent.protocol import Ack, PeerCounters
from ...api.base import Key
from ...api.reasons import Reason
from ...domain import usage
from ...domain.claims import Claims
from ...domain.conditions import Problem
from ...domain.device import DevicePeer
from ...domain.key_ring import KeyRing
from ...domain.policy import Policy
from ..agents.link import DeviceLink
from ..watch.records import PeerRecord
from .statistics import Statistics


class Roster:
    """The peers of one server."""

    def __init__(
        self, link: DeviceLink, claims: Claims, statistics: Statistics, members: dict[Key, PeerRecord]
    ) -> None:
        self._link = link
        self._claims = claims
        self._statistics = statistics
        self._members = members
        self._unconfirmed: set[Key] = set()
        """Peers whose status is not right before the agent has said something."""
        self._refused: set[Key] = set()
        self._leaving: dict[str, tuple[PeerRecord, bool]] = {}
        """By public key: taken from the device as soon as the agent says so. And whether it carried traffic there,
        which of the two keys of a rotation one does."""
        self._parted: list[PeerRecord] = []
        """Gone from this server for good, as soon as the agent says so."""

    def uids(self) -> set[str]:
        """Whoever may be on the device."""
        return {record.uid for record in self._members.values()}

    def leaving(self) -> int:
        """How many keys the agent has not confirmed to be off the device."""
        return len(self._leaving)

    def expect_word_on_all(self) -> None:
        """The agent is told of the whole for the first time: who is not part of it is not on the device any more."""
        self._unconfirmed |= self._members.keys()

    def member(self, key: Key) -> PeerRecord | None:
        """The peer as it was last taken in."""
        return self._members.get(key)

    def members(self) -> tuple[PeerRecord, ...]:
        """All peers of the server, as they were last taken in."""
        return tuple(self._members.values())

    def take_in(self, record: PeerRecord) -> None:
        """The peer belongs to this server, on the device or not."""
        self._members[record.key] = record

    def part_with(self, record: PeerRecord) -> set[Key]:
        """The peer is gone from this server for good; the peers that this concerns."""
        del self._members[record.key]
        self.withdraw(record)
        self._unconfirmed.discard(record.key)
        self._refused.discard(record.key)
        self._parted.append(record)
        return self._claims.withdraw(record.key)

    def withdraw(self, record: PeerRecord) -> None:
        """The peer should not be on the device."""
        self._take_off(record, self._claims.keys_of(record.key))
        if not self._link.is_settled():
            self._unconfirmed.add(record.key)

    def place(self, record: PeerRecord, ring: KeyRing, policy: Policy | None, now: datetime) -> set[Key]:
        """The peer should be on the device if it is admitted and the key is its own; the peers that this concerns."""
        facts = record.facts
        wanted = _device_peers(record, ring, policy)
        self._take_off(record, self._claims.keys_of(record.key) - wanted.keys())
        concerned = self._claims.enter(record.claim(now), wanted.keys())
        holder = self._claims.holder(ring.current.public)
        if holder != record.key:
            # A tenant must not learn the names of another one's peers.
            who = (
                f"peer {holder}" if holder and holder.namespace == record.key.namespace else "a peer of another tenant"
            )
            message = f"{who} is older and uses this public key; give each device a key of its own"
            facts.program_problem = Problem(Reason.DUPLICATE_PUBLIC_KEY, message)
            self._take_off(record, wanted.keys())
            facts.on_device, facts.settled = False, True
        elif facts.verdict is not None and facts.verdict.admitted:
            for public_key, peer in wanted.items():
                if self._claims.holder(public_key) == record.key:
                    self._put(record, peer, now)
        return concerned

    def trouble(self, problem: Problem) -> None:
        """The agent could not be told; those that wait for it are told why."""
        for record in self._waiting():
            if not record.facts.programmed:
                record.facts.program_problem = problem

    def confirm(self, ack: Ack) -> list[PeerRecord]:
        """The agent has done what was wanted; the peers of which it said something new."""
        final = {counters.public_key: counters for counters in ack.final}
        pending = set(ack.pending)
        for public_key, (record, carried) in list(self._leaving.items()):
            if public_key not in pending:
                del self._leaving[public_key]
                self._leave(record, final.get(public_key), ack.device, carried=carried)
        errors = {holder: text for key, text in ack.errors.items() if (holder := self._claims.holder(key))}
        told = self._waiting(errors.keys() | self._refused)
        waiting = self._waiting_for(pending)
        told = [record for record in told if record.key not in waiting]
        for record in told:
            self._settle(record, errors.get(record.key))
        self._unconfirmed = waiting & self._members.keys()
        self._refused = set(errors)
        return told

    def gone(self) -> list[PeerRecord]:
        """Take those that have left for good, by the agent's word."""
        staying = {id(record) for record, _ in self._leaving.values()}
        gone = [record for record in self._parted if id(record) not in staying]
        self._parted = [record for record in self._parted if id(record) in staying]
        return gone

    def _waiting_for(self, public_keys: Set[str]) -> set[Key]:
        """The peers of whom one of these keys is, or was and is still to leave."""
        holders = {holder for key in public_keys if (holder := self._claims.holder(key)) is not None}
        return holders | {record.key for record, _ in self._leaving.values()}

    def _put(self, record: PeerRecord, wanted: DevicePeer, now: datetime) -> None:
        before = self._link.peer(wanted.public_key)
        if before is not None and before != wanted:
            record.facts.settled = False
        if before != wanted or not record.facts.settled:
            self._unconfirmed.add(record.key)
        former, carried = self._leaving.pop(wanted.public_key, (record, False))
        if former is not record and carried:
            # The device never noticed that the key changed hands, and its counters go on.
            record.facts.traffic = usage.resume(record.facts.traffic, former.facts.traffic, now)
        self._link.put(wanted)

    def _take_off(self, record: PeerRecord, public_keys: Iterable[str]) -> None:
        for public_key in public_keys:
            if self._claims.holder(public_key) == record.key:
                if (peer := self._link.peer(public_key)) is not None:
                    self._leaving[public_key] = record, bool(peer.allowed_ips)
                    record.facts.settled = False
                    self._unconfirmed.add(record.key)
                self._link.drop(public_key)

    def _waiting(self, others: set[Key] | None = None) -> list[PeerRecord]:
        keys = self._unconfirmed | (others or set())
        return [self._members[key] for key in keys if key in self._members]

    def _settle(self, record: PeerRecord, error: str | None) -> None:
        mine = [key for key in self._claims.keys_of(record.key) if self._claims.holder(key) == record.key]
        if not mine and self._claims.keys_of(record.key):
            return  # The device knows the key, but as another peer's.
        wanted = any(self._link.peer(key) is not None for key in mine)
        record.facts.settled = True
        record.facts.on_device = wanted and error is None
        record.facts.program_problem = Problem(Reason.DEVICE_REFUSED, error) if error is not None else None

    def _leave(self, record: PeerRecord, last: PeerCounters | None, session: str, *, carried: bool) -> None:
        stays = any(self._link.peer(key) is not None for key in self._claims.keys_of(record.key))
        if carried:
            self._statistics.close(record, last, session, stays=stays)
        if not stays:
            record.facts.on_device = False


def _device_peers(record: PeerRecord, ring: KeyRing, policy: Policy | None) -> dict[str, DevicePeer]:
    """What the device should know, by public key.

    During a rotation the former key has the addresses, which can only be at one place, and the policy with them; the
    new one is there to be recognised by its first handshake.
    """
    allowed = (*record.facts.addresses, *record.facts.routes)
    keys = [(ring.current.public, ring.current.preshared)]
    if ring.previous is not None:
        keys.append((ring.previous.public, ring.previous.preshared))
    return {
        public: DevicePeer(
            public,
            allowed if public == ring.carrier else (),
            preshared.reveal() if preshared else None,
            policy if public == ring.carrier else None,
        )
        for public, preshared in keys
    }
