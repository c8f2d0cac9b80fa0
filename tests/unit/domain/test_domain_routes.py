"""Who owns which routed prefix: a table, and whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.domain.objects import claim
from wireguard_operator.api.base import Key
from wireguard_operator.domain.claims import Claim
from wireguard_operator.domain.routes import Network, RouteTable

OWN = ("10.8.0.0/24", "fd00:8::/64")
OLD, MIDDLE, NEW = claim("old", 0), claim("middle", 5), claim("new", 9)


def nets(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


def table(*entries: tuple[Claim, tuple[str, ...]]) -> RouteTable:
    routes = RouteTable(nets(*OWN))
    for one, prefixes in entries:
        routes.enter(one, nets(*prefixes))
    return routes


def granted(routes: RouteTable, one: Claim) -> list[str]:
    return list(map(str, routes.granted(one.peer)))


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ("192.0.2.0/24", "198.51.100.0/24", True),
        ("192.0.2.0/25", "192.0.2.128/25", True),
        ("192.0.2.0/24", "192.0.2.0/24", False),
        ("192.0.2.0/24", "192.0.2.0/25", False),
        ("192.0.2.0/24", "192.0.2.128/25", False),
        ("192.0.2.0/24", "192.0.2.255/32", False),
        ("192.0.2.128/25", "192.0.2.0/24", False),
        ("192.0.2.255/32", "192.0.0.0/16", False),
        ("192.0.2.0/25", "192.0.3.0/25", True),
        ("fd00:1::/48", "fd00:2::/48", True),
        ("fd00:1::/48", "fd00:1:0:ffff::/64", False),
        ("::ac10:0/108", "172.16.0.0/13", True),
    ],
)
def test_what_overlaps_the_route_of_an_older_peer_is_refused(first: str, second: str, fits: bool) -> None:
    routes = table((OLD, (first,)), (NEW, (second,)))
    assert granted(routes, OLD) == [first]
    assert granted(routes, NEW) == ([second] if fits else [])
    assert len(routes.refused(NEW.peer)) == (0 if fits else 1)


@pytest.mark.parametrize("prefix", ["10.8.0.0/24", "10.8.0.128/25", "10.8.0.1/32", "10.0.0.0/8", "fd00::/16"])
def test_what_overlaps_the_servers_own_networks_is_refused_whoever_asks(prefix: str) -> None:
    routes = table((OLD, (prefix, "192.0.2.0/24")))
    assert granted(routes, OLD) == ["192.0.2.0/24"]
    (reason,) = routes.refused(OLD.peer)
    assert prefix in reason and "the server's own network" in reason and "spec.routes" in reason


def test_each_prefix_is_granted_or_refused_for_itself_and_in_order() -> None:
    routes = table(
        (OLD, ("192.0.2.0/24",)), (NEW, ("198.51.100.0/24", "192.0.2.0/25", "10.9.0.0/16", "192.0.2.192/26"))
    )
    assert granted(routes, NEW) == ["10.9.0.0/16", "198.51.100.0/24"]
    assert [text.split()[1] for text in routes.refused(NEW.peer)] == ["192.0.2.0/25", "192.0.2.192/26"]


def test_a_prefix_inside_another_one_of_the_same_peer_says_nothing_new() -> None:
    routes = table((OLD, ("10.9.1.0/24", "10.9.0.0/16", "10.9.0.0/24")))
    assert granted(routes, OLD) == ["10.9.0.0/16"] and routes.refused(OLD.peer) == ()


def test_an_older_peer_takes_a_prefix_over_and_all_that_it_concerns_are_named() -> None:
    routes = table((MIDDLE, ("10.9.0.0/16",)), (NEW, ("10.9.1.0/24",)))
    # What is left of the prefix of the one may be had by the other that waited for it.
    assert routes.enter(OLD, nets("10.9.0.0/24")) == {MIDDLE.peer, NEW.peer}
    assert granted(routes, OLD) == ["10.9.0.0/24"] and granted(routes, MIDDLE) == []
    assert routes.enter(NEW, nets("10.9.1.0/24")) == set()
    assert granted(routes, NEW) == ["10.9.1.0/24"]


def test_a_prefix_that_is_given_up_goes_to_the_one_that_waits() -> None:
    routes = table((OLD, ("10.9.0.0/16", "192.0.2.0/24")), (NEW, ("10.9.1.0/24",)), (MIDDLE, ("192.0.2.0/24",)))
    assert routes.enter(OLD, nets("192.0.2.0/24")) == {NEW.peer}
    assert routes.withdraw(OLD.peer) == {MIDDLE.peer}
    assert granted(routes, OLD) == [] and routes.withdraw(OLD.peer) == set()


def test_a_peer_that_was_made_anew_stands_behind_those_that_are_older_now() -> None:
    routes = table((OLD, ("10.9.0.0/16",)), (MIDDLE, ("10.9.1.0/24",)))
    again = Claim(NEW.created, "another-uid", OLD.peer)
    assert routes.enter(again, nets("10.9.0.0/16")) == {MIDDLE.peer}
    assert routes.enter(MIDDLE, nets("10.9.1.0/24")) == {OLD.peer}
    assert granted(routes, MIDDLE) == ["10.9.1.0/24"] and granted(routes, again) == []


def test_asking_for_the_same_again_changes_nothing() -> None:
    routes = table((OLD, ("10.9.0.0/16",)), (NEW, ("10.9.1.0/24", "192.0.2.0/24")))
    for one, prefixes in ((OLD, ("10.9.0.0/16",)), (NEW, ("10.9.1.0/24", "192.0.2.0/24"))):
        before = routes.granted(one.peer), routes.refused(one.peer)
        assert routes.enter(one, nets(*prefixes)) == set()
        assert (routes.granted(one.peer), routes.refused(one.peer)) == before


def test_a_message_names_prefix_rival_and_remedy() -> None:
    (said,) = table((OLD, ("10.9.0.0/16",)), (NEW, ("10.9.1.0/24",))).refused(NEW.peer)
    assert said == "route 10.9.1.0/24 overlaps 10.9.0.0/16 of peer isp/old, which is older; correct spec.routes"


def test_a_tenant_does_not_learn_another_ones_names_and_routes() -> None:
    secret = claim("secret", 0, "tenant")
    for order in ((secret, NEW), (NEW, secret)):
        routes = table(*((one, ("10.9.0.0/16",) if one is secret else ("10.9.1.0/24",)) for one in order))
        (said,) = routes.refused(NEW.peer)
        assert not {"tenant", "secret", "10.9.0.0/16"} & set(said.replace("/secret", " secret").split())
        assert "10.9.1.0/24" in said and "another namespace" in said


def test_when_a_route_is_freed_only_those_that_want_some_of_it_are_looked_at_again() -> None:
    routes = table((OLD, ("10.9.0.0/16", "10.10.0.0/16", "fd00:1::/48")))
    wants = ["10.9.1.0/24", "10.8.0.0/15", "10.10.0.0/17", "10.0.0.0/8", "10.10.255.255/32", "fd00:1::/48", "fd00::/31"]
    waiting = {prefix: claim(f"p{number}", number + 1) for number, prefix in enumerate(wants)}
    for prefix, one in waiting.items():
        assert routes.enter(one, nets(prefix)) == set()
    affected = routes.enter(OLD, nets("10.9.0.0/16"))
    assert affected == {
        waiting[p].peer for p in ("10.10.0.0/17", "10.0.0.0/8", "10.10.255.255/32", "fd00:1::/48", "fd00::/31")
    }


# Whatever happens. -------------------------------------------------------------------------------------------------

PREFIXES = [
    *(net for length in (24, 25, 26, 27) for net in ip_network("10.9.0.0/24").subnets(new_prefix=length)),
    *(net for length in (46, 47, 48) for net in ip_network("fd00:8::/46").subnets(new_prefix=length)),
]
MACHINE_OWN = nets("10.9.0.96/27", "fd00:8:3::/64")
NAMES = [f"p{number}" for number in range(7)]


def outermost(prefixes: Iterable[Network]) -> list[Network]:
    return [one for one in prefixes if not any(one != other and inside(one, other) for other in prefixes)]


def inside(one: Network, other: Network) -> bool:
    return one.version == other.version and other.prefixlen <= one.prefixlen and one.network_address in other


def overlap(one: Network, other: Network) -> bool:
    return inside(one, other) or inside(other, one)


class Routes(RuleBasedStateMachine):
    """Brute force: the peers one after another by age, each of their prefixes if it fits to those before."""

    def __init__(self) -> None:
        super().__init__()
        self.table = RouteTable(MACHINE_OWN)
        self.model: dict[Key, tuple[Claim, frozenset[Network]]] = {}

    @rule(
        name=st.sampled_from(NAMES),
        age=st.integers(0, 4),
        prefixes=st.frozensets(st.sampled_from(PREFIXES), max_size=4),
    )
    def enter(self, name: str, age: int, prefixes: frozenset[Network]) -> None:
        """The peer is new, wants something else, or was made anew."""
        one = claim(name, age)
        self.model[one.peer] = one, prefixes
        self.settle(self.table.enter(one, prefixes))

    @rule(name=st.sampled_from(NAMES))
    def withdraw(self, name: str) -> None:
        self.model.pop(Key("isp", name), None)
        self.settle(self.table.withdraw(Key("isp", name)))

    @rule(name=st.sampled_from(NAMES))
    def look_again(self, name: str) -> None:
        """What is looked at again without a reason concerns nobody."""
        if Key("isp", name) in self.model:
            assert self.table.enter(*self.model[Key("isp", name)]) == set()

    def settle(self, affected: set[Key]) -> None:
        """As the controller does: whoever is concerned is entered again, until nobody is."""
        for _ in range(200):
            if not affected:
                return
            self.nobody_shares()
            peer = affected.pop()
            affected |= self.table.enter(*self.model[peer])
        raise AssertionError("it never ends")

    @invariant()
    def nobody_shares(self) -> None:
        all_granted = [(peer, prefix) for peer in self.model for prefix in self.table.granted(peer)]
        for index, (peer, prefix) in enumerate(all_granted):
            assert not any(overlap(prefix, own) for own in MACHINE_OWN)
            assert not any(overlap(prefix, other) for _, other in all_granted[index + 1 :]), (peer, prefix)

    @invariant()
    def the_oldest_claimant_wins(self) -> None:
        taken = list(MACHINE_OWN)
        for one, prefixes in sorted(self.model.values(), key=lambda entry: entry[0]):
            wanted = outermost(prefixes)
            fitting = [prefix for prefix in wanted if not any(overlap(prefix, other) for other in taken)]
            assert set(self.table.granted(one.peer)) == set(fitting)
            assert len(self.table.refused(one.peer)) == len(wanted) - len(fitting)
            taken += fitting


TestRoutes = Routes.TestCase
TestRoutes.settings = settings(max_examples=70, stateful_step_count=30, deadline=None)
