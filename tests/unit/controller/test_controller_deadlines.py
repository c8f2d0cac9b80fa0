"""Deadlines are called when their moment has come, once, and the last wish counts."""

from datetime import UTC, datetime, timedelta

from wireguard_operator.api.base import Key
from wireguard_operator.controller.deadlines import Deadlines

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
