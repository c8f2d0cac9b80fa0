"""What is to be done about a system's accounts, and in which order."""

from wireguard_operator.backends.contract import Account, Wanted, account_name, generation_of, uid_of
from wireguard_operator.backends.plan import Act, Plan, plan, spare_address

A, B, C = "10.8.0.2/32", "10.8.0.3/32", "10.8.0.4/32"


def account(key: str, address: str = A, uid: str | None = None, **fields: object) -> Account:
    """An account of ours, unless ``uid`` is empty."""
    uid = f"uid-{key}" if uid is None else uid or None
    base: dict[str, object] = {"id": key, "key": key, "name": account_name(uid, 0) if uid else "printer", "uid": uid}
    return Account(**{**base, "addresses": (address,), **fields})  # type: ignore[arg-type]


def want(key: str, *addresses: str, routes: tuple[str, ...] = ()) -> Wanted:
    return Wanted(key, f"uid-{key}", addresses or (A,), routes)


def made(wanted: list[Wanted], accounts: list[Account], **options: object) -> Plan:
    everybody = frozenset(a.uid for a in accounts if a.uid) | {w.uid for w in wanted}
    given: dict[str, object] = {"members": everybody, "makes_keys": True, **options}
    return plan({w.key: w for w in wanted}, accounts, **given)  # type: ignore[arg-type]


def acts(result: Plan) -> list[tuple[Act, str]]:
    return [(step.act, step.key) for step in result.steps]


def test_what_is_as_wanted_needs_nothing() -> None:
    assert made([want("a")], [account("a")]) == Plan()
    assert made([], [account("a", enabled=False)]) == Plan()


def test_cuts_come_before_deletions_and_those_before_changes() -> None:
    there = [account("a", A, enabled=False), account("b", B), account("c", C)]
    result = made([want("a")], there, discarded={"uid-b"})
    assert acts(result) == [(Act.CUT, "c"), (Act.DELETE, "b"), (Act.PUT, "a")]
    assert result.pending == {"a", "b", "c"}


def test_accounts_of_others_are_left_alone() -> None:
    assert made([], [account("printer", uid="")]) == Plan()
    assert made([], [account("a")], members=frozenset()) == Plan()


def test_an_account_that_was_just_made_is_not_cut() -> None:
    assert made([], [account("a")], spared={"a"}) == Plan()


def test_whatever_differs_is_put_right() -> None:
    for fields in ({"enabled": False}, {"missing": True}, {"spoilt": True}, {"addresses": (B,)}, {"routes": (B,)}):
        assert acts(made([want("a")], [account("a", **fields)])) == [(Act.PUT, "a")], fields
    assert made([want("a", A)], [account("a", addresses=(A, "fd42::2/128"))]) == Plan()


def test_a_key_that_no_account_has_is_an_error_where_keys_are_the_system_s() -> None:
    assert "raise spec.keyGeneration" in made([want("a")], []).errors["a"]
    assert acts(made([want("a")], [], makes_keys=False)) == [(Act.PUT, "a")]


def test_the_account_of_a_former_key_goes_before_its_address_is_given_to_the_next() -> None:
    old = account("old", A, uid="uid-a")
    new = account("a", B, name=account_name("uid-a", 1))
    assert acts(made([want("a", A)], [old, new])) == [(Act.DELETE, "old"), (Act.PUT, "a")]


def test_the_second_account_that_a_lost_answer_has_led_to_goes() -> None:
    double = account("double", B, uid="uid-a")
    assert acts(made([want("a", A)], [account("a"), double])) == [(Act.DELETE, "double")]
    assert acts(made([want("a", A)], [account("a"), double], spared={"double"})) == []


def test_the_account_of_a_key_to_come_is_never_deleted() -> None:
    new = account("new", B, uid="uid-a", name=account_name("uid-a", 1))
    assert acts(made([want("a", A)], [account("a"), new])) == [(Act.CUT, "new")]


def test_an_address_that_somebody_else_has_is_said() -> None:
    result = made([want("a", B)], [account("a", A), account("printer", B, uid="")])
    assert not result.steps and "10.8.0.3 belongs to a client that somebody made" in result.errors["a"]
    assert "printer" not in result.errors["a"]


def test_an_address_that_is_about_to_be_free_is_waited_for() -> None:
    result = made([want("a", B), want("b", C)], [account("a", A), account("b", B)])
    assert acts(result) == [(Act.PUT, "b")] and result.pending == {"a", "b"}
    after = made([want("a", B), want("b", C)], [account("a", A), account("b", C)])
    assert acts(after) == [(Act.PUT, "a")]


def test_of_two_that_change_places_one_steps_aside() -> None:
    result = made([want("a", B), want("b", A)], [account("a", A), account("b", B)])
    assert acts(result) == [(Act.PARK, "b")]
    parked = made([want("a", B), want("b", A)], [account("a", A), account("b", "10.8.0.254/32")])
    assert acts(parked) == [(Act.PUT, "a")] and parked.jammed == {"b"}


def test_an_address_of_the_other_version_keeps_nobody_waiting() -> None:
    other = account("b", addresses=(A, "fd42::3/128"))
    result = made([want("a", A), want("b", B)], [account("a", "10.8.0.9/32"), other])
    assert acts(result) == [(Act.PUT, "b")]
    taken = made([want("a", "fd42::3/128"), want("b", A)], [account("a", "fd42::2/128"), other])
    assert "fd42::3 belongs to" in taken.errors["a"]


def test_the_spare_address_is_one_that_nobody_has_or_wants() -> None:
    accounts = [account("a", "10.8.0.6/32")]
    assert spare_address(accounts, "10.8.0.0/29", {"10.8.0.5/32"}) == "10.8.0.4/32"
    assert spare_address(accounts, "10.8.0.4/30", {"10.8.0.5/32"}) is None


def test_names_tell_peer_and_generation() -> None:
    assert account_name("u-1", 0) == "k8s-u-1" and account_name("u-1", 3) == "k8s-u-1.3"
    assert (uid_of("k8s-u-1.3"), generation_of("k8s-u-1.3")) == ("u-1", 3)
    assert (uid_of("k8s-u-1"), generation_of("k8s-u-1")) == ("u-1", 0)
    assert uid_of("printer") is None and uid_of("k8s-") is None
