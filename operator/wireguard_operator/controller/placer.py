"""Chooses servers for peers that ask by selector, and moves them away from servers that are drained or deleted.

A choice is made once: it stands in the peer's status, and before that in the address block of the server. All choices
are made here and in turns, so that the counts they depend on are never those of a moment ago.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from ..api.base import Key
from ..api.conditions import ConditionType
from ..api.peer import WireGuardPeer
from ..domain import lifecycle, networks
from ..domain.capabilities import System, asked_for, system_of
from ..domain.conditions import Problem, is_true
from ..domain.placement import Candidate, choose
from .watch.cache import Cache
from .watch.records import PeerRecord, ServerRecord

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.05
"""Between two rounds, so that a burst of changes costs one."""


class Reporter(Protocol):
    """Who writes statuses."""

    def submit(self, record: PeerRecord) -> None:
        """Have the record's status written if it differs."""
        ...


class Placer:
    """The choices of all servers for all peers."""

    def __init__(self, cache: Cache, statuses: Reporter, clock: Callable[[], datetime]) -> None:
        self._cache = cache
        self._statuses = statuses
        self._clock = clock
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """A peer waits, or a server is not as it was."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                self.look()
            except Exception:
                logger.exception("the choice of servers failed")
            await asyncio.sleep(PAUSE_SECONDS)

    def look(self) -> None:
        """Place whoever waits, oldest first, and move whoever has to go."""
        now = self._clock()
        refused: dict[tuple[str, str], Problem] = {}
        for record in self._waiting(now):
            # Where an older peer found none, one that asks for the same finds none either: thousands may wait.
            spec = record.peer.spec
            asked = record.key.namespace, repr((spec.server_selector, asked_for(spec)))
            found = refused.get(asked) or self._choose(record.peer, None)
            if isinstance(found, Problem):
                refused[asked] = found
            if isinstance(found, Key):
                self._cache.place(record.key, found)
            else:
                record.facts.verdict = lifecycle.unplaced(record.peer, found, now)
                self._statuses.submit(record)
        for server in list(self._cache.servers.values()):
            if _is_drained(server):
                self._drain(server, now)

    def _waiting(self, now: datetime) -> list[PeerRecord]:
        records = [self._cache.peers[key] for key in self._cache.unplaced if key in self._cache.peers]
        return sorted(records, key=lambda record: record.claim(now))

    def _drain(self, server: ServerRecord, now: datetime) -> None:
        records = [self._cache.peers[key] for key in self._cache.peers_of(server.key)]
        for record in sorted(records, key=lambda record: record.claim(now)):
            if record.peer.spec.server_selector is None:
                continue
            found = self._choose(record.peer, server.key)
            if isinstance(found, Key):
                logger.info("peer %s moves from server %s to %s", record.key, server.key, found)
                self._cache.place(record.key, found)

    def _choose(self, peer: WireGuardPeer, without: Key | None) -> Key | Problem:
        selector = peer.spec.server_selector
        if selector is None:
            raise ValueError("the peer names its server")
        candidates = [self._candidate(record) for key, record in self._cache.servers.items() if key != without]
        return choose(peer, selector, candidates, self._cache.namespace(peer.metadata.namespace).labels)

    def _candidate(self, record: ServerRecord) -> Candidate:
        facts, spec = record.facts, record.server.spec
        if facts.capacity is None:
            # Its pipeline has not looked at it yet, and has the last word later.
            facts.capacity = networks.capacity(spec, networks.parse(spec.networks))
        return Candidate(
            server=record.server,
            peers=self._cache.count_of(record.key),
            capacity=facts.capacity,
            ready=is_true(record.server.status.conditions, ConditionType.READY),
            system=System(facts.key_keeper) if facts.key_keeper is not None else system_of(spec),
            full=facts.room_problem.message if facts.room_problem else None,
        )


def _is_drained(record: ServerRecord) -> bool:
    maintenance = record.server.spec.maintenance
    return record.server.metadata.deletion_timestamp is not None or (maintenance.enabled and maintenance.drain)
