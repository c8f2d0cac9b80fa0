"""Who may use a public key."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.domain.objects import claim
from wireguard_operator.api.base import Key
from wireguard_operator.domain.claims import Claim, Claims

OLD, NEW, NEWEST = claim("old", 0), claim("new", 5), claim("newest", 9)


def entered(*claims: Claim, keys: tuple[str, ...] = ("K",)) -> Claims:
    all_claims = Claims()
    for one in claims:
        all_claims.enter(one, keys)
    return all_claims


def test_the_older_peer_holds_the_key_in_whatever_order_they_come() -> None:
    assert entered(OLD, NEW).holder("K") == entered(NEW, OLD).holder("K") == OLD.peer


def test_of_two_that_were_made_in_one_second_the_uid_decides() -> None:
    one, two = Claim(OLD.created, "a", Key("isp", "z")), Claim(OLD.created, "b", Key("isp", "a"))
    assert entered(one, two).holder("K") == entered(two, one).holder("K") == one.peer


def test_a_peer_that_is_displaced_is_named_once() -> None:
    claims = entered(NEW)
    assert claims.enter(OLD, ["K"]) == {NEW.peer}
    assert claims.enter(OLD, ["K"]) == set()
    assert claims.enter(NEWEST, ["K"]) == set()


def test_the_next_one_comes_up_when_the_holder_goes() -> None:
    claims = entered(OLD, NEWEST, NEW)
    assert claims.withdraw(OLD.peer) == {NEW.peer}
    assert claims.withdraw(NEWEST.peer) == set()
    assert claims.holder("K") == NEW.peer
    assert claims.withdraw(NEW.peer) == set()
    assert claims.holder("K") is None


def test_a_new_key_gives_up_the_old_one() -> None:
    claims = entered(OLD, NEW)
    assert claims.enter(OLD, ["L"]) == {NEW.peer}
    assert (claims.holder("K"), claims.holder("L")) == (NEW.peer, OLD.peer)
    assert claims.keys_of(OLD.peer) == {"L"}


def test_during_a_rotation_a_peer_claims_both_keys_and_then_gives_the_former_one_up() -> None:
    claims = entered(OLD)
    assert claims.enter(OLD, ["K", "L"]) == set()
    assert claims.keys_of(OLD.peer) == {"K", "L"}
    assert claims.enter(NEW, ["K"]) == set()
    assert claims.enter(OLD, ["L"]) == {NEW.peer}
    assert (claims.holder("K"), claims.holder("L")) == (NEW.peer, OLD.peer)


def test_two_keys_may_have_two_holders() -> None:
    claims = entered(OLD)
    assert claims.enter(NEW, ["K", "L"]) == set()
    assert (claims.holder("K"), claims.holder("L")) == (OLD.peer, NEW.peer)
    assert claims.withdraw(OLD.peer) == {NEW.peer}
    assert claims.withdraw(NEW.peer) == set()


def test_a_peer_that_was_made_anew_stands_behind_those_that_are_older_now() -> None:
    claims = entered(OLD, NEW)
    again = Claim(NEWEST.created, "another-uid", OLD.peer)
    assert claims.enter(again, ["K"]) == {NEW.peer}
    assert claims.holder("K") == NEW.peer
    assert claims.withdraw(NEW.peer) == {OLD.peer}


def test_who_never_claimed_anything_can_be_withdrawn() -> None:
    assert Claims().withdraw(OLD.peer) == set()
    assert Claims().keys_of(OLD.peer) == set()


NAMES, KEYS = [f"p{number}" for number in range(6)], ["K", "L", "M"]
STEPS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 3), st.sets(st.sampled_from(KEYS), max_size=2)), max_size=40
)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_the_holder_is_always_the_oldest_claimant_and_whoever_it_concerns_is_named(
    steps: list[tuple[str, int, set[str]]],
) -> None:
    claims, model = Claims(), dict[Key, tuple[Claim, set[str]]]()
    for name, age, keys in steps:
        before = {key: claims.holder(key) for key in KEYS}
        one = claim(name, age)
        if keys:
            affected = claims.enter(one, sorted(keys))
            model[one.peer] = one, keys
        else:
            affected = claims.withdraw(one.peer)
            model.pop(one.peer, None)
        for key in KEYS:
            oldest = min((other for other, wanted in model.values() if key in wanted), default=None)
            assert claims.holder(key) == (oldest.peer if oldest else None)
            if before[key] != claims.holder(key):
                assert {before[key], claims.holder(key)} - {None, one.peer} <= affected
        assert one.peer not in affected
        assert {peer: claims.keys_of(peer) for peer in model} == {peer: keys for peer, (_, keys) in model.items()}
