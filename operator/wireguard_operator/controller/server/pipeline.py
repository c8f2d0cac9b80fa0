"""The loops around the work on one server: what wakes it, when it is tried again, and when counters are read.

Everything on a server happens in one pipeline and in turns, so nothing in it needs a lock, and a server in trouble
holds up nobody else. Everything is level-triggered: whatever fails stays marked and is tried again, and a turn
repeated after a crash finds its own results. What a turn does is in ``server_work``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set

from ...api.base import Key
from ...domain.lifecycle import Situation, judge
from ...kube.errors import Conflict, KubeError
from ..agents.client import AgentError
from ..services import Services
from ..watch.records import ServerRecord
from ..writes.secret_store import ForeignSecret
from .deadlines import Deadlines
from .work import ServerWork

logger = logging.getLogger(__name__)

RETRY_FIRST, RETRY_LAST = 0.5, 30.0
"""Seconds between tries while something does not work; doubled each time."""
ROTATION_SECONDS = 2.0
"""Between reads of counters while a key is rotated: a device with the new key waits for nothing else."""
BOOT_LOOK_SECONDS = 1.0


class Pipeline:
    """All work on one server; it exists as long as the server or peers that name it."""

    def __init__(self, services: Services, server: Key) -> None:
        self._services = services
        self._key = server
        self._wake = asyncio.Event()
        self._delay = RETRY_FIRST
        self._retry: asyncio.TimerHandle | None = None
        self._dirty: set[Key] = set()
        self._deadlines = Deadlines(services.clock, self.peer_changed)
        self._work: ServerWork | None = None
        self.is_over = False
        """Nothing is done any more, since there is neither the server nor a peer that names it."""
        self._mark(services.cache.peers_of(server), wake=True)

    def server_changed(self) -> None:
        """The server or something of its own changed."""
        self._wake.set()

    def peer_changed(self, peer: Key) -> None:
        """A peer came, changed or went."""
        self._dirty.add(peer)
        self._wake.set()

    def look_for_orphans(self) -> None:
        """Have the address blocks compared with the peers that there are."""
        if self._work is not None:
            self._work.look_for_orphans()
            self._wake.set()

    async def run(self) -> None:
        """Work until cancelled, or until it is over."""
        async with asyncio.TaskGroup() as group:
            loops = self._read_counters(), self._save_boot(), self._deadlines.run()
            others = [group.create_task(loop) for loop in loops]
            await self._take_turns()
            for other in others:
                other.cancel()

    def _mark(self, peers: Set[Key], *, wake: bool) -> None:
        self._dirty |= peers
        if wake and peers:
            self._wake.set()

    def _server(self) -> ServerRecord | None:
        return self._services.cache.servers.get(self._key)

    async def _take_turns(self) -> None:
        while not self.is_over:
            await self._wake.wait()
            self._wake.clear()
            try:
                well = await self._turn()
            except Conflict as error:
                logger.info("server %s: %s", self._key, error)
                well = False
            except KubeError as error:
                logger.warning("server %s: %s", self._key, error)
                well = False
            except Exception:
                # A mistake of ours must not end the work on this server for good.
                logger.exception("server %s: a turn failed", self._key)
                well = False
            if self._retry is not None:
                self._retry.cancel()  # or every change during an outage would add tries of its own
            if well:
                self._delay = RETRY_FIRST
                self.is_over = self._is_unneeded()
            else:
                self._retry = asyncio.get_running_loop().call_later(self._delay, self._wake.set)
                self._delay = min(self._delay * 2, RETRY_LAST)

    def _is_unneeded(self) -> bool:
        nobody = self._server() is None and not self._services.cache.count_of(self._key)
        return nobody and self._work is None and not self._wake.is_set()

    async def _turn(self) -> bool:
        """Do what is to be done; whether nothing is left over."""
        server = self._server()
        if self._work is not None and (server is None or server.uid != self._work.uid):
            await self._work.take_leave()
            self._work = None
            self._dirty |= self._services.cache.peers_of(self._key)
            for key in self._services.cache.peers_of(self._key):
                # What a device has is of the former server, and nobody could use it any more.
                self._services.cache.peers[key].facts.settled = False
        if server is not None and self._work is None:
            self._work = ServerWork(self._services, self._key, server.uid, self._deadlines, self._mark)
            self._dirty |= self._services.cache.peers_of(self._key)
        dirty, self._dirty = self._dirty, set()
        try:
            if server is None or self._work is None:
                return self._without_server(dirty)
            return await self._work.turn(server, dirty)
        except BaseException:
            self._dirty |= dirty
            raise
        finally:
            for key in dirty:
                record = self._services.cache.peers.get(key)
                if record is not None and record.server_key == self._key:
                    self._services.statuses.submit(record)
            if server is not None and self._work is not None:
                self._work.report(server)

    def _without_server(self, dirty: set[Key]) -> bool:
        for key in dirty:
            record = self._services.cache.peers.get(key)
            if record is None or record.server_key != self._key:
                self._deadlines.set(key, None)
                continue
            if record.peer.spec.server_selector is not None:
                self._services.cache.place(key, None)  # the server that was chosen is gone
                continue
            now, labels = self._services.clock(), self._services.cache.namespace(key.namespace).labels
            facts = record.facts
            facts.verdict = judge(Situation(record.peer, self._key, None, now, labels))
            facts.addresses, facts.on_device, facts.settled = (), False, True
            self._deadlines.set(key, facts.verdict.until)
        return True

    async def _read_counters(self) -> None:
        while True:
            interval = self._services.settings.stats_interval
            rotating = self._work is not None and self._work.is_rotating()
            await asyncio.sleep(min(interval, ROTATION_SECONDS) if rotating else interval)
            server, work = self._server(), self._work
            if server is None or work is None or server.uid != work.uid or not work.is_settled():
                continue
            try:
                if not await work.read_counters(server):
                    self._wake.set()
            except AgentError as error:
                work.agent_failed(server, error)
                self._wake.set()
            except Exception:
                # Nor may an agent that says what cannot be end it.
                logger.exception("server %s: the counters cannot be read", self._key)
            work.report(server)

    async def _save_boot(self) -> None:
        while True:
            await asyncio.sleep(BOOT_LOOK_SECONDS)
            server, work = self._server(), self._work
            if server is None or work is None or server.uid != work.uid:
                continue
            try:
                await work.save_boot(server)
            except (KubeError, ForeignSecret) as error:
                logger.warning("server %s: what new pods boot from is not saved: %s", self._key, error)
            except Exception:
                logger.exception("server %s: what new pods boot from is not saved", self._key)
