"""The loops around the work on one server: what wakes it, when it is tried again, and when counters are read.

Everything on a server happens in one pipeline and in turns, so nothing in it needs a lock, and a server in trouble
holds up nobody else. Everything is level-triggered: whatever fails stays marked and is tried again, and a turn
repeated after a crash finds its own results. What a turn does is in ``work``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Set
from contextlib import suppress

from ...api.base import Key
from ...domain.lifecycle import Situation, is_hasty, judge
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
POD_LOOK_SECONDS = 0.5
"""Between looks at the agents of a server with several pods."""
GATHER_SECONDS = 0.05
"""The longest pause after a turn; it is as long as the turn was, so that the watches are heard at any load."""
REPORT_SECONDS = 1.0
"""Between two writes of the server's status: it sums up all peers, and in a wave of changes each changes it."""


class Pipeline:
    """All work on one server; it exists as long as the server or peers that name it."""

    def __init__(self, services: Services, server: Key) -> None:
        self._services = services
        self._key = server
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._report_wanted = asyncio.Event()
        self._pods_seen = asyncio.Event()
        self._delay = RETRY_FIRST
        self._retry: asyncio.TimerHandle | None = None
        self._dirty: set[Key] = set()
        self._failed: set[Key] = set()
        """Peers to be looked at again after the pause: not in every turn that others cause, or those that fail in turns
        would be tried without any."""
        self._told: dict[Key, float] = {}
        """When (monotonic) a watch told of the change of a peer that is not carried out yet."""
        self._deadlines = Deadlines(services.clock, self.peer_changed)
        self._own_changed = True
        self._work: ServerWork | None = None
        self.looked = asyncio.Event()
        """Everybody who may be on the device has been looked at once, if there is anything to look with."""
        self.is_over = False
        """Nothing is done any more, since there is neither the server nor a peer that names it."""
        self._mark(services.cache.peers_of(server), wake=True)

    def server_changed(self) -> None:
        """The server or something of its own changed."""
        self._own_changed = True
        self._wake.set()

    def peer_changed(self, peer: Key) -> None:
        """A peer came, changed or went."""
        record = self._services.cache.peers.get(peer)
        if record is None or record.server_key != self._key or is_hasty(record.peer, self._services.clock()):
            self._urgent.set()
        self._told.setdefault(peer, time.monotonic())
        self._dirty.add(peer)
        self._wake.set()

    def pods_changed(self) -> None:
        """A pod of the server came, changed or went."""
        self._pods_seen.set()

    def look_for_orphans(self) -> None:
        """Have the address blocks compared with the peers that there are."""
        if self._work is not None:
            self._work.look_for_orphans()
            self.server_changed()  # its certificate may have to be renewed

    async def run(self) -> None:
        """Work until cancelled, or until it is over."""
        metrics = self._services.metrics
        unwatch = metrics.watch_queue("change", self._waiting), metrics.watch_queue("cut", self._leaving)
        try:
            async with asyncio.TaskGroup() as group:
                loops = [self._read_counters(), self._save_boot(), self._deadlines.run(), self._report()]
                others = [group.create_task(loop) for loop in (*loops, self._look_after_pods())]
                await self._take_turns()
                for other in others:
                    other.cancel()
        finally:
            for end in unwatch:
                end()
            if self._work is not None:
                await self._work.close()

    def _mark(self, peers: Set[Key], *, wake: bool) -> None:
        if not wake:
            self._failed |= peers
        elif peers:
            self._dirty |= peers
            self._wake.set()

    def _server(self) -> ServerRecord | None:
        return self._services.cache.servers.get(self._key)

    async def _take_turns(self) -> None:
        while not self.is_over:
            await self._wake.wait()
            self._wake.clear()
            began = time.monotonic()
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
            if self._work is None or self._work.has_looked():
                self.looked.set()
            seconds = time.monotonic() - began
            self._services.metrics.turn(seconds)
            if well:
                self.is_over = self._is_unneeded()
            self._plan_retry(well=well and not self._failed)
            # Whatever the watches tell meanwhile costs one turn together; only a cut does not wait for others.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, GATHER_SECONDS)):
                    await self._urgent.wait()
            self._urgent.clear()

    def _plan_retry(self, *, well: bool) -> None:
        if not well:
            if self._retry is None:  # or every change during an outage would add tries of its own
                self._retry = asyncio.get_running_loop().call_later(self._delay, self._try_again)
                self._delay = min(self._delay * 2, RETRY_LAST)
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._work is None or self._work.is_idle():
            self._delay = RETRY_FIRST

    def _try_again(self) -> None:
        self._retry = None
        self._dirty |= self._failed
        self._failed.clear()
        self._wake.set()

    def _waiting(self) -> int:
        return len(self._dirty | self._failed) + (self._work.waiting() if self._work is not None else 0)

    def _leaving(self) -> int:
        return self._work.leaving() if self._work is not None else 0

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
            self._work = ServerWork(
                self._services, self._key, server.uid, self._deadlines, self._mark, self._wake.set, self._told
            )
            self._dirty |= self._services.cache.peers_of(self._key)
        dirty, self._dirty = self._dirty, set()
        own, self._own_changed = self._own_changed, False
        try:
            if server is None or self._work is None:
                return self._without_server(dirty)
            well = await self._work.turn(server, dirty, own=own)
            self._pods_seen.set()  # those that stand by follow
            return well
        except BaseException:
            self._dirty |= dirty
            self._own_changed = True
            raise
        finally:
            for key in dirty:
                record = self._services.cache.peers.get(key)
                if record is None or record.server_key != self._key:
                    continue
                if self._work is None or not self._work.awaits(key):
                    self._services.statuses.submit(record)
            self._report_wanted.set()

    async def _report(self) -> None:
        while True:
            await self._report_wanted.wait()
            self._report_wanted.clear()
            server, work = self._server(), self._work
            if server is not None and work is not None and server.uid == work.uid:
                try:
                    work.report(server)
                except Exception:
                    logger.exception("server %s: its status cannot be summed up", self._key)
            await asyncio.sleep(REPORT_SECONDS)

    def _without_server(self, dirty: set[Key]) -> bool:
        for key in dirty:
            self._told.pop(key, None)
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
            await self._until_counters_are_due()
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
            self._report_wanted.set()

    async def _until_counters_are_due(self) -> None:
        left = self._services.settings.stats_interval
        while left > 0:
            # A rotation may begin at any time.
            pause = min(left, ROTATION_SECONDS)
            await asyncio.sleep(pause)
            left -= pause
            if self._work is not None and self._work.is_rotating():
                return

    async def _look_after_pods(self) -> None:
        """Apart from the turns: that another pod has to serve waits for nothing."""
        while True:
            server, work = self._server(), self._work
            replicated = server is not None and server.server.spec.data_plane.is_replicated
            with suppress(TimeoutError):
                async with asyncio.timeout(POD_LOOK_SECONDS if replicated else None):
                    await self._pods_seen.wait()
            self._pods_seen.clear()
            server, work = self._server(), self._work
            if server is None or work is None or server.uid != work.uid:
                continue
            try:
                if await work.look_after_pods(server):
                    self._pods_seen.set()
            except (KubeError, AgentError, TimeoutError) as error:
                said = str(error) or "no answer in time"
                logger.warning("server %s: its pods cannot be told their roles: %s", self._key, said)
            except Exception:
                logger.exception("server %s: a look at its pods failed", self._key)

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
