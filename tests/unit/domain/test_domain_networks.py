"""A server's networks: which are in force, what a peer can have in them, and how many peers they hold."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.domain.objects import NOW, server
from wireguard_operator.domain.addresses import Holder, Pool, PoolExhausted
from wireguard_operator.domain.networks import (
    Network,
    Plan,
    capacity,
    is_inside,
    is_usable,
    parse,
    plan,
    server_address,
)

V4, V6 = "10.8.0.0/24", "fd00:8::/64"


def planned(wanted: list[str], in_force: list[str], *held: str) -> Plan:
    return plan(parse(wanted), parse(in_force), [(ip_address(a), f"isp/p{i}") for i, a in enumerate(held)])


@pytest.mark.parametrize(
    ("wanted", "in_force", "held", "comes_into_force"),
    [
        ([V4], [], [], True),
        ([V4], [V4], ["10.8.0.2", "10.8.0.254"], True),
        # Growing.
        (["10.8.0.0/23"], [V4], ["10.8.0.2", "10.8.0.254"], True),
        (["10.8.0.0/28"], ["10.8.0.0/29"], ["10.8.0.6"], True),
        # Shrinking.
        (["10.8.0.0/28"], [V4], ["10.8.0.2", "10.8.0.14"], True),
        (["10.8.0.0/28"], [V4], ["10.8.0.2", "10.8.0.16"], False),
        (["10.8.0.0/28"], [V4], ["10.8.0.2", "10.8.0.15"], False),  # the broadcast address of the new network
        (["10.8.0.16/28"], [V4], ["10.8.0.17"], False),  # the server's address in the new network
        (["10.8.0.16/28"], [V4], ["10.8.0.16"], False),  # the new network's own address
        (["10.8.0.16/28"], [V4], ["10.8.0.18"], True),
        # Growing downwards: the former server address is a peer's now, and a peer may hold the new one.
        (["10.8.0.0/27"], ["10.8.0.16/28"], ["10.8.0.18"], True),
        (["10.8.0.0/24"], ["10.8.0.0/28"], ["10.8.0.1"], False),
        # Other networks.
        (["10.9.0.0/24"], [V4], [], True),
        (["10.9.0.0/24"], [V4], ["10.8.0.2"], False),
        # A family comes or goes.
        ([V4, V6], [V4], ["10.8.0.2"], True),
        ([V4], [V4, V6], ["10.8.0.2"], True),
        ([V4], [V4, V6], ["10.8.0.2", "fd00:8::2"], False),
        ([V6], [V4], [], True),
        (["fd00:8::/126"], [V6], ["fd00:8::3"], True),  # IPv6 has no broadcast address
        (["fd00:8::/126"], [V6], ["fd00:8::1"], False),
    ],
)
def test_networks_come_into_force_only_when_they_take_no_address_from_a_peer(
    wanted: list[str], in_force: list[str], held: list[str], comes_into_force: bool
) -> None:
    found = planned(wanted, in_force, *held)
    assert found.networks == parse(wanted if comes_into_force else in_force)
    assert (found.problem is None) is comes_into_force


def test_the_message_names_what_was_asked_for_whom_it_would_hit_and_what_stays() -> None:
    problem = planned(["10.8.0.0/28"], [V4, V6], "10.8.0.200", "10.8.0.16", "10.8.0.3", "fd00:8::2", "10.8.0.9").problem
    assert problem is not None and problem.reason == "NetworkInUse"
    assert "spec.networks 10.8.0.0/28" in problem.message
    assert "10.8.0.16 (isp/p1), 10.8.0.200 (isp/p0), fd00:8::2 (isp/p3);" in problem.message
    assert f"{V4}, {V6} stays in force until those peers are deleted or moved" in problem.message


def test_the_message_counts_those_that_it_does_not_name() -> None:
    problem = planned(["10.9.0.0/24"], [V4], *(f"10.8.0.{number}" for number in range(2, 12))).problem
    assert problem is not None
    assert "10.8.0.2 (isp/p0), 10.8.0.3 (isp/p1), 10.8.0.4 (isp/p2) and 7 more;" in problem.message


def test_when_nobody_knows_what_was_in_force_the_specification_is_and_the_message_says_so() -> None:
    found = planned(["10.9.0.0/24"], [], "10.8.0.2")
    assert found.networks == parse(["10.9.0.0/24"])
    assert found.problem is not None and "10.9.0.0/24 stays in force" in found.problem.message


@pytest.mark.parametrize(
    ("network", "servers", "usable", "not_usable"),
    [
        ("10.8.0.0/24", "10.8.0.1", ["10.8.0.2", "10.8.0.254"], ["10.8.0.0", "10.8.0.1", "10.8.0.255", "10.9.0.2"]),
        ("10.8.0.16/30", "10.8.0.17", ["10.8.0.18"], ["10.8.0.16", "10.8.0.17", "10.8.0.19", "10.8.0.20"]),
        ("fd00:8::/126", "fd00:8::1", ["fd00:8::2", "fd00:8::3"], ["fd00:8::", "fd00:8::1", "fd00:8::4", "10.8.0.2"]),
    ],
)
def test_network_server_and_broadcast_address_are_no_peers(
    network: str, servers: str, usable: list[str], not_usable: list[str]
) -> None:
    net = ip_network(network)
    assert str(server_address(net)) == servers
    assert [a for a in usable + not_usable if is_usable(net, ip_address(a))] == usable


@pytest.mark.parametrize(
    ("networks", "reserved", "max_peers", "expected"),
    [
        (["10.8.0.0/24"], [], None, 253),
        (["10.8.0.0/30"], [], None, 1),
        (["fd00:8::/126"], [], None, 2),
        (["10.0.0.0/8"], [], None, 65536),
        (["fd00::/32"], [], None, 65536),
        (["10.8.0.0/24"], [], 10, 10),
        (["10.8.0.0/24"], [], 1000, 253),
        (["10.8.0.0/24", "fd00:8::/126"], [], None, 2),
        (["10.8.0.0/24", "fd00:8::/64"], ["fd00:8::/65"], None, 253),
        # What is reserved counts once, and not if nobody could have had it.
        (["10.8.0.0/24"], ["10.8.0.0/28"], None, 239),
        (["10.8.0.0/24"], ["10.8.0.240/28"], None, 238),
        (["10.8.0.0/24"], ["10.8.0.16/28"], None, 237),
        (["10.8.0.0/24"], ["10.8.0.16/28", "10.8.0.16/29", "10.8.0.20/32", "10.8.0.24/29"], None, 237),
        (["10.8.0.0/24"], ["10.8.0.0/32", "10.8.0.1/32", "10.8.0.255/32"], None, 253),
        (["10.8.0.0/24"], ["10.8.0.0/25", "10.8.0.128/25"], None, 0),
        (["10.8.0.0/24"], ["10.8.0.0/24"], None, 0),
        (["fd00:8::/126"], ["fd00:8::2/127"], None, 0),
        (["fd00:8::/126"], ["fd00:8::/127"], None, 2),
        # Former networks may be in force, to which what is reserved does not fit.
        (["10.8.0.0/24"], ["10.9.0.0/25"], None, 253),
        (["10.8.0.0/24"], ["10.8.0.0/16"], None, 0),
    ],
)
def test_the_capacity_is_what_can_be_given_out(
    networks: list[str], reserved: list[str], max_peers: int | None, expected: int
) -> None:
    spec = server(networks=networks, reserved=reserved, **({"maxPeers": max_peers} if max_peers else {})).spec
    assert capacity(spec, parse(networks)) == expected


def some_parts(network: Network, longest: int) -> st.SearchStrategy[list[str]]:
    parts = [
        str(part) for length in range(network.prefixlen, longest + 1) for part in network.subnets(new_prefix=length)
    ]
    return st.lists(st.sampled_from(parts), max_size=6, unique=True)


@given(st.one_of(
    some_parts(ip_network("10.8.0.0/27"), 32).map(lambda reserved: ("10.8.0.0/28", reserved)),
    some_parts(ip_network("fd00:8::/123"), 128).map(lambda reserved: ("fd00:8::/124", reserved)),
))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_just_as_many_get_an_address_as_the_capacity_says(case: tuple[str, list[str]]) -> None:
    network, reserved = case
    room = capacity(server(networks=[network], reserved=reserved).spec, parse([network]))
    pool = Pool(ip_network(network), parse(reserved))
    for number in range(room):
        pool.take(Holder(f"u{number}", f"isp/p{number}"), NOW)
    with pytest.raises(PoolExhausted):
        pool.take(Holder("one-more", "isp/one-more"), NOW)


def test_a_part_is_inside_only_with_all_of_it_and_in_its_own_family() -> None:
    assert is_inside(ip_network("10.8.0.0/25"), ip_network("10.8.0.0/24"))
    assert is_inside(ip_network("10.8.0.0/24"), ip_network("10.8.0.0/24"))
    assert not is_inside(ip_network("10.8.0.0/23"), ip_network("10.8.0.0/24"))
    assert not is_inside(ip_network("::/120"), ip_network("0.0.0.0/0"))
