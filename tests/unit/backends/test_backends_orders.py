"""Orders of accounts, and what those who wait for them hear."""

import asyncio

import pytest

from wireguard_operator.backends.errors import Rejected, Unreachable
from wireguard_operator.backends.orders import Orders
from wireguard_operator.domain.key_ring import ClientKeys


def ordered(orders: Orders, uid: str) -> asyncio.Future[ClientKeys | None]:
    return orders.add(uid, 0, ("10.8.0.2/32",), fresh=True, spare=True)


async def test_the_oldest_comes_first_and_is_finished_once() -> None:
    orders, keys = Orders(), ClientKeys("a", None, None)
    one, other = ordered(orders, "uid-a"), ordered(orders, "uid-b")
    first = orders.first()
    assert first is not None and first.uid == "uid-a"
    orders.finish(first, keys)
    orders.finish(first, Rejected("too late"))
    following = orders.first()
    assert await one is keys and following is not None and following.uid == "uid-b"
    orders.finish(following, None)
    assert await other is None and orders.first() is None


async def test_an_order_that_nobody_waits_for_any_more_is_forgotten() -> None:
    orders = Orders()
    ordered(orders, "uid-a").cancel()
    assert orders.first() is None


async def test_an_account_of_a_peer_that_is_withheld_is_not_spared() -> None:
    orders = Orders()
    ordered(orders, "uid-a")
    orders.withhold("uid-b")
    order = orders.first()
    assert order is not None and order.spare
    orders.withhold("uid-a")
    assert not order.spare


async def test_when_the_system_fails_everybody_is_told_at_once() -> None:
    orders = Orders()
    waiting = [ordered(orders, uid) for uid in ("uid-a", "uid-b")]
    orders.fail(Unreachable("no answer"))
    assert orders.first() is None
    for done in waiting:
        with pytest.raises(Unreachable):
            await done
