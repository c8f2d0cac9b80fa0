"""Addresses of peers: a pool cut into blocks, and the rules by which one is given out.

After Calico's IPAM: an address belongs to the block that holds it, blocks are written with compare-and-swap,
and asking again for the same owner returns what the owner already has. So a crash between writing the block
and using the address loses nothing, and two controllers cannot give one address twice: the second write of
the block is refused, and its writer reads the block again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ..api.block import BLOCK_SIZE

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AllocationError(Exception):
    """No address can be given; ``reason`` is a condition reason."""

    reason = "AllocationFailed"


class PoolExhausted(AllocationError):
    """Every address of the network is held, reserved or cooling down."""

    reason = "PoolExhausted"


class AddressTaken(AllocationError):
    """The requested address belongs to another peer or cools down after one."""

    reason = "AddressTaken"


class AddressUnusable(AllocationError):
    """The requested address is outside the network or reserved."""

    reason = "AddressUnusable"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an address: the peer's UID decides, the name is for people."""

    uid: str
    peer: str


@dataclass(frozen=True, slots=True)
class Rest:
    """The cool-down of an address."""

    until: datetime
    peer: str


@dataclass(slots=True)
class Block:
    """A slice of a pool in memory. ``resource_version`` is None until the API server has it."""

    network: Network
    held: dict[Address, Holder] = field(default_factory=dict)
    resting: dict[Address, Rest] = field(default_factory=dict)
    resource_version: str | None = None
    changed: bool = False


def server_address(network: Network) -> Address:
    """The server's own address: the first host (IPv6's all-zero host is the subnet-router anycast, RFC 4291 2.6.1)."""
    return network[1]


def block_of(network: Network, address: Address) -> Network:
    """The slice of ``network`` that ``address`` falls into."""
    prefix = max(network.prefixlen, network.max_prefixlen - (BLOCK_SIZE - 1).bit_length())
    return ipaddress.ip_network((address, prefix), strict=False)


class Pool:
    """The addresses of one network of one server."""

    def __init__(self, network: Network, reserved: Iterable[Network] = (), blocks: Iterable[Block] = ()) -> None:
        self.network = network
        self._reserved = tuple(r for r in reserved if r.version == network.version)
        self._blocks: dict[Network, Block] = {}
        self._by_owner: dict[str, Address] = {}
        self._full_below = int(network.network_address)
        for block in blocks:
            self.load(block)

    def load(self, block: Block) -> None:
        """Take a block as the API server has it, in place of what was in memory."""
        self.forget(block.network)
        self._blocks[block.network] = block
        self._by_owner.update((holder.uid, address) for address, holder in block.held.items())

    def forget(self, network: Network) -> None:
        """Drop a block from memory; its addresses are asked for again."""
        old = self._blocks.pop(network, None)
        if old is not None:
            for address, holder in old.held.items():
                if self._by_owner.get(holder.uid) == address:
                    del self._by_owner[holder.uid]
        self._full_below = int(self.network.network_address)

    def address_of(self, uid: str) -> Address | None:
        """What the owner holds."""
        return self._by_owner.get(uid)

    def holders(self) -> set[Holder]:
        """All holders."""
        return {holder for block in self._blocks.values() for holder in block.held.values()}

    def changed(self) -> list[Block]:
        """Blocks that must be written."""
        return [block for block in self._blocks.values() if block.changed]

    def take(self, holder: Holder, now: datetime, wanted: Address | None = None) -> Address:
        """The holder's address: the one it has, the one it wants, or the lowest that is free.

        Raises PoolExhausted, AddressTaken or AddressUnusable.
        """
        have = self._by_owner.get(holder.uid)
        if have is not None and wanted in (None, have):
            return have
        address = self._check(wanted, holder, now) if wanted is not None else self._lowest_free(now)
        if have is not None:
            self._drop(have)
        block = self._block(address)
        block.held[address] = holder
        block.resting.pop(address, None)
        block.changed = True
        self._by_owner[holder.uid] = address
        return address

    def release(self, uid: str, until: datetime | None = None) -> Address | None:
        """Give the owner's address back; until ``until`` it is given to nobody."""
        address = self._by_owner.get(uid)
        if address is None:
            return None
        holder = self._drop(address)
        if until is not None:
            self._block(address).resting[address] = Rest(until, holder.peer)
        return address

    def _drop(self, address: Address) -> Holder:
        block = self._block(address)
        holder = block.held.pop(address)
        block.changed = True
        del self._by_owner[holder.uid]
        self._full_below = min(self._full_below, int(block.network.network_address))
        return holder

    def _block(self, address: Address) -> Block:
        network = block_of(self.network, address)
        if network not in self._blocks:
            self._blocks[network] = Block(network)
        return self._blocks[network]

    def _check(self, wanted: Address, holder: Holder, now: datetime) -> Address:
        if wanted.version != self.network.version or wanted not in self.network:
            raise AddressUnusable(f"{wanted} is not in the server's network {self.network}")
        if self._is_reserved(int(wanted)):
            raise AddressUnusable(f"{wanted} is reserved in {self.network}; ask for another address")
        block = self._blocks.get(block_of(self.network, wanted))
        if block is None:
            return wanted
        other = block.held.get(wanted)
        if other is not None and other.uid != holder.uid:
            raise AddressTaken(f"{wanted} is held by {other.peer}")
        rest = block.resting.get(wanted)
        # The peer of that name may have it back at once: nobody else's traffic can be meant by it.
        if rest is not None and rest.until > now and rest.peer != holder.peer:
            raise AddressTaken(
                f"{wanted} was held by {rest.peer} and cools down until {rest.until:%Y-%m-%d %H:%M:%S} UTC"
            )
        return wanted

    def _lowest_free(self, now: datetime) -> Address:
        soonest: datetime | None = None
        for network in self._slices():
            block = self._blocks.get(network)
            full = True
            for address in network:
                if self._is_reserved(int(address)) or (block is not None and address in block.held):
                    continue
                rest = block.resting.get(address) if block is not None else None
                if rest is None or rest.until <= now:
                    return address
                full = False
                soonest = min(soonest or rest.until, rest.until)
            if full and int(network.network_address) == self._full_below:
                self._full_below += network.num_addresses
        wait = f"; one becomes free at {soonest:%Y-%m-%d %H:%M:%S} UTC" if soonest else ""
        raise PoolExhausted(f"no free address in {self.network}{wait}")

    def _slices(self) -> Iterator[Network]:
        """Slices from the lowest that may have room."""
        start = self._full_below
        last = int(self.network.broadcast_address)
        while start <= last:
            network = block_of(self.network, self.network[start - int(self.network.network_address)])
            yield network
            start = int(network.broadcast_address) + 1

    def _is_reserved(self, address: int) -> bool:
        first, last = int(self.network.network_address), int(self.network.broadcast_address)
        if address in (first, first + 1) or (self.network.version == 4 and address == last):
            return True
        return any(int(r.network_address) <= address <= int(r.broadcast_address) for r in self._reserved)
