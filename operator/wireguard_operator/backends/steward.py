"""Has one foreign system be as wanted: one write at a time, cuts first, and a look at what is there after each.

A loop of its own, so that whoever wants something only says so and never waits for the system. What is to be done
is planned anew before every write (``plan``). While the system does not answer nothing is tried but the next look, at
growing distances, and everybody is told at once that it does not; a single account that resists is left alone for a
while and holds up no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import replace

from ..domain.key_ring import ClientKeys
from .accounts import Accounts, Members
from .connection import Connect, Connection
from .contract import Account, ForeignSystem, Site, Wanted
from .errors import Rejected, SystemError
from .holds import Holds
from .orders import Orders
from .plan import Act, Plan
from .writer import Writer


class Steward:
    """One system and what is wanted there. ``run`` does the work; all else returns at once or waits for it."""

    def __init__(
        self, name: str, connect: Connect, members: Members, tell: Callable[[], None], interval: float
    ) -> None:
        """Begin with ``run``.

        ``name``: of the server, in logs; ``tell`` is called when there is news; ``interval``: seconds between looks
        that nothing calls for.
        """
        self._tell = tell
        self._interval = interval
        self._connection = Connection(name, connect)
        self._accounts = Accounts(members)
        self._orders = Orders()
        self._holds = Holds()
        self._writer = Writer(name, self._accounts, self._orders, self._holds)
        self._kick = asyncio.Event()
        self._moved = asyncio.Event()
        self._ends = False
        self._at_rest = asyncio.Event()
        """No write is under way."""
        self._at_rest.set()

    @property
    def site(self) -> Site | None:
        """What the system said last."""
        return self._connection.site

    @property
    def trouble(self) -> SystemError | None:
        """Why nothing can be done at present."""
        return self._connection.trouble

    @property
    def wanted(self) -> Mapping[str, Wanted] | None:
        """By key; None before it is known."""
        return self._accounts.wanted

    @property
    def accounts(self) -> Mapping[str, Account] | None:
        """By key, as they were last seen; None: they were not seen yet."""
        return self._accounts.found

    @property
    def final(self) -> dict[str, Account]:
        """Accounts as they were right before they were cut, until somebody takes them."""
        return self._accounts.final

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """From now on it should be so."""
        self._accounts.want(wanted)
        self._holds.renew(time.monotonic())
        self._kick.set()

    def move(self) -> None:
        """The system is at another place: nothing is known of it any more."""
        self._moved.set()
        self._kick.set()

    async def rest(self, seconds: float) -> None:
        """Begin nothing more, and wait so long at most for the write that is under way.

        Whoever comes next would be a second writer.
        """
        self._ends = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._at_rest.wait()

    def touch(self) -> None:
        """Have a look soon."""
        self._kick.set()

    async def make(
        self, uid: str, generation: int, addresses: tuple[str, ...], *, fresh: bool, spare: bool
    ) -> ClientKeys | None:
        """The keys of the peer's account, which is made where it is not there; None: only if ``fresh``.

        ``spare``: it will be wanted soon and need not be switched off until then. Raises SystemError.
        """
        self._accounts.keep(uid)
        if self.trouble is not None:
            raise self.trouble
        done = self._orders.add(uid, generation, addresses, fresh=fresh, spare=spare)
        self._kick.set()
        return await done

    def withhold(self, uid: str) -> None:
        """The peer must not use its tunnel after all."""
        self._accounts.withhold(uid)
        self._orders.withhold(uid)
        self._kick.set()

    def keep(self, uid: str) -> None:
        """The peer has come back before its account was deleted."""
        self._accounts.keep(uid)

    def discard(self, uids: Set[str]) -> set[str]:
        """Have no account left of these peers, as soon as may be; those of whom there is none for sure by now."""
        self._accounts.discard(uids)
        if self.accounts is None or self.trouble is not None:
            return set()
        gone = self._accounts.take_gone(uids)
        if uids - gone:
            self._kick.set()
        return gone

    def change_members(self, members: Members) -> None:
        """From now on these are the peers whose accounts may be touched."""
        self._accounts.members = members
        self._kick.set()

    def plan(self) -> Plan:
        """What is left to be done, as far as is known; a change that an account resists is an error as well."""
        now = time.monotonic()
        made, held = self._accounts.plan(self._connection.system, now), self._holds.held(now)
        resisted = [step.key for step in made.steps if step.act in (Act.PUT, Act.PARK) and step.key in held]
        return replace(made, errors={**made.errors, **{key: held[key] for key in resisted}})

    def warnings(self) -> tuple[str, ...]:
        """What of the system is not as it should be, in sentences."""
        missing = [account for account in (self.accounts or {}).values() if account.missing and account.uid]
        if not missing or self.site is None:
            return ()
        return (f"{len(missing)} of its enabled clients are not on the device of {self.site.system}; being repaired",)

    async def run(self) -> None:
        """Work until cancelled."""
        pause = 0.0
        try:
            while True:
                await self._wait(pause, patient=self.trouble is not None)
                try:
                    await self._round()
                except Exception as error:
                    trouble = self._connection.fail(error)
                    pause = self._connection.pause()
                    self._orders.fail(trouble)
                    await self._connection.close()
                else:
                    self._connection.works()
                    pause = self._interval
                self._tell()
        finally:
            self._orders.fail(Rejected("the work on this system has ended"))
            await self._connection.close()

    async def _wait(self, pause: float, *, patient: bool) -> None:
        """Until it is time, or somebody wants something; ``patient``: not before the time."""
        now = time.monotonic()
        due = self._holds.next_end(now, default=now + pause)
        event, seconds = (self._moved, pause) if patient else (self._kick, min(pause, due - now))
        if pause:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, seconds)):
                    await event.wait()
        self._kick.clear()
        if self._moved.is_set():
            self._moved.clear()
            self._connection.site = self._accounts.found = None
            await self._connection.close()

    async def _round(self) -> None:
        system, site = await self._connection.open()
        await self._writer.look(system)
        self._connection.answers()
        self._tell()
        while not self._ends and await self._write(system, site):
            self._tell()

    async def _write(self, system: ForeignSystem, site: Site) -> bool:
        self._at_rest.clear()
        try:
            return await self._writer.write(system, site)
        finally:
            self._at_rest.set()
