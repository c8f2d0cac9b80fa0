"""What events do to a peer, in whatever order and however often they come."""

import copy
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.api.peer import SuspensionMode
from wireguard_operator.gateway.billing.decide import (
    ANNOTATION,
    Outcome,
    by_hand,
    decide,
    is_timely,
    read_marks,
)
from wireguard_operator.gateway.billing.events import Order

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SUSPEND, RESUME = Order("non-payment", True), Order("non-payment", False)


def peer(*locks: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "alice"}, "spec": {"suspensions": list(locks)} if locks else {}}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        result[name] = merge(result.get(name), value)
    return result


def carry_out(target: dict[str, Any], order: Order, minutes: float) -> tuple[dict[str, Any], Outcome]:
    before = copy.deepcopy(target)
    change = decide(target, order, NOW + timedelta(minutes=minutes), "dunning")
    assert target == before
    return (merge(target, change.patch) if change.patch else target), change.outcome


def reasons(target: dict[str, Any]) -> set[str]:
    return {lock["reason"] for lock in target["spec"].get("suspensions", ())}


def test_a_suspension_adds_its_lock_and_says_who_asked() -> None:
    after, outcome = carry_out(peer(), SUSPEND, 0)
    assert outcome is Outcome.SUSPENDED
    assert after["spec"]["suspensions"] == [{"reason": "non-payment", "mode": "Cut", "by": "dunning"}]


def test_lock_and_time_are_one_write() -> None:
    change = decide(peer(), SUSPEND, NOW, "dunning")
    assert change.patch is not None
    assert set(change.patch) == {"spec", "metadata"}


def test_lifting_one_lock_leaves_the_others() -> None:
    after, outcome = carry_out(peer({"reason": "abuse"}, {"reason": "non-payment"}), RESUME, 0)
    assert outcome is Outcome.RESUMED
    assert reasons(after) == {"abuse"}


def test_the_same_event_again_writes_nothing() -> None:
    after, _ = carry_out(peer(), SUSPEND, 0)
    change = decide(after, SUSPEND, NOW, "dunning")
    assert (change.outcome, change.patch) == (Outcome.UNCHANGED, None)


def test_an_event_that_comes_again_does_not_undo_what_a_person_did_since() -> None:
    after, _ = carry_out(peer(), SUSPEND, 0)
    after["spec"]["suspensions"] = []
    again, outcome = carry_out(after, SUSPEND, 0)
    assert outcome is Outcome.UNCHANGED
    assert again == after


def test_an_old_suspension_that_is_repeated_after_a_payment_does_nothing() -> None:
    suspended, _ = carry_out(peer(), SUSPEND, 0)
    paid, _ = carry_out(suspended, RESUME, 5)
    again, outcome = carry_out(paid, SUSPEND, 0)
    assert outcome is Outcome.OUTDATED
    assert again == paid


def test_a_payment_that_overtakes_the_suspension_holds_though_it_found_no_lock() -> None:
    paid, outcome = carry_out(peer(), RESUME, 5)
    assert outcome is Outcome.UNCHANGED
    after, outcome = carry_out(paid, SUSPEND, 0)
    assert outcome is Outcome.OUTDATED
    assert not reasons(after)


def test_a_later_suspension_counts() -> None:
    paid, _ = carry_out(peer(), RESUME, 5)
    after, outcome = carry_out(paid, SUSPEND, 6)
    assert outcome is Outcome.SUSPENDED
    assert reasons(after) == {"non-payment"}


def test_a_lock_that_a_person_placed_is_kept_as_it_is_when_it_does_the_same() -> None:
    lock = {"reason": "non-payment", "by": "ann", "message": "third reminder"}
    after, outcome = carry_out(peer(lock), SUSPEND, 0)
    assert outcome is Outcome.UNCHANGED
    assert after["spec"]["suspensions"] == [lock]


@pytest.mark.parametrize(
    "lock",
    [
        {"reason": "non-payment", "mode": "Throttle"},
        {"reason": "non-payment", "until": "2026-06-02T00:00:00Z"},
        {"reason": "non-payment", "since": "2026-07-01T00:00:00Z"},
    ],
    ids=["weaker", "ends by itself", "begins later"],
)
def test_a_lock_that_does_less_than_asked_is_replaced_in_its_place(lock: dict[str, Any]) -> None:
    after, outcome = carry_out(peer(lock, {"reason": "abuse"}), SUSPEND, 0)
    assert outcome is Outcome.SUSPENDED
    assert after["spec"]["suspensions"][0] == {"reason": "non-payment", "mode": "Cut", "by": "dunning"}


def test_a_seventeenth_lock_is_refused_and_nothing_is_written() -> None:
    change = decide(peer(*({"reason": f"r{n}"} for n in range(16))), SUSPEND, NOW, "dunning")
    assert (change.outcome, change.patch) == (Outcome.FULL, None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"non-payment": 7}', '{"non-payment": {"at": "x"}}', "null"])
def test_a_spoilt_annotation_says_nothing_and_is_written_anew(text: str) -> None:
    target = peer()
    target["metadata"]["annotations"] = {ANNOTATION: text}
    after, outcome = carry_out(target, SUSPEND, 0)
    assert outcome is Outcome.SUSPENDED
    assert read_marks(after["metadata"]["annotations"][ANNOTATION])["non-payment"].at == NOW


def test_the_annotation_stays_small_and_forgets_the_oldest_lock_that_is_gone() -> None:
    target = peer()
    for number in range(100):
        target, _ = carry_out(target, Order(f"r{number}", False), number)
    marks = read_marks(target["metadata"]["annotations"][ANNOTATION])
    assert sorted(marks) == sorted(f"r{number}" for number in range(68, 100))


ORDERS = [
    Order(reason, suspend, mode)
    for reason, suspend, mode in itertools.product(
        ("non-payment", "abuse"), (True, False), (SuspensionMode.CUT, SuspensionMode.WALLED_GARDEN)
    )
]


@given(
    st.lists(
        st.tuples(st.sampled_from(ORDERS[:1] + ORDERS[2:3] + ORDERS[4:5] + ORDERS[6:7]), st.integers(0, 5)), max_size=8
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_and_number_of_deliveries_make_no_difference(events: list[tuple[Order, int]], random: Any) -> None:
    straight = peer()
    for order, minutes in sorted(events, key=lambda event: (event[1], not event[0].suspend)):
        straight, _ = carry_out(straight, order, minutes)
    shuffled = events * 2
    random.shuffle(shuffled)
    mixed = peer()
    for order, minutes in shuffled:
        mixed, _ = carry_out(mixed, order, minutes)
    assert reasons(mixed) == reasons(straight)


@pytest.mark.parametrize(
    ("hours", "named"), [(0, None), (-71, None), (0.08, None), (-73, "72 hours"), (0.1, "still to come")]
)
def test_an_event_is_taken_for_three_days_and_not_before_it_happens(hours: float, named: str | None) -> None:
    why = is_timely(NOW + timedelta(hours=hours), NOW)
    assert why is None if named is None else why is not None and named in why


def test_what_a_person_does_counts_as_much_as_an_event_of_that_moment() -> None:
    suspended, _ = carry_out(peer({"reason": "abuse"}), SUSPEND, 0)
    wanted = [lock for lock in suspended["spec"]["suspensions"] if lock["reason"] == "abuse"]
    annotations = by_hand(suspended, wanted, NOW + timedelta(minutes=10))
    lifted = merge(suspended, {"metadata": {"annotations": annotations}, "spec": {"suspensions": wanted}})
    assert carry_out(lifted, SUSPEND, 9)[1] is Outcome.OUTDATED
    assert carry_out(lifted, SUSPEND, 11)[1] is Outcome.SUSPENDED
    assert set(read_marks(annotations[ANNOTATION])) == {"non-payment"}


def test_a_person_who_changes_no_lock_leaves_no_mark() -> None:
    target = peer({"reason": "abuse"})
    assert by_hand(target, [{"reason": "abuse", "message": "second notice"}], NOW) == {}


def test_a_caller_with_a_long_name_suspends_all_the_same() -> None:
    patch = decide(peer(), SUSPEND, NOW, "u" * 300).patch
    assert patch is not None
    assert patch["spec"]["suspensions"][0]["by"] == "u" * 253
