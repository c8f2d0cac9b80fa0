"""Addresses: what is given out, taken back and refused."""

import time
from ipaddress import ip_address, ip_network

import pytest

from tests.unit.domain.objects import NOW, hours
from wireguard_operator.domain.addresses import (
    AddressTaken,
    AddressUnusable,
    Block,
    Holder,
    Pool,
    PoolExhausted,
    Rest,
    block_of,
)


def pool(network: str = "10.8.0.0/24", *reserved: str, blocks: tuple[Block, ...] = ()) -> Pool:
    return Pool(ip_network(network), map(ip_network, reserved), blocks)


def holder(name: str, namespace: str = "isp") -> Holder:
    return Holder(f"uid-{name}", f"{namespace}/{name}")


def block(*held: tuple[str, str], network: str | None = None) -> Block:
    """A block as it is read: addresses with the names of their holders."""
    addresses = {ip_address(address): holder(name) for address, name in held}
    return Block(ip_network(network) if network else block_of(next(iter(addresses))), addresses, {}, "1")


def take(p: Pool, name: str, wanted: str | None = None, **more: object) -> str:
    return str(p.take(holder(name), NOW, ip_address(wanted) if wanted else None, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("network", "reserved", "given"),
    [
        ("10.8.0.0/24", (), "10.8.0.2"),
        ("fd00:8::/64", (), "fd00:8::2"),
        ("10.8.0.64/26", (), "10.8.0.66"),
        ("10.8.0.0/24", ("10.8.0.0/28",), "10.8.0.16"),
        ("10.8.0.0/24", ("10.8.0.4/30", "10.8.0.0/30"), "10.8.0.8"),
        ("10.8.0.0/24", ("10.8.0.0/29", "10.8.0.4/30", "10.8.0.0/25"), "10.8.0.128"),
        ("10.8.0.0/24", ("fd00::/8",), "10.8.0.2"),
        ("10.0.0.0/8", ("10.0.0.0/9",), "10.128.0.0"),
        ("fd00:8::/64", ("fd00:8::/65",), "fd00:8:0:0:8000::"),
        ("fd00:8::/32", ("fd00:8::/33", "fd00:8:8000::/34"), "fd00:8:c000::"),
    ],
)
@pytest.mark.timeout(10)
def test_the_first_peer_gets_the_lowest_address_after_the_servers_that_is_not_reserved(
    network: str, reserved: tuple[str, ...], given: str
) -> None:
    assert take(pool(network, *reserved), "a") == given


def test_asking_again_gives_the_same_address() -> None:
    p = pool()
    assert take(p, "a") == take(p, "a") == str(p.address_of("uid-a"))
    assert p.owners() == {"uid-a"}


def test_network_server_and_broadcast_address_are_never_given() -> None:
    p = pool("10.8.0.0/29")
    assert [take(p, str(number)) for number in range(5)] == [f"10.8.0.{number}" for number in range(2, 7)]
    with pytest.raises(PoolExhausted, match=r"10\.8\.0\.0/29"):
        take(p, "x")


def test_the_last_address_of_an_ipv6_network_is_a_peers() -> None:
    p = pool("fd00:8::/126")
    assert [take(p, "a"), take(p, "b")] == ["fd00:8::2", "fd00:8::3"]
    with pytest.raises(PoolExhausted):
        take(p, "c")


def test_a_released_address_rests_and_the_message_says_until_when() -> None:
    p = pool("10.8.0.0/29")
    for number in range(5):
        take(p, str(number))
    p.release("uid-3", hours(24))
    p.release("uid-1", hours(36))
    with pytest.raises(PoolExhausted, match="free at 2026-06-02 12:00:00 UTC") as error:
        take(p, "x")
    assert error.value.until == hours(24)
    assert str(p.take(holder("x"), hours(24))) == "10.8.0.5"
    with pytest.raises(PoolExhausted, match="free at 2026-06-03 00:00:00 UTC"):
        p.take(holder("y"), hours(24))


def test_an_address_that_is_given_back_without_rest_is_free_at_once() -> None:
    p = pool("10.8.0.0/30")
    take(p, "a")
    assert str(p.release("uid-a")) == "10.8.0.2" and p.release("uid-a") is None
    assert take(p, "b") == "10.8.0.2"


def test_a_wanted_address_that_is_held_or_rests_is_refused_with_who_and_until_when() -> None:
    p = pool()
    take(p, "a", "10.8.0.9")
    with pytest.raises(AddressTaken, match=r"10\.8\.0\.9 is held by isp/a; name another address in spec\.addresses"):
        take(p, "b", "10.8.0.9")
    p.release("uid-a", hours(1))
    with pytest.raises(AddressTaken, match="was held by isp/a and cools down until 2026-06-01 13:00:00 UTC") as error:
        take(p, "b", "10.8.0.9")
    assert error.value.until == hours(1)
    assert str(p.take(holder("b"), hours(1), ip_address("10.8.0.9"))) == "10.8.0.9"


def test_a_tenant_does_not_learn_the_names_of_another_ones_peers() -> None:
    p = pool()
    p.take(holder("alice", "tenant"), NOW, ip_address("10.8.0.9"))
    for _ in ("held", "resting"):
        with pytest.raises(AddressTaken, match="a peer of another namespace") as error:
            take(p, "b", "10.8.0.9")
        assert "tenant" not in str(error.value) and "alice" not in str(error.value)
        p.release("uid-alice", hours(1))


def test_the_peer_of_the_same_name_gets_a_resting_address_back_if_it_asks_for_it() -> None:
    p = pool()
    take(p, "a", "10.8.0.9")
    p.release("uid-a", hours(1))
    made_anew = Holder("another-uid", "isp/a")
    assert str(p.take(made_anew, NOW)) == "10.8.0.2"
    assert str(p.take(made_anew, NOW, ip_address("10.8.0.9"))) == "10.8.0.9"


@pytest.mark.parametrize("wanted", ["10.8.0.0", "10.8.0.1", "10.8.0.255", "10.8.0.130", "10.9.0.1", "fd00::1"])
def test_a_wanted_address_that_no_peer_can_have_is_refused_with_the_reason(wanted: str) -> None:
    with pytest.raises(AddressUnusable) as error:
        take(pool("10.8.0.0/24", "10.8.0.128/29"), "b", wanted)
    where = "reserved in" if wanted.startswith("10.8.") else "not in the server's network"
    assert str(error.value).startswith(f"{wanted} is {where} 10.8.0.0/24; name another address in spec.addresses")


def test_a_refused_wish_leaves_the_peer_what_it_has() -> None:
    p = pool()
    take(p, "a", "10.8.0.9")
    assert take(p, "b") == "10.8.0.2"
    for wanted in ("10.8.0.9", "10.8.0.1"):
        with pytest.raises((AddressTaken, AddressUnusable)):
            take(p, "b", wanted)
    assert take(p, "b") == "10.8.0.2"


def test_an_address_that_is_left_for_another_one_rests() -> None:
    p = pool()
    take(p, "a")
    assert take(p, "a", "10.8.0.9", rest_until=hours(1)) == "10.8.0.9"
    assert take(p, "b") == "10.8.0.3"
    assert str(p.take(holder("c"), hours(1))) == "10.8.0.2"


def test_what_is_reserved_later_stays_with_the_one_who_has_it() -> None:
    p = pool("10.8.0.0/24", "10.8.0.0/28", blocks=(block(("10.8.0.2", "a")),))
    assert take(p, "a") == take(p, "a", "10.8.0.2") == "10.8.0.2"
    p.release("uid-a")
    with pytest.raises(AddressUnusable):
        take(p, "a", "10.8.0.2")
    assert take(p, "a") == "10.8.0.16"


def test_two_who_wish_for_one_address_keep_it_from_others_until_neither_does() -> None:
    p = pool()
    for name in "ab":
        p.wish(f"uid-{name}", ip_address("10.8.0.2"))
    p.wish("uid-a", None)
    assert take(p, "x") == "10.8.0.3"
    p.wish("uid-b", ip_address("10.8.0.4"))
    assert [take(p, "y"), take(p, "z")] == ["10.8.0.2", "10.8.0.5"]
    assert take(p, "b", "10.8.0.4") == "10.8.0.4"


def test_blocks_are_written_only_when_they_changed_and_addresses_of_one_share_one() -> None:
    p = pool("10.8.0.0/24")
    for number in range(130):
        take(p, str(number))
    assert [str(b.network) for b in p.changed()] == ["10.8.0.0/25", "10.8.0.128/25"]
    for b in p.changed():
        b.changed = False
    take(p, "5")
    assert p.changed() == []
    p.release("uid-129")
    assert [str(b.network) for b in p.changed()] == ["10.8.0.128/25"]


def test_a_block_that_was_read_again_counts_and_one_that_is_gone_is_free() -> None:
    p = pool()
    assert take(p, "mine") == "10.8.0.2"
    p.load(block(("10.8.0.2", "somebody-elses")))
    assert p.address_of("uid-mine") is None and take(p, "mine") == "10.8.0.3"
    p.forget(ip_network("10.8.0.0/25"))
    assert p.owners() == frozenset() and take(p, "new") == "10.8.0.2"


@pytest.mark.parametrize("turn", [1, -1])
def test_what_a_crash_between_two_writes_left_over_is_given_back_whatever_is_read_first(turn: int) -> None:
    blocks = (block(("10.8.0.9", "a"), ("10.8.0.3", "b")), block(("10.8.0.200", "a")))[::turn]
    p = pool(blocks=blocks)
    assert str(p.address_of("uid-a")) == "10.8.0.9"
    assert take(p, "a", "10.8.0.200", rest_until=hours(1)) == "10.8.0.200"
    assert [b.resting for b in p.changed()] == [{ip_address("10.8.0.9"): Rest(hours(1), "isp/a")}]
    for number in range(130, 200):
        both = (block((f"10.8.0.{number}", "a")), block(("10.8.0.9", "a")))[::turn]
        assert str(pool(blocks=both).address_of("uid-a")) == "10.8.0.9"
    q = pool(blocks=(block(("10.8.0.9", "a")), block(("10.8.0.200", "a"))))
    q.release("uid-a")
    assert [b.held for b in q.blocks()] == [{}, {}] and q.owners() == frozenset()


def test_an_address_outside_of_the_network_is_only_given_back() -> None:
    p = pool("10.8.0.0/28", blocks=(block(("10.8.0.20", "a"), ("10.8.0.1", "b"), ("10.8.0.5", "c")),))
    assert p.owners() == {"uid-c"}
    assert (take(p, "a", rest_until=hours(1)), take(p, "b"), take(p, "c")) == ("10.8.0.2", "10.8.0.3", "10.8.0.5")
    assert {str(address) for b in p.blocks() for address in b.held} == {"10.8.0.2", "10.8.0.3", "10.8.0.5"}


def test_a_block_that_was_full_is_looked_at_again_when_something_of_it_is_free() -> None:
    p = pool("10.8.0.0/22")
    for number in range(260):
        take(p, str(number))
    p.release("uid-200", hours(1))
    p.release("uid-7")
    assert [take(p, "a"), take(p, "b")] == ["10.8.0.9", "10.8.1.6"]
    assert [str(p.take(holder(name), hours(1))) for name in "cd"] == ["10.8.0.202", "10.8.1.7"]


def test_an_address_that_rests_before_a_full_block_is_given_out_in_its_time() -> None:
    p = pool("10.8.0.0/22")
    for number in range(260):
        take(p, str(number))
    p.release("uid-7", hours(1))
    assert take(p, "a") == "10.8.1.6"
    assert str(p.take(holder("b"), hours(1))) == "10.8.0.9"


def test_a_resting_address_that_was_taken_back_is_not_the_next_to_be_free() -> None:
    p = pool("10.8.0.0/29")
    for number in range(5):
        take(p, str(number))
    p.release("uid-0", hours(1))
    p.release("uid-1", hours(2))
    p.take(Holder("made-anew", "isp/0"), NOW, ip_address("10.8.0.2"))
    with pytest.raises(PoolExhausted) as error:
        take(p, "x")
    assert error.value.until == hours(2)


def test_one_address_that_rests_does_not_slow_down_ten_thousand_peers() -> None:
    p = pool("10.8.0.0/16")
    for number in range(10_000):
        take(p, str(number))
    p.release("uid-0", hours(24))
    start = time.process_time()
    for number in range(1000):
        take(p, f"new-{number}")
    assert time.process_time() - start < 5, "it was 30 ms each when every held address was looked at"
