"""Who should be suspended against who is, and the guard against lists that are not whole."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from wireguard_operator.gateway.billing.decide import ANNOTATION, Mark, Outcome, write_marks
from wireguard_operator.gateway.billing.difference import Declaration, Difference, compare, objection
from wireguard_operator.gateway.billing.events import Order

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LOCK = {"reason": "non-payment"}


def peer(
    number: int, *locks: dict[str, str], newest: tuple[int, bool] | None = None, subscriber: bool = True
) -> dict[str, Any]:
    """Peer p<n> of subscriber s<n> and customer c<n>; ``newest``: minutes from now, and whether it suspended."""
    marks = {"non-payment": Mark(NOW + timedelta(minutes=newest[0]), newest[1])} if newest else {}
    ids = {"subscriberId": f"s{number}", "customerId": f"c{number}"} if subscriber else {}
    return {
        "metadata": {
            "namespace": "isp",
            "name": f"p{number}",
            "annotations": {ANNOTATION: write_marks(marks, ())} if marks else {},
        },
        "spec": {"suspensions": list(locks), "subscriber": ids},
    }


def declared(*subscribers: str, customers: tuple[str, ...] = ()) -> Declaration:
    return Declaration(Order("non-payment", True), frozenset(subscribers), frozenset(customers), NOW)


def changed(found: Difference) -> tuple[list[str], list[str]]:
    """Names of those to suspend and those to resume."""
    suspend, resume = ([step.peer.name for step in found.changes(kind)] for kind in (True, False))
    return suspend, resume


def test_who_is_named_and_has_no_lock_gets_it_and_who_has_it_and_is_not_named_loses_it() -> None:
    peers = [peer(1), peer(2, LOCK), peer(3, LOCK), peer(4)]
    assert changed(compare(peers, declared("s1", "s2"), "billing")) == (["p1"], ["p3"])


def test_a_customer_stands_for_all_of_his_peers() -> None:
    assert changed(compare([peer(1), peer(2)], declared(customers=("c2",)), "billing")) == (["p2"], [])


def test_locks_of_other_reasons_and_peers_of_nobody_are_left_alone() -> None:
    peers = [peer(1, {"reason": "abuse"}), peer(2, LOCK, subscriber=False)]
    found = compare(peers, declared(), "billing")
    assert changed(found) == ([], [])
    assert len(found.seen) == 1


def test_what_happened_after_the_list_was_made_stands_and_is_told() -> None:
    paid, owes = peer(1, newest=(5, False)), peer(2, LOCK, newest=(5, True))
    found = compare([paid, owes], declared("s1"), "billing")
    assert changed(found) == ([], [])
    assert {step.peer.name: step.outcome for step in found.steps.values()} == {
        "p1": Outcome.OUTDATED,
        "p2": Outcome.OUTDATED,
    }


def test_a_newer_event_that_says_the_same_as_the_list_is_no_difference() -> None:
    peers = [peer(1, LOCK, newest=(5, True)), peer(2, newest=(5, False))]
    assert not compare(peers, declared("s1"), "billing").steps


def test_names_that_no_peer_has_are_told() -> None:
    wanted = declared("s1", "s9", customers=("c8",))
    assert compare([peer(1)], wanted, "billing").unknown(wanted) == (["s9"], ["c8"])


def test_a_peer_that_a_restarted_list_tells_of_twice_counts_once_and_as_it_is_now() -> None:
    found = compare([peer(1), peer(1, LOCK), peer(2), peer(2)], declared("s1", "s2"), "billing")
    assert changed(found) == (["p2"], [])
    assert len(found.seen) == 2


@pytest.mark.parametrize(
    ("locked", "limit", "refused"), [(100, 10, True), (10, 10, False), (11, 10, True), (2, 1, True)]
)
def test_an_empty_list_does_not_let_everybody_in(locked: int, limit: float, refused: bool) -> None:
    peers = [peer(number, *([LOCK] if number < locked else [])) for number in range(100)]
    why = objection(compare(peers, declared(), "billing"), limit)
    assert (why is not None) is refused
    assert why is None or f"{locked} of 100 peers" in why


def test_a_list_of_everybody_does_not_cut_everybody() -> None:
    everybody = compare(map(peer, range(50)), declared(*(f"s{number}" for number in range(50))), "billing")
    assert "50 of 50 peers would change, 100.0 %" in str(objection(everybody, 10))
    assert objection(everybody, 100) is None


def test_one_peer_of_a_small_tenant_may_change_without_force() -> None:
    assert objection(compare([peer(1), peer(2)], declared("s1"), "billing"), 10) is None
