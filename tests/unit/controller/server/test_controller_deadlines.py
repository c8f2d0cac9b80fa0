"""Deadlines are called when their moment has come, once, and the last wish counts."""

from datetime import UTC, datetime, timedelta

import pytest

from wireguard_operator.api.base import Key
from wireguard_operator.controller.server.deadlines import Deadlines

START = datetime(2026, 1, 1, tzinfo=UTC)
ALICE, BOB = Key("isp", "alice"), Key("isp", "bob")


class Clock:
    now = START

    def __call__(self) -> datetime:
        return self.now


def later(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def test_what_is_due_is_called_in_order_and_once() -> None:
    clock, called = Clock(), list[Key]()
    deadlines = Deadlines(clock, called.append)
    deadlines.set(BOB, later(20))
    deadlines.set(ALICE, later(10))
    deadlines.look()
    assert called == []
    clock.now = later(30)
    deadlines.look()
    deadlines.look()
    assert called == [ALICE, BOB]


def test_an_extended_or_withdrawn_deadline_is_not_called_at_its_old_time() -> None:
    clock, called = Clock(), list[Key]()
    deadlines = Deadlines(clock, called.append)
    deadlines.set(ALICE, later(10))
    deadlines.set(ALICE, later(50))
    deadlines.set(BOB, later(10))
    deadlines.set(BOB, None)
    clock.now = later(20)
    deadlines.look()
    assert called == []
    clock.now = later(50)
    deadlines.look()
    assert called == [ALICE]


@pytest.mark.parametrize(("first", "second", "at"), [(None, 10, 10), (50, 10, 10), (10, 50, 10), (10, 10, 10)])
def test_a_wish_for_a_sooner_look_never_puts_off_the_one_that_was_due(first: int | None, second: int, at: int) -> None:
    clock, called = Clock(), list[Key]()
    deadlines = Deadlines(clock, called.append)
    if first is not None:
        deadlines.set(ALICE, later(first))
    deadlines.set(ALICE, later(second), sooner=True)
    clock.now = later(at - 1)
    deadlines.look()
    assert called == []
    clock.now = later(at)
    deadlines.look()
    assert called == [ALICE]
    clock.now = later(100)
    deadlines.look()
    assert called == [ALICE], "whoever is called says anew when the next look is due"


def test_a_sooner_look_of_one_peer_is_no_matter_of_another_one() -> None:
    clock, called = Clock(), list[Key]()
    deadlines = Deadlines(clock, called.append)
    deadlines.set(BOB, later(50))
    deadlines.set(ALICE, later(60), sooner=True)
    clock.now = later(55)
    deadlines.look()
    assert called == [BOB]
    clock.now = later(60)
    deadlines.look()
    assert called == [BOB, ALICE]


def test_after_a_sooner_look_the_plain_wish_counts_again() -> None:
    clock, called = Clock(), list[Key]()
    deadlines = Deadlines(clock, called.append)
    deadlines.set(ALICE, later(10), sooner=True)
    deadlines.set(ALICE, later(50))
    clock.now = later(49)
    deadlines.look()
    assert called == []
    clock.now = later(50)
    deadlines.look()
    assert called == [ALICE]


def test_deadlines_that_were_replaced_or_withdrawn_take_no_room_for_years() -> None:
    clock, called = Clock(), list[Key]()
    deadlines = Deadlines(clock, called.append)
    for number in range(10_000):
        deadlines.set(Key("isp", f"p{number}"), later(10_000_000 + number))
        deadlines.set(Key("isp", f"p{number}"), None)
    deadlines.set(ALICE, later(10))
    assert len(deadlines._heap) < 200
    clock.now = later(20)
    deadlines.look()
    assert called == [ALICE]
