"""A server's peers on their way: judged when they change, placed when they have been provided for, forgotten when gone.

What is decided here is noted at once with all that it concerns: the roster, the intake, the deadlines, the addresses.
Nothing is waited for, so nothing comes between a decision and what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Protocol

from ...api.base import Key
from ...domain.capabilities import System
from ...domain.lifecycle import Situation, judge
from ...domain.restriction import policy_of
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord
from .deadlines import Deadlines
from .foreign import ForeignServer
from .holders import Holders
from .intake import Finished, Intake
from .provisioner import Provisioner
from .roster import Roster

ROOM = Key("", "")
"""Stands among the peers' deadlines for the moment at which the server may have room again."""


class Mark(Protocol):
    """Has peers looked at again."""

    def __call__(self, peers: Set[Key], *, wake: bool) -> None:
        """``wake``: now; otherwise after the pause for a failure."""
        ...


class Lifecycle:
    """Of the peers of one server."""

    def __init__(
        self,
        services: Services,
        roster: Roster,
        holders: Holders,
        provisioner: Provisioner,
        intake: Intake,
        foreign: ForeignServer | None,
        deadlines: Deadlines,
        mark: Mark,
    ) -> None:
        self._services = services
        self._cache = services.cache
        self._roster = roster
        self._holders = holders
        self._provisioner = provisioner
        self._intake = intake
        self._foreign = foreign
        self._deadlines = deadlines
        self._mark = mark

    def judge(self, dirty: Iterable[Key], server: ServerRecord, *, keeps: bool) -> None:
        """Take from the desired state what does not belong there any more; note whom to provide for.

        ``keeps``: the server goes on to exist.
        """
        now = self._services.clock()
        for key in dirty:
            record, former = self._cache.peers.get(key), self._roster.member(key)
            if former is not None and former is not record:
                self._mark(self._roster.part_with(former) | self._provisioner.forget(former), wake=True)
                self._holders.leaving.add(former.uid)
            if record is None or record.server_key != server.key:
                self._deadlines.set(key, None)
                self._intake.drop(key)
                continue
            seated = keeps and bool(self._provisioner.addresses.held_by(record.uid))
            labels = self._cache.namespace(key.namespace).labels
            system = self._foreign.system if self._foreign is not None else System.OWN
            verdict = judge(Situation(record.peer, server.key, server.server, now, labels, seated, system))
            record.facts.verdict = verdict
            self._deadlines.set(key, verdict.until)
            self._roster.take_in(record)
            self._provisioner.wish(record)
            if not verdict.admitted:
                self._roster.withdraw(record)
                if self._foreign is not None:
                    self._foreign.withhold(record.uid)
            if verdict.provided_for:
                self._holders.leaving.discard(record.uid)
                self._intake.add(record)
            else:
                self._intake.drop(key)

    def take(self, finished: Finished, server: ServerRecord) -> None:
        """Place those who have been provided for; have whomever the batch concerns looked at again."""
        now, outcome = self._services.clock(), finished.outcome
        self._holders.leaving -= outcome.released
        if self._provisioner.freed:
            self._provisioner.freed = False
            self.has_room(server)
        elif outcome.released:  # no more room than before, or whoever was sent away for want of it would be sent back
            self._services.placer.wake()
        concerned = set(outcome.concerned)
        for record in finished.records:
            concerned |= self._leave_behind(record)
        for record, ring in outcome.placeable:
            if self._roster.member(record.key) is record:
                restriction = record.facts.verdict.restriction if record.facts.verdict is not None else None
                mode = restriction.mode if restriction is not None else None
                policy = policy_of(record.peer.spec, server.server.spec, mode)
                concerned |= self._roster.place(record, ring, policy, now)
        for key, moment in outcome.moments.items():
            self._deadlines.set(ROOM if key in outcome.homeless else key, moment, sooner=True)
        self._mark(concerned, wake=True)
        self._mark(outcome.failed, wake=False)
        for record in finished.records:
            selects = record.peer.spec.server_selector is not None
            if record.key in outcome.homeless and selects and self._cache.peers.get(record.key) is record:
                self._cache.place(record.key, None)

    def take_back(self, lost: Iterable[PeerRecord]) -> None:
        """What was given in a batch that came to nothing to peers that have gone meanwhile goes back."""
        for record in lost:
            self._mark(self._leave_behind(record), wake=True)

    def has_room(self, server: ServerRecord) -> None:
        """Those who found none may find some now."""
        server.facts.room_problem = None
        self._mark(self._provisioner.starved(), wake=True)
        self._services.placer.wake()

    def _leave_behind(self, record: PeerRecord) -> set[Key]:
        """What a peer was given that went while it was provided for goes back; the peers that this concerns."""
        member = self._roster.member(record.key)
        if member is not None and member.uid == record.uid:
            return set()
        self._holders.leaving.add(record.uid)
        return self._provisioner.forget(record)
