"""Addresses, whatever is asked in whatever order: the pool does what brute force over all addresses would do."""

from __future__ import annotations

import ipaddress
import json
from datetime import datetime, timedelta
from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.domain.objects import NOW
from wireguard_operator.api.block import WireGuardAddressBlock
from wireguard_operator.domain.addresses import AllocationError, Block, Holder, Pool, Rest
from wireguard_operator.domain.networks import Address, Network

UIDS = [f"u{number}" for number in range(12)]
RESTS = st.one_of(st.none(), st.integers(0, 5))


def holder(uid: str) -> Holder:
    """The first and the last have one name: the same peer, made anew."""
    number = int(uid[1:]) % 9
    return Holder(uid, f"{'isp' if number % 2 else 'tenant'}/p{number}")


def copied(block: Block) -> Block:
    """A block after its way through the API server."""
    body = {
        "metadata": {"name": "b", "resourceVersion": "1"},
        "spec": {
            "serverName": "berlin",
            "cidr": str(block.network),
            "allocations": {str(a): {"uid": h.uid, "peer": h.peer} for a, h in block.held.items()},
            "cooling": {str(a): {"until": r.until.isoformat(), "peer": r.peer} for a, r in block.resting.items()},
        },
    }
    spec = WireGuardAddressBlock.model_validate(json.loads(json.dumps(body))).spec
    held = {ipaddress.ip_address(a): Holder(h.uid, h.peer) for a, h in spec.allocations.items()}
    resting = {ipaddress.ip_address(a): Rest(r.until, r.peer) for a, r in spec.cooling.items()}
    return Block(ipaddress.ip_network(spec.cidr), held, resting, "1")


def all_but(network: str, *addresses: str) -> list[str]:
    """The network without the addresses, as networks."""
    parts = [ipaddress.IPv4Network(network)]
    for address in map(ipaddress.IPv4Network, addresses):
        parts = [p for part in parts for p in (part.address_exclude(address) if address.subnet_of(part) else [part])]
    return [str(part) for part in parts]


class Allocation(RuleBasedStateMachine):
    """What is held, rests and is wished for, and brute force."""

    sizes: ClassVar[list[str]] = ["10.8.0.0/28", "10.8.0.0/27", "10.8.0.0/26"]
    reserved_texts: ClassVar[list[str]] = ["10.8.0.4/30", "10.8.0.6/31", "10.8.0.20/32", "10.8.0.15/32"]

    def __init__(self) -> None:
        super().__init__()
        self.grown = 0
        self.reserved = [ipaddress.ip_network(text) for text in self.reserved_texts]
        self.pool = Pool(self.network, self.reserved)
        self.now = NOW
        self.held: dict[str, Address] = {}
        self.resting: dict[Address, Rest] = {}
        self.wishes: dict[str, Address] = {}

    @property
    def network(self) -> Network:
        return ipaddress.ip_network(self.sizes[self.grown])

    def address(self, offset: int) -> Address:
        """An address by the corner of the network that it is in, also outside."""
        edge = self.network[0] if offset < 12 else self.network[-1] - 12
        return edge + (offset - 2)

    # What is done. -------------------------------------------------------------------------------------------------

    @rule(uid=st.sampled_from(UIDS), rest=RESTS)
    def take(self, uid: str, rest: int | None) -> None:
        """As the controller asks: for what is wished, if anything."""
        self.try_to_take(uid, self.wishes.get(uid), self.after(rest))

    @rule(uid=st.sampled_from(UIDS), offset=st.integers(0, 24), rest=RESTS)
    def take_what_is_remembered(self, uid: str, offset: int, rest: int | None) -> None:
        self.try_to_take(uid, self.address(offset), self.after(rest))

    @rule(uid=st.sampled_from(UIDS), offset=st.integers(0, 24))
    def wish(self, uid: str, offset: int) -> None:
        self.wishes[uid] = self.address(offset)
        self.pool.wish(uid, self.wishes[uid])

    @rule(uid=st.sampled_from(UIDS))
    def wish_for_nothing_any_more(self, uid: str) -> None:
        self.wishes.pop(uid, None)
        self.pool.wish(uid, None)

    @rule(uid=st.sampled_from(UIDS), rest=RESTS)
    def release(self, uid: str, rest: int | None) -> None:
        had = self.held.get(uid)
        assert self.pool.release(uid, self.after(rest)) == had
        self.give_up(uid, self.after(rest))

    @rule(minutes=st.sampled_from([30, 60, 180]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def another_controller_starts(self) -> None:
        self.open([copied(block) for block in self.pool.blocks()])

    @rule()
    def a_block_is_read_again(self) -> None:
        for block in self.pool.blocks()[:1]:
            self.pool.load(copied(block))

    @rule()
    def a_block_is_lost(self) -> None:
        for block in self.pool.blocks()[:1]:
            self.pool.forget(block.network)
            self.held = {uid: a for uid, a in self.held.items() if a not in block.network}
            self.resting = {a: rest for a, rest in self.resting.items() if a not in block.network}

    @precondition(lambda self: self.grown + 1 < len(self.sizes))
    @rule()
    def the_network_grows(self) -> None:
        self.grown += 1
        self.open(self.pool.blocks())

    # Brute force. --------------------------------------------------------------------------------------------------

    def open(self, blocks: list[Block]) -> None:
        self.pool = Pool(self.network, self.reserved, blocks)
        for uid, address in self.wishes.items():
            self.pool.wish(uid, address)

    def after(self, rest: int | None) -> datetime | None:
        return None if rest is None else self.now + timedelta(hours=rest)

    def can_be_given(self, address: Address) -> bool:
        own = [self.network[0], self.network[1]] + ([self.network[-1]] if self.network.version == 4 else [])
        return address in self.network and address not in own and not any(address in r for r in self.reserved)

    def rests(self, address: Address) -> bool:
        return address in self.resting and self.resting[address].until > self.now

    def expected(self, uid: str, wanted: Address | None) -> Address | str:
        have = self.held.get(uid)
        if have is not None and wanted in (None, have):
            return have
        if wanted is not None:
            if not self.can_be_given(wanted):
                return "AddressUnusable"
            if any(other != uid and address == wanted for other, address in self.held.items()):
                return "AddressTaken"
            if self.rests(wanted) and self.resting[wanted].peer != holder(uid).peer:
                return "AddressTaken"
            return wanted
        kept = {address for other, address in self.wishes.items() if other != uid} - {self.wishes.get(uid)}
        busy = kept | set(self.held.values())
        free = (a for a in self.network if a not in busy and not self.rests(a) and self.can_be_given(a))
        return next(free, "PoolExhausted")

    def try_to_take(self, uid: str, wanted: Address | None, rest_until: datetime | None) -> None:
        expected = self.expected(uid, wanted)
        try:
            got: Address | str = self.pool.take(holder(uid), self.now, wanted, rest_until)
        except AllocationError as error:
            got = error.reason.value
            assert error.until is None or error.until > self.now
            if got == "PoolExhausted":
                soonest = [rest.until for a, rest in self.resting.items() if self.rests(a) and self.can_be_given(a)]
                assert error.until == min(soonest, default=None)
        assert got == expected
        if isinstance(expected, str):
            return
        if self.held.get(uid) != expected:
            self.give_up(uid, rest_until)
        self.held[uid] = expected
        self.resting.pop(expected, None)

    def give_up(self, uid: str, until: datetime | None) -> None:
        address = self.held.pop(uid, None)
        if address is not None and until is not None:
            self.resting[address] = Rest(until, holder(uid).peer)

    # What is always so. --------------------------------------------------------------------------------------------

    @invariant()
    def nobody_shares_loses_or_gains_anything(self) -> None:
        assert len(set(self.held.values())) == len(self.held)
        assert {uid: self.pool.address_of(uid) for uid in UIDS} == {uid: self.held.get(uid) for uid in UIDS}
        assert self.pool.owners() == self.held.keys()
        in_blocks = {address: h.uid for block in self.pool.blocks() for address, h in block.held.items()}
        assert in_blocks == {address: uid for uid, address in self.held.items()}
        assert {a: rest for block in self.pool.blocks() for a, rest in block.resting.items()} == self.resting

    @invariant()
    def nobody_has_what_no_peer_can_have(self) -> None:
        assert all(self.can_be_given(address) for address in self.held.values())
        assert all(address in block.network for block in self.pool.blocks() for address in block.held)


class AllocationIPv6(Allocation):
    """The same in IPv6, where the last address is a peer's."""

    sizes: ClassVar[list[str]] = ["fd00:8::/124", "fd00:8::/123", "fd00:8::/122"]
    reserved_texts: ClassVar[list[str]] = ["fd00:8::4/126", "fd00:8::20/128", "fd00:8::2/127"]


class AllocationInBlocks(Allocation):
    """Few addresses on either side of the edges of blocks, and others that are reserved as a whole."""

    sizes: ClassVar[list[str]] = ["10.8.0.0/24", "10.8.0.0/23", "10.8.0.0/22"]
    reserved_texts: ClassVar[list[str]] = all_but(
        "10.8.0.0/22", "10.8.0.3", "10.8.0.127", "10.8.0.128", "10.8.0.253", "10.8.0.255", "10.8.1.0", "10.8.2.130",
        "10.8.2.131", "10.8.3.250", "10.8.3.254",
    )  # fmt: skip


SETTINGS = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestAllocation = Allocation.TestCase
TestAllocation.settings = SETTINGS
TestAllocationIPv6 = AllocationIPv6.TestCase
TestAllocationIPv6.settings = SETTINGS
TestAllocationInBlocks = AllocationInBlocks.TestCase
TestAllocationInBlocks.settings = SETTINGS
