"""Who may use a public key."""

from datetime import UTC, datetime, timedelta

from wireguard_operator.api.base import Key
from wireguard_operator.domain.claims import Claim, Claims

START = datetime(2026, 1, 1, tzinfo=UTC)


def claim(name: str, age: int) -> Claim:
    return Claim(START + timedelta(seconds=age), f"uid-{name}", Key("isp", name))


def test_the_older_peer_holds_the_key_in_whatever_order_they_come() -> None:
    for first, second in ((claim("old", 0), claim("new", 9)), (claim("new", 9), claim("old", 0))):
        claims = Claims()
        claims.enter("K", first)
        claims.enter("K", second)
        assert claims.holder("K") == Key("isp", "old")


def test_a_peer_that_is_displaced_is_named() -> None:
    claims = Claims()
    claims.enter("K", claim("new", 9))
    assert claims.enter("K", claim("old", 0)) == {Key("isp", "new")}
    assert claims.enter("K", claim("old", 0)) == set()


def test_the_next_one_comes_up_when_the_holder_goes() -> None:
    claims = Claims()
    claims.enter("K", claim("old", 0))
    claims.enter("K", claim("new", 9))
    assert claims.withdraw(Key("isp", "old")) == {Key("isp", "new")}
    assert claims.holder("K") == Key("isp", "new")
    assert claims.withdraw(Key("isp", "new")) == set()
    assert claims.holder("K") is None


def test_a_new_key_gives_up_the_old_one() -> None:
    claims = Claims()
    claims.enter("K", claim("a", 0))
    claims.enter("K", claim("b", 1))
    assert claims.enter("L", claim("a", 0)) == {Key("isp", "b")}
    assert (claims.holder("K"), claims.holder("L")) == (Key("isp", "b"), Key("isp", "a"))
