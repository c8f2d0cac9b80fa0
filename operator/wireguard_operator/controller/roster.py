"""Who should be on a server's device, who is, and who waits for the agent's word. In memory only, no I/O.

The pipeline tells it what was decided and what the agent acknowledged; it keeps the desired state of the link and
the facts of the peers in step.
"""

from __future__ import annotations

import logging
from datetime import datetime

from ..agent.protocol import Ack, PeerCounters
from ..api.base import Key
from ..domain.claims import Claim, Claims
from ..domain.client_config import ClientKeys
from ..domain.device import DevicePeer
from ..domain.peer_status import Problem
from .device_link import DeviceLink
from .records import PeerRecord
from .statistics import Statistics

logger = logging.getLogger(__name__)


class Roster:
    """The peers of one server."""

    def __init__(self, link: DeviceLink, claims: Claims, statistics: Statistics) -> None:
        self._link = link
        self._claims = claims
        self._statistics = statistics
        self._members: dict[Key, PeerRecord] = {}
        self._unconfirmed: set[Key] = set()
        """Peers whose status is not right before the agent has said something."""
        self._refused: set[Key] = set()
        self._leaving: dict[str, PeerRecord] = {}
        """By public key: taken from the device as soon as the agent says so."""

    def member(self, key: Key) -> PeerRecord | None:
        """The peer as it was last taken in."""
        return self._members.get(key)

    def take_in(self, record: PeerRecord) -> None:
        """The peer belongs to this server, on the device or not."""
        self._members[record.key] = record

    def part_with(self, record: PeerRecord) -> set[Key]:
        """The peer is gone from this server for good; the peers that this concerns."""
        del self._members[record.key]
        self.withdraw(record)
        self._unconfirmed.discard(record.key)
        self._refused.discard(record.key)
        return self._claims.withdraw(record.key)

    def withdraw(self, record: PeerRecord) -> None:
        """The peer should not be on the device."""
        public_key = self._claims.key_of(record.key)
        if public_key is not None and self._claims.holder(public_key) == record.key:
            if self._link.peer(public_key) is not None:
                self._leaving[public_key] = record
                record.facts.settled = False
            self._link.drop(public_key)
        if not self._link.is_settled():
            self._unconfirmed.add(record.key)

    def place(self, record: PeerRecord, keys: ClientKeys, now: datetime) -> set[Key]:
        """The peer should be on the device if it is admitted and the key is its own; the peers that this concerns."""
        facts = record.facts
        if self._claims.key_of(record.key) not in (None, keys.public):
            self.withdraw(record)
        created = record.peer.metadata.creation_timestamp or now
        concerned = self._claims.enter(keys.public, Claim(created, record.uid, record.key))
        holder = self._claims.holder(keys.public)
        if holder != record.key:
            message = f"peer {holder} is older and uses this public key; give each device a key of its own"
            facts.program_problem = Problem("DuplicatePublicKey", message)
            facts.on_device, facts.settled = False, True
        elif facts.verdict is not None and facts.verdict.admitted:
            wanted = DevicePeer(keys.public, facts.addresses, keys.preshared.reveal() if keys.preshared else None)
            before = self._link.peer(keys.public)
            if before is not None and before != wanted:
                facts.settled = False
            if before != wanted or not facts.settled:
                self._unconfirmed.add(record.key)
            self._leaving.pop(keys.public, None)
            self._link.put(wanted)
        return concerned

    def trouble(self, problem: Problem) -> None:
        """The agent could not be told; those that wait for it are told why."""
        for record in self._waiting():
            if not record.facts.programmed:
                record.facts.program_problem = problem

    def confirm(self, ack: Ack) -> list[PeerRecord]:
        """The agent has done what was wanted; the peers of which it said something new."""
        final = {counters.public_key: counters for counters in ack.final}
        for public_key, record in self._leaving.items():
            self._leave(record, final.get(public_key), ack.device)
        self._leaving.clear()
        errors = {holder: text for key, text in ack.errors.items() if (holder := self._claims.holder(key))}
        told = self._waiting(errors.keys() | self._refused)
        for record in told:
            self._settle(record, errors.get(record.key))
        self._unconfirmed.clear()
        self._refused = set(errors)
        return told

    def _waiting(self, others: set[Key] | None = None) -> list[PeerRecord]:
        keys = self._unconfirmed | (others or set())
        return [self._members[key] for key in keys if key in self._members]

    def _settle(self, record: PeerRecord, error: str | None) -> None:
        public_key = self._claims.key_of(record.key)
        if public_key is not None and self._claims.holder(public_key) != record.key:
            return  # The device knows the key, but as another peer's.
        wanted = public_key is not None and self._link.peer(public_key) is not None
        record.facts.settled = True
        record.facts.on_device = wanted and error is None
        record.facts.program_problem = Problem("DeviceRefused", error) if error is not None else None

    def _leave(self, record: PeerRecord, last: PeerCounters | None, session: str) -> None:
        self._statistics.close(record, last, session)
        record.facts.on_device = False
        if record.key not in self._members and record.facts.traffic is not None:
            traffic = record.facts.traffic
            logger.info("peer %s is gone: rxBytes=%d txBytes=%d", record.key, traffic.rx_bytes, traffic.tx_bytes)
