"""The clock of tests: an hour takes no time, threads are waited for, and what cannot end is said."""

import asyncio
import socket
import time

import pytest

from tests.unit.clock import ClockLoop, Stuck, stand_still

pytestmark = pytest.mark.usefixtures("clock")


async def test_pauses_end_in_their_order_and_take_no_time() -> None:
    ended, real, began, day = list[int](), time.perf_counter(), time.monotonic(), time.time()

    async def pause(hours: int) -> None:
        await asyncio.sleep(hours * 3600)
        ended.append(hours)

    await asyncio.gather(*(pause(hours) for hours in (3, 1, 2)))
    assert ended == [1, 2, 3]
    assert time.monotonic() - began == pytest.approx(3 * 3600)
    assert time.time() - day == pytest.approx(3 * 3600)
    assert time.perf_counter() - real < 600


async def test_work_takes_no_time() -> None:
    began = time.monotonic()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert time.monotonic() == began
    stand_still(7)
    assert time.monotonic() - began == pytest.approx(7)


async def test_no_time_passes_while_a_thread_works() -> None:
    async with asyncio.timeout(0.001):
        await asyncio.to_thread(time.sleep, 0.05)


async def test_a_thread_that_has_a_coroutine_run_meanwhile_is_no_deadlock() -> None:
    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 5), loop).result(9)) == 5


async def test_sockets_are_refused() -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(RuntimeError, match="no sockets"):
        asyncio.get_running_loop().add_reader(one, print)


def test_what_never_ends_is_said_at_once() -> None:
    loop = ClockLoop()
    waiting = loop.create_task(asyncio.Event().wait())
    with pytest.raises(Stuck):
        loop.run_until_complete(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()


def test_outside_of_the_loop_time_is_the_machine_s() -> None:
    loop = ClockLoop()
    began = time.monotonic()
    loop.run_until_complete(asyncio.sleep(3600))
    loop.close()
    assert time.monotonic() - began < 600
