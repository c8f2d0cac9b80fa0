"""Accounts that resist, and for how long they are left alone."""

from wireguard_operator.backends.holds import HOLD_SECONDS, TRIES, Holds

LATER = HOLD_SECONDS + 1


def resisting(holds: Holds, key: str, now: float) -> None:
    """Every write for the account was in vain."""
    hold = holds.of(key)
    for _ in range(TRIES):
        assert not hold.is_exhausted
        hold.attempt("does nothing")
    assert hold.is_exhausted
    holds.begin(key, hold, now)


def test_an_account_that_resists_is_left_alone_for_a_while_and_then_tried_as_often_again() -> None:
    holds = Holds()
    resisting(holds, "a", 100.0)
    holds.of("b").attempt("does nothing")
    assert holds.held(101.0) == {"a": "does nothing"}
    assert holds.held(100.0 + HOLD_SECONDS) == {}
    resisting(holds, "a", 200.0)
    assert holds.held(201.0) == {"a": "does nothing"}


def test_what_is_refused_for_a_reason_is_not_tried_a_second_time() -> None:
    hold = Holds().of("a")
    hold.attempt("does nothing")
    hold.refuse("is full")
    assert hold.is_exhausted and hold.message == "is full"


def test_when_something_else_is_wanted_tries_count_anew_but_who_is_left_alone_stays_so() -> None:
    holds = Holds()
    resisting(holds, "a", 100.0)
    holds.of("b").attempt("does nothing")
    holds.renew(101.0)
    assert holds.held(101.0) == {"a": "does nothing"} and holds.of("b").tries == 0
    holds.renew(100.0 + LATER)
    assert holds.of("a").message == ""


def test_an_account_is_left_alone_though_something_else_was_wanted_while_it_was_written_to() -> None:
    holds = Holds()
    hold = holds.of("a")
    holds.renew(100.0)
    hold.refuse("is full")
    holds.begin("a", hold, 101.0)
    assert holds.held(102.0) == {"a": "is full"}


def test_the_first_that_may_be_tried_again_says_when_there_is_something_to_do() -> None:
    holds = Holds()
    assert holds.next_end(100.0, default=7.0) == 7.0
    resisting(holds, "b", 105.0)
    resisting(holds, "a", 100.0)
    assert holds.next_end(106.0, default=7.0) == 100.0 + HOLD_SECONDS
    assert holds.next_end(102.0 + HOLD_SECONDS, default=7.0) == 105.0 + HOLD_SECONDS
    holds.end("b")
    assert holds.next_end(102.0 + HOLD_SECONDS, default=7.0) == 7.0
