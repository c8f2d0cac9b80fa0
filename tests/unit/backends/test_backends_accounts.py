"""What is known of a system's accounts, from one look to the next, and who is spared meanwhile."""

from collections.abc import Mapping

from wireguard_operator.backends.accounts import FRESH_SECONDS, SPARE_SECONDS, Accounts
from wireguard_operator.backends.contract import Account, Wanted, account_name
from wireguard_operator.backends.plan import Act

A, B = "10.8.0.2/32", "10.8.0.3/32"


def account(key: str, **fields: object) -> Account:
    """An account of the peer of that key."""
    base: dict[str, object] = {"id": key, "key": key, "name": account_name(f"uid-{key}", 0), "uid": f"uid-{key}"}
    return Account(**{**base, "addresses": (A,), **fields})  # type: ignore[arg-type]


def seen(*found: Account, members: Mapping[str, str | None] | None = None) -> Accounts:
    """So they were seen at 100 s; all are members' if nothing else is said."""
    peers = {a.uid: a.key for a in found if a.uid} if members is None else members
    accounts = Accounts(lambda: peers)
    accounts.see(found, accounts.owners(), 100.0)
    return accounts


def acts(accounts: Accounts, now: float = 101.0) -> list[tuple[Act, str]]:
    return [(step.act, step.key) for step in accounts.plan(None, now).steps]


def test_nobody_is_cut_before_it_is_known_who_is_wanted() -> None:
    accounts = seen(account("a"))
    assert acts(accounts) == []
    accounts.want({})
    assert acts(accounts) == [(Act.CUT, "a")]


def test_a_new_account_is_spared_until_it_is_wanted_or_withheld_or_for_a_while() -> None:
    for end in ("wanted", "withheld", "not wanted", "late"):
        accounts = seen(account("a"))
        accounts.want({})
        accounts.spare("a", 100.0)
        assert acts(accounts) == [], end
        if end == "wanted":
            accounts.want({"a": Wanted("a", "uid-a", (A,))})
            assert acts(accounts) == []
            accounts.want({})
        elif end == "withheld":
            accounts.withhold("uid-a")
        elif end == "not wanted":
            accounts.end_sparing("a")
            accounts.end_sparing("a")  # its peer may have been disabled just before
        assert acts(accounts, 100.0 + SPARE_SECONDS if end == "late" else 101.0) == [(Act.CUT, "a")], end


def test_who_is_discarded_is_deleted_and_gone_when_no_account_is_left() -> None:
    accounts = seen(account("a"))
    accounts.want({})
    accounts.discard({"uid-a", "uid-b"})
    assert accounts.take_gone({"uid-a", "uid-b"}) == {"uid-b"}
    assert acts(accounts) == [(Act.DELETE, "a")]
    accounts.keep("uid-a")
    assert acts(accounts) == [(Act.CUT, "a")]
    accounts.discard({"uid-a"})
    accounts.see((), {}, 101.0)
    assert accounts.take_gone({"uid-a"}) == {"uid-a"} and acts(accounts) == []


def test_an_account_that_somebody_renamed_is_known_by_its_key() -> None:
    accounts = seen(account("a", uid=None, name="Alice's phone"), account("b", uid=None), members={"uid-a": "a"})
    there = accounts.there
    assert (there["a"].uid, there["a"].spoilt) == ("uid-a", True)
    assert there["b"].uid is None
    assert accounts.named("Alice's phone") == there["a"] and accounts.named("nobody") is None


def test_a_look_is_fresh_for_a_moment() -> None:
    accounts = seen()
    assert accounts.is_fresh(100.0 + FRESH_SECONDS) and not accounts.is_fresh(100.1 + FRESH_SECONDS)


def test_who_steps_aside_goes_where_nobody_is_or_wants_to_be() -> None:
    accounts = seen(account("a", routes=("10.9.0.0/24",)), account("b", addresses=("10.8.0.254/32",)))
    accounts.want({"c": Wanted("c", "uid-c", ("10.8.0.253/32",))})
    aside = accounts.aside(accounts.there["a"], ["10.8.0.0/24"])
    assert aside == Wanted("a", "uid-a", ("10.8.0.252/32",), ("10.9.0.0/24",))
