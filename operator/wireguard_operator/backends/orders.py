"""Orders of accounts, where the system makes the keys: whoever gave one waits for the keys, and nobody else waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ..domain.key_ring import ClientKeys
from .errors import SystemError


@dataclass(slots=True)
class Order:
    """An account whose keys somebody waits for."""

    uid: str
    generation: int
    addresses: tuple[str, ...]
    fresh: bool
    """It is made where it is not there; otherwise there are no keys then."""
    spare: bool
    """It will be wanted soon and need not be switched off until then."""
    done: asyncio.Future[ClientKeys | None]


class Orders:
    """What is ordered of one system, the oldest first. Each order is finished once, or given up by who waits for it."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def add(
        self, uid: str, generation: int, addresses: tuple[str, ...], *, fresh: bool, spare: bool
    ) -> asyncio.Future[ClientKeys | None]:
        """Order an account; what to wait for. It may raise SystemError."""
        done: asyncio.Future[ClientKeys | None] = asyncio.get_running_loop().create_future()
        self._orders.append(Order(uid, generation, addresses, fresh, spare, done))
        return done

    def first(self) -> Order | None:
        """The one to be carried out next; those that nobody waits for any more are forgotten."""
        self._orders = [order for order in self._orders if not order.done.done()]
        return self._orders[0] if self._orders else None

    def withhold(self, uid: str) -> None:
        """The peer must not use its tunnel after all: its account is switched off before anybody has the keys."""
        for order in self._orders:
            if order.uid == uid:
                order.spare = False

    def finish(self, order: Order, result: ClientKeys | SystemError | None) -> None:
        """Tell who waits for it."""
        if order in self._orders:
            self._orders.remove(order)
        if order.done.done():
            return
        if isinstance(result, SystemError):
            order.done.set_exception(result)
        else:
            order.done.set_result(result)

    def fail(self, error: SystemError) -> None:
        """Tell everybody who waits that nothing comes of it."""
        for order in list(self._orders):
            self.finish(order, error)
