"""Carries out one thing on a system, and looks at what has become of it before there is another.

An order, for which somebody waits, comes after all that the plan has for accounts that are there, cuts first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

from .accounts import Accounts
from .contract import Account, ForeignSystem, Site, Wanted, account_name
from .errors import Rejected, SystemError, Uncertain
from .holds import Holds
from .orders import Order, Orders
from .plan import Act, Step

logger = logging.getLogger(__name__)

UNCERTAIN_LIMIT = 4
"""Writes in a row without a clear answer; after that the system is left alone."""
SETTLE_SECONDS = 30.0
"""For which a write that was not answered may still be under way; nothing else is written meanwhile."""


class Writer:
    """The one who writes to a system. No two of its methods are called at once; every one raises SystemError."""

    def __init__(self, server: str, accounts: Accounts, orders: Orders, holds: Holds) -> None:
        """``server``: its name, in logs."""
        self._server = server
        self._accounts = accounts
        self._orders = orders
        self._holds = holds
        self._uncertain = 0

    async def look(self, system: ForeignSystem) -> None:
        """See all accounts as they are now."""
        owners = self._accounts.owners()
        self._accounts.see(await system.accounts(), owners, time.monotonic())

    async def write(self, system: ForeignSystem, site: Site) -> bool:
        """Do the most urgent thing, and look; whether there was one."""
        now = time.monotonic()
        steps, held = self._accounts.plan(system, now).steps, self._holds.held(now)
        step = next((step for step in steps if step.key not in held), None)
        order = self._orders.first()
        if step is not None and (order is None or step.act is not Act.PUT or step.account is not None):
            await self._do(system, site, step)
        elif order is not None:
            await self._fulfil(system, order)
        else:
            return False
        return True

    async def _do(self, system: ForeignSystem, site: Site, step: Step) -> None:
        if step.act is Act.CUT and not self._accounts.is_fresh(time.monotonic()):
            await self.look(system)
            step = replace(step, account=self._accounts.there.get(step.key))
        hold = self._holds.of(step.key)
        hold.attempt(f"{site.system} took the change and does not show it")
        try:
            await self._send(system, site, step)
            self._uncertain = 0
        except Uncertain as error:
            hold.message = str(error)
            self._uncertain += 1
            await _settle(error)
            if self._uncertain >= UNCERTAIN_LIMIT:
                self._uncertain = 0
                raise
        except Rejected as error:
            hold.refuse(str(error))
        await self.look(system)
        left = self._accounts.plan(system, time.monotonic()).steps
        if not any(other.key == step.key and other.act is step.act for other in left):
            self._holds.end(step.key)
        elif hold.is_exhausted:
            logger.warning("server %s: an account is left alone for a while: %s", self._server, hold.message)
            self._holds.begin(step.key, hold, time.monotonic())

    async def _send(self, system: ForeignSystem, site: Site, step: Step) -> None:
        account = step.account
        if step.act is Act.PUT and step.wanted is not None:
            await system.put(account, step.wanted)
        elif account is None:
            return
        elif step.act is Act.PARK:
            await system.put(account, self._accounts.aside(account, site.networks))
        else:
            # The last bytes before its counters are lost.
            self._accounts.final[account.key] = account
            await (system.cut(account) if step.act is Act.CUT else system.delete(account))

    async def _fulfil(self, system: ForeignSystem, order: Order) -> None:
        name = account_name(order.uid, order.generation)
        try:
            if self._accounts.named(name) is None and not order.fresh:
                keys = None
            else:
                account = await self._make(system, name)
                self._accounts.spare(account.key, time.monotonic())
                await self._seat(system, account, order)
                keys = await system.keys(account)
                if not order.spare and not self._accounts.is_wanted(account.key):
                    self._accounts.end_sparing(account.key)
                    await system.cut(account)  # before anybody has the keys
                    await self.look(system)
        except (Uncertain, Rejected) as error:
            self._orders.finish(order, error)
            await _settle(error)
            await self.look(system)
        else:
            self._orders.finish(order, keys)

    async def _make(self, system: ForeignSystem, name: str) -> Account:
        try:
            account = await system.make(name)
        except Uncertain as error:
            await _settle(error)
            # It may be there by now: that is looked for before another one is made.
            account = await system.make(name)
        await self.look(system)
        return self._accounts.there.get(account.key, account)

    async def _seat(self, system: ForeignSystem, account: Account, order: Order) -> None:
        """Give the new account its address at once: the one that it came with may be meant for the next."""
        others = [other for other in self._accounts.there.values() if other is not account]
        holders = {address for other in others for address in other.addresses}
        if set(order.addresses) <= set(account.addresses) or holders & set(order.addresses):
            return
        try:
            await system.put(account, Wanted(account.key, order.uid, order.addresses, account.routes))
        except (Uncertain, Rejected) as error:
            # The plan sees to it.
            logger.info("server %s: a new account has not got its address yet: %s", self._server, error)
            await _settle(error)
        await self.look(system)


async def _settle(error: SystemError) -> None:
    """Two writes at a time may wipe a device, and what is not there yet may come."""
    if isinstance(error, Uncertain) and not error.answered:
        await asyncio.sleep(SETTLE_SECONDS)
