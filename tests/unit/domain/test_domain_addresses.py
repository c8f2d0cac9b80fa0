"""Addresses: what is given out, taken back and refused."""

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wireguard_operator.domain.addresses import AddressTaken, AddressUnusable, Holder, Pool, PoolExhausted

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pool(network: str = "10.8.0.0/24") -> Pool:
    return Pool(ipaddress.ip_network(network))


def holder(name: str) -> Holder:
    return Holder(f"uid-{name}", f"isp/{name}")


def test_the_first_peer_gets_the_address_after_the_servers() -> None:
    assert str(pool().take(holder("a"), NOW)) == "10.8.0.2"
    assert str(pool("fd00:8::/64").take(holder("a"), NOW)) == "fd00:8::2"


def test_asking_again_gives_the_same_address() -> None:
    p = pool()
    assert p.take(holder("a"), NOW) == p.take(holder("a"), NOW)


def test_network_server_and_broadcast_address_are_never_given() -> None:
    p = pool("10.8.0.0/29")
    given = [str(p.take(holder(str(i)), NOW)) for i in range(5)]
    assert given == [f"10.8.0.{i}" for i in range(2, 7)]
    with pytest.raises(PoolExhausted, match=r"10\.8\.0\.0/29"):
        p.take(holder("x"), NOW)


def test_a_released_address_rests_and_the_message_says_until_when() -> None:
    p = pool("10.8.0.0/30")
    p.take(holder("a"), NOW)
    p.release("uid-a", NOW + timedelta(hours=24))
    with pytest.raises(PoolExhausted, match="2026-01-02 00:00:00"):
        p.take(holder("b"), NOW)
    assert str(p.take(holder("b"), NOW + timedelta(hours=24))) == "10.8.0.2"


def test_a_wanted_address_is_refused_when_held_resting_reserved_or_outside() -> None:
    p = pool()
    wanted = ipaddress.ip_address("10.8.0.9")
    p.take(holder("a"), NOW, wanted)
    with pytest.raises(AddressTaken, match="isp/a"):
        p.take(holder("b"), NOW, wanted)
    p.release("uid-a", NOW + timedelta(hours=1))
    with pytest.raises(AddressTaken, match="cools down"):
        p.take(holder("b"), NOW, wanted)
    for unusable in ("10.9.0.1", "10.8.0.1", "10.8.0.255", "fd00::1"):
        with pytest.raises(AddressUnusable):
            p.take(holder("b"), NOW, ipaddress.ip_address(unusable))


class Allocation(RuleBasedStateMachine):
    """Whatever is asked in whatever order: no address twice, and what is held stays held."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = pool("10.8.0.0/27")
        self.model: dict[str, ipaddress.IPv4Address | ipaddress.IPv6Address] = {}
        self.now = NOW

    names = st.sampled_from([f"p{i}" for i in range(40)])

    @rule(name=names)
    def take(self, name: str) -> None:
        try:
            address = self.pool.take(holder(name), self.now)
        except PoolExhausted:
            assert name not in self.model
            return
        assert self.model.get(name, address) == address
        self.model[name] = address

    @rule(name=names, rest=st.integers(0, 5))
    def release(self, name: str, rest: int) -> None:
        assert self.pool.release(f"uid-{name}", self.now + timedelta(hours=rest)) == self.model.pop(name, None)

    @rule()
    def time_passes(self) -> None:
        self.now += timedelta(hours=1)

    @invariant()
    def nobody_shares(self) -> None:
        assert len(set(self.model.values())) == len(self.model)
        assert {h.uid for h in self.pool.holders()} == {f"uid-{name}" for name in self.model}


TestAllocation = Allocation.TestCase
TestAllocation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
