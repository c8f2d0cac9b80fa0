"""Has one foreign system be as wanted: one write at a time, cuts first, and a look at what is there after each.

A loop of its own, so that whoever wants something only says so and never waits for the system. What is to be done
is planned anew before every write (``plan``). While the system does not answer nothing is tried but the next look, at
growing distances, and everybody is told at once that it does not; a single account that resists is left alone for a
while and holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace

from ..domain.key_ring import ClientKeys
from .contract import Account, ForeignSystem, Site, Wanted, account_name
from .errors import Rejected, SystemError, Throttled, Uncertain
from .plan import Act, Plan, Step, plan, spare_address

logger = logging.getLogger(__name__)

PAUSE_FIRST, PAUSE_LAST = 1.0, 60.0
"""Seconds between looks at a system that does not answer; doubled each time."""
HOLD_SECONDS = 30.0
"""For which an account that resists is left alone."""
TRIES = 2
"""Writes for one account before it is left alone: the second one follows when the first one's fate was unclear."""
UNCERTAIN_LIMIT = 4
"""Writes in a row without a clear answer; after that the system is left alone."""
SETTLE_SECONDS = 30.0
"""For which a write that was not answered may still be under way; nothing else is written meanwhile."""
IDENTIFY_SECONDS = 60.0
"""After which a system is asked again what it is."""
FRESH_SECONDS = 1.0
"""So old a look may be before a cut, whose last counters it tells."""
SPARE_SECONDS = 120.0
"""For which an account that was just made waits to be wanted before it is switched off."""

Connect = Callable[[], Awaitable[ForeignSystem]]


@dataclass(slots=True)
class _Order:
    """An account to be made."""

    uid: str
    generation: int
    addresses: tuple[str, ...]
    fresh: bool
    spare: bool
    done: asyncio.Future[ClientKeys | None]


@dataclass(slots=True)
class _Hold:
    """An account that resists."""

    tries: int = 0
    until: float = 0.0
    message: str = ""


class Steward:
    """One system and what is wanted there. ``run`` does the work; all else returns at once or waits for it."""

    def __init__(
        self,
        name: str,
        connect: Connect,
        members: Callable[[], Mapping[str, str | None]],
        tell: Callable[[], None],
        interval: float,
    ) -> None:
        """Begin with ``run``.

        ``name``: of the server, in logs; ``members``: UIDs of the peers whose accounts may be touched, with the keys
        that they are known by; ``tell`` is called when there is news; ``interval``: seconds between looks that nothing
        calls for.
        """
        self._server = name
        self._connect = connect
        self._members = members
        self._tell = tell
        self._interval = interval
        self._system: ForeignSystem | None = None
        self.site: Site | None = None
        """What the system said last."""
        self.trouble: SystemError | None = None
        """Why nothing can be done at present."""
        self.wanted: Mapping[str, Wanted] | None = None
        """By key; None before it is known, and nobody is cut before that."""
        self.accounts: dict[str, Account] | None = None
        """By key, as they were last seen."""
        self.final: dict[str, Account] = {}
        """Accounts as they were right before they were cut, until somebody takes them."""
        self._seen = 0.0
        self._identified = 0.0
        self._orders: list[_Order] = []
        self._discarded: set[str] = set()
        self._spared: dict[str, float] = {}
        self._holds: dict[str, _Hold] = {}
        self._uncertain = 0
        self._kick = asyncio.Event()
        self._moved = asyncio.Event()
        self._ends = False
        self._at_rest = asyncio.Event()
        """No write is under way."""
        self._at_rest.set()

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """From now on it should be so."""
        self.wanted = wanted
        for key in self._spared.keys() & wanted.keys():
            del self._spared[key]
        self._holds = {key: hold for key, hold in self._holds.items() if hold.until > time.monotonic()}
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
        self._discarded.discard(uid)
        if self.trouble is not None:
            raise self.trouble
        done: asyncio.Future[ClientKeys | None] = asyncio.get_running_loop().create_future()
        self._orders.append(_Order(uid, generation, addresses, fresh, spare, done))
        self._kick.set()
        return await done

    def withhold(self, uid: str) -> None:
        """The peer must not use its tunnel after all."""
        for key in [key for key, account in (self.accounts or {}).items() if account.uid == uid]:
            self._spared.pop(key, None)
        for order in self._orders:
            if order.uid == uid:
                order.spare = False
        self._kick.set()

    def keep(self, uid: str) -> None:
        """The peer has come back before its account was deleted."""
        self._discarded.discard(uid)

    def discard(self, uids: Set[str]) -> set[str]:
        """Have no account left of these peers, as soon as may be; those of whom there is none for sure by now."""
        self._discarded |= uids
        if self.accounts is None or self.trouble is not None or not uids:
            return set()
        gone = uids - {account.uid for account in self.accounts.values()}
        self._discarded -= gone
        if uids - gone:
            self._kick.set()
        return set(gone)

    def change_members(self, members: Callable[[], Mapping[str, str | None]]) -> None:
        """From now on these are the peers whose accounts may be touched."""
        self._members = members
        self._kick.set()

    def plan(self) -> Plan:
        """What is left to be done, as far as is known."""
        now = time.monotonic()
        self._spared = {key: until for key, until in self._spared.items() if until > now}
        made = plan(
            self.wanted or {},
            tuple((self.accounts or {}).values()),
            self._members().keys() if self.wanted is not None else frozenset(),
            self._discarded,
            self._spared.keys(),
            makes_keys=self._system.makes_keys if self._system is not None else False,
            keeps_accounts=self._system.keeps_accounts if self._system is not None else True,
        )
        held = {
            step.key: self._holds[step.key].message
            for step in made.steps
            if step.act in (Act.PUT, Act.PARK) and self._is_held(step.key, now)
        }
        return replace(made, errors={**made.errors, **held})

    def warnings(self) -> tuple[str, ...]:
        """What of the system is not as it should be, in sentences."""
        missing = [account for account in (self.accounts or {}).values() if account.missing and account.uid]
        if not missing or self.site is None:
            return ()
        return (f"{len(missing)} of its enabled clients are not on the device of {self.site.system}; being repaired",)

    async def run(self) -> None:
        """Work until cancelled."""
        failures, pause = 0, 0.0
        try:
            while True:
                await self._wait(pause, patient=self.trouble is not None)
                try:
                    await self._round()
                except Exception as error:
                    failures += 1
                    pause = min(PAUSE_FIRST * 2 ** min(failures - 1, 10), PAUSE_LAST)
                    if isinstance(error, Throttled):
                        pause = max(pause, error.seconds)
                    await self._give_up(error)
                else:
                    failures, pause = 0, self._interval
                self._tell()
        finally:
            self._fail(Rejected("the work on this system has ended"))
            await self._drop()

    async def _wait(self, pause: float, *, patient: bool) -> None:
        """Until it is time, or somebody wants something; ``patient``: not before the time."""
        now = time.monotonic()
        due = min((hold.until for hold in self._holds.values() if hold.until > now), default=now + pause)
        event, seconds = (self._moved, pause) if patient else (self._kick, min(pause, due - now))
        if pause:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, seconds)):
                    await event.wait()
        self._kick.clear()
        if self._moved.is_set():
            self._moved.clear()
            self.site = self.accounts = None
            await self._drop()

    async def _round(self) -> None:
        if self._system is None:
            system = await self._connect()
            self._system, self._identified = system, -IDENTIFY_SECONDS
        if time.monotonic() - self._identified >= IDENTIFY_SECONDS:
            self.site = await self._system.identify()
            self._identified = time.monotonic()
        await self._look(self._system)
        if self.trouble is not None:
            logger.info("server %s: its system answers again", self._server)
            self.trouble = None
        self._tell()
        while not self._ends and await self._write_once(self._system):
            self._tell()

    async def _write_once(self, system: ForeignSystem) -> bool:
        self._at_rest.clear()
        try:
            return await self._step(system)
        finally:
            self._at_rest.set()

    async def _step(self, system: ForeignSystem) -> bool:
        """Do the most urgent thing; whether there was one."""
        now = time.monotonic()
        step = next((step for step in self.plan().steps if not self._is_held(step.key, now)), None)
        if step is not None and (step.act is not Act.PUT or not self._orders or step.account is not None):
            await self._do(system, step)
            return True
        self._orders = [order for order in self._orders if not order.done.done()]
        if self._orders:
            await self._fulfil(system, self._orders[0])
            return True
        if step is not None:
            await self._do(system, step)
            return True
        return False

    async def _do(self, system: ForeignSystem, step: Step) -> None:
        if step.act is Act.CUT and time.monotonic() - self._seen > FRESH_SECONDS:
            await self._look(system)
            step = replace(step, account=(self.accounts or {}).get(step.key))
        hold = self._holds.setdefault(step.key, _Hold())
        hold.tries += 1
        hold.message = f"{self._name()} took the change and does not show it"
        try:
            await self._write(system, step)
            self._uncertain = 0
        except Uncertain as error:
            hold.message = str(error)
            self._uncertain += 1
            await _settle(error)
            if self._uncertain >= UNCERTAIN_LIMIT:
                self._uncertain = 0
                raise
        except Rejected as error:
            hold.message, hold.tries = str(error), TRIES
        await self._look(system)
        if any(left.key == step.key and left.act is step.act for left in self.plan().steps):
            if hold.tries >= TRIES:
                logger.warning("server %s: an account is left alone for a while: %s", self._server, hold.message)
                hold.until, hold.tries = time.monotonic() + HOLD_SECONDS, 0
        else:
            self._holds.pop(step.key, None)

    async def _write(self, system: ForeignSystem, step: Step) -> None:
        account = step.account
        if step.act is Act.PUT and step.wanted is not None:
            await system.put(account, step.wanted)
        elif account is None:
            return
        elif step.act is Act.PARK:
            await system.put(account, self._aside(account))
        else:
            # The last bytes before its counters are lost.
            self.final[account.key] = account
            await (system.cut(account) if step.act is Act.CUT else system.delete(account))

    def _aside(self, account: Account) -> Wanted:
        networks = self.site.networks if self.site is not None else ()
        taken = {address for one in (self.wanted or {}).values() for address in one.addresses}
        spare = [spare_address(tuple((self.accounts or {}).values()), network, taken) for network in networks]
        addresses = tuple(address for address in spare if address is not None)
        return Wanted(account.key, account.uid or "", addresses, account.routes)

    async def _fulfil(self, system: ForeignSystem, order: _Order) -> None:
        name = account_name(order.uid, order.generation)
        try:
            account = next((a for a in (self.accounts or {}).values() if a.name == name), None)
            if account is None and not order.fresh:
                keys = None
            else:
                account = await self._make(system, name)
                self._spared[account.key] = time.monotonic() + SPARE_SECONDS
                await self._seat(system, account, order)
                keys = await system.keys(account)
                if not order.spare and account.key not in (self.wanted or {}):
                    del self._spared[account.key]
                    await system.cut(account)  # before anybody has the keys
                    await self._look(system)
        except (Uncertain, Rejected) as error:
            self._finish(order, error)
            await _settle(error)
            await self._look(system)
        else:
            self._finish(order, keys)

    async def _make(self, system: ForeignSystem, name: str) -> Account:
        try:
            account = await system.make(name)
        except Uncertain as error:
            await _settle(error)
            # It may be there by now: that is looked for before another one is made.
            account = await system.make(name)
        await self._look(system)
        return (self.accounts or {}).get(account.key, account)

    async def _seat(self, system: ForeignSystem, account: Account, order: _Order) -> None:
        """Give the new account its address at once: the one that it came with may be meant for the next."""
        holders = {
            address for other in (self.accounts or {}).values() if other is not account for address in other.addresses
        }
        if set(order.addresses) <= set(account.addresses) or holders & set(order.addresses):
            return
        try:
            await system.put(account, Wanted(account.key, order.uid, order.addresses, account.routes))
        except (Uncertain, Rejected) as error:
            # The plan sees to it.
            logger.info("server %s: a new account has not got its address yet: %s", self._server, error)
            await _settle(error)
        await self._look(system)

    def _finish(self, order: _Order, result: ClientKeys | SystemError | None) -> None:
        if order in self._orders:
            self._orders.remove(order)
        if order.done.done():
            return
        if isinstance(result, SystemError):
            order.done.set_exception(result)
        else:
            order.done.set_result(result)

    async def _look(self, system: ForeignSystem) -> None:
        owners = {key: uid for uid, key in self._members().items() if key}
        found = {}
        for account in await system.accounts():
            if account.uid is None and account.key in owners:
                # Somebody renamed it; it is ours all the same, or nobody could cut it any more.
                account = replace(account, uid=owners[account.key], spoilt=True)
            found[account.key] = account
        self.accounts, self._seen = found, time.monotonic()

    async def _give_up(self, error: Exception) -> None:
        if not isinstance(error, SystemError):
            # A mistake of ours, or an answer that nobody thought of, must not end the work on this system for good.
            logger.exception("server %s: the work on its system failed", self._server, exc_info=error)
            error = SystemError("the operator does not understand the system; its log says where")
        if type(error) is not type(self.trouble):
            logger.warning("server %s: %s", self._server, error)
        self.trouble = error
        self._fail(error)
        await self._drop()

    def _fail(self, error: SystemError) -> None:
        for order in list(self._orders):
            self._finish(order, error)

    async def _drop(self) -> None:
        system, self._system = self._system, None
        if system is not None:
            await system.close()

    def _is_held(self, key: str, now: float) -> bool:
        hold = self._holds.get(key)
        return hold is not None and hold.until > now

    def _name(self) -> str:
        return str(self.site.system) if self.site is not None else "the system"


async def _settle(error: SystemError) -> None:
    """Two writes at a time may wipe a device, and what is not there yet may come."""
    if isinstance(error, Uncertain) and not error.answered:
        await asyncio.sleep(SETTLE_SECONDS)
