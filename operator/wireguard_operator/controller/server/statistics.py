"""Traffic statistics of one server: reads the agent's counters and brings them into the statuses.

Going online or offline is written at once. Byte counters are written at most once per ``traffic_interval`` and peer,
and at most so many a second of all peers, since every write costs etcd more than all the rest of the way.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from ...agent.protocol import CountersPage, PeerCounters
from ...api.base import Key
from ...api.server import PeerCounts, ServerTraffic
from ...domain import usage
from ...domain.claims import Claims
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord


class Ask(Protocol):
    """Asks an agent for a page of counters."""

    async def __call__(self, cursor: str, *, more: bool = False) -> CountersPage:
        """``more``: the next page of the same look at the device."""
        ...


class Statistics:
    """The statistics of one server's peers."""

    def __init__(self, services: Services, server: Key, claims: Claims, members: Mapping[Key, PeerRecord]) -> None:
        self._services = services
        self._server = server
        self._claims = claims
        self._members = members
        self._online: set[str] = set()
        """Public keys, as in the next one."""
        self._unreported: set[str] = set()
        self.rotated: dict[Key, str] = {}
        """The new public keys of peers that use them, so that the former ones can go."""
        self.cursor = ""

    async def read(self, ask: Ask) -> CountersPage:
        """Take in all that changed; the last page. Raises AgentError."""
        page = await ask(self.cursor)
        self.take(page)
        while page.more:
            page = await ask(self.cursor, more=True)
            self.take(page)
        return page

    def take(self, page: CountersPage) -> None:
        """Take a page of counters into the facts."""
        self.cursor = page.cursor
        for counters in page.peers:
            record = self._record(counters.public_key)
            if record is None:
                continue
            ring = record.facts.ring
            if ring is not None and counters.public_key != ring.carrier:
                # The other key of a rotation carries nothing; that it shakes hands is all there is to know.
                if counters.public_key == ring.current.public and counters.last_handshake:
                    self.rotated[record.key] = counters.public_key
                continue
            self._count(record, counters, page)

    def round(self, server: ServerRecord, now: float) -> None:
        """All pages are in: look who is online no longer by the agent's clock, and what is due to be written."""
        for key in list(self._online):
            record = self._record(key)
            if record is None:
                self._online.discard(key)
            elif not usage.is_online(_seconds(record), now):
                self._flip(record, key, online=False)
        for key in list(self._unreported):
            record = self._record(key)
            if record is None:
                self._unreported.discard(key)
            elif time.monotonic() >= record.report_due:
                self._report(record, key)
        server.facts.stats_time = self._services.clock()

    def close(self, record: PeerRecord, last: PeerCounters | None, session: str, *, stays: bool) -> None:
        """A key left the device: add its last bytes; the next counters start from zero.

        With ``stays`` the peer goes on by another key.
        """
        facts = record.facts
        if last is not None:
            now = self._services.clock()
            self._add(record, session, last, now)
            facts.stats_time = now
            self._online.discard(last.public_key)
        facts.traffic = usage.close(facts.traffic)
        facts.online = facts.online and stays

    def _count(self, record: PeerRecord, counters: PeerCounters, page: CountersPage) -> None:
        facts = record.facts
        if facts.traffic is None and not (counters.rx_bytes or counters.tx_bytes or counters.last_handshake):
            return  # nothing was ever heard of the peer, as its status says already
        now = self._services.clock()
        self._add(record, page.device, counters, now)
        facts.last_handshake = usage.handshake_time(counters.last_handshake) or facts.last_handshake
        facts.endpoint = counters.endpoint or facts.endpoint
        facts.stats_time = now
        online = usage.is_online(counters.last_handshake, page.now)
        if online != facts.online:
            self._flip(record, counters.public_key, online=online)
        else:
            if online:
                self._online.add(counters.public_key)  # that it is, an earlier controller has said
            if not record.report_due:
                # Of peers that an earlier controller reported on: not all of them at once.
                record.report_due = time.monotonic() + self._services.settings.traffic_interval * random.random()  # noqa: S311
            self._unreported.add(counters.public_key)

    def _add(self, record: PeerRecord, session: str, counters: PeerCounters, now: datetime) -> None:
        before = record.facts.traffic
        after = usage.accumulate(before, session, counters.rx_bytes, counters.tx_bytes, now)
        record.facts.traffic = after
        if (grown := usage.growth(before, after)) is not None:
            self._services.metrics.traffic_counted(self._server, grown.rx_bytes, grown.tx_bytes)

    def _flip(self, record: PeerRecord, key: str, *, online: bool) -> None:
        record.facts.online = online
        (self._online.add if online else self._online.discard)(key)
        self._report(record, key, urgent=True)

    def _report(self, record: PeerRecord, key: str, *, urgent: bool = False) -> None:
        self._unreported.discard(key)
        # The jitter spreads the writes of peers that came online together.
        record.report_due = time.monotonic() + self._services.settings.traffic_interval * random.uniform(0.8, 1.2)  # noqa: S311
        if urgent:
            self._services.statuses.submit(record)
        else:
            self._services.statuses.submit_statistics(record)

    def _record(self, public_key: str) -> PeerRecord | None:
        holder = self._claims.holder(public_key)
        return self._members.get(holder) if holder is not None else None

    def summarize(self, server: ServerRecord) -> None:
        """Bring the sums over the server's peers into its facts."""
        peers = self._services.cache.peers
        records = [peers[key] for key in self._services.cache.peers_of(server.key)]
        traffic = [record.facts.traffic for record in records if record.facts.traffic is not None]
        server.facts.peers = PeerCounts(
            total=len(records),
            active=sum(record.facts.programmed for record in records),
            online=sum(record.facts.online and record.facts.on_device for record in records),
        )
        server.facts.traffic = ServerTraffic(
            rx_bytes=sum(item.rx_bytes for item in traffic), tx_bytes=sum(item.tx_bytes for item in traffic)
        )


def _seconds(record: PeerRecord) -> int:
    return int(record.facts.last_handshake.timestamp()) if record.facts.last_handshake else 0
