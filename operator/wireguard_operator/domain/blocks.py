"""A block of addresses in memory: who holds which, what rests, and what is free.

Blocks do not depend on the network that they are cut from, so that networks can grow and shrink.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ..api.block import BLOCK_SIZE
from .networks import Address, Network


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


class Slice:
    """A block and its free addresses as a bit mask, which is kept in step with it."""

    def __init__(self, block: Block, usable: int) -> None:
        """``usable`` is the mask of the addresses that may be given out at all."""
        self.block = block
        self.base = int(block.network.network_address)
        self._usable = usable
        self._free = 0
        self._soonest: datetime | None = None
        self._count(block.resting)

    def room(self, now: datetime) -> tuple[int, datetime | None]:
        """The mask of the free addresses, and when the next one will have rested."""
        if self._soonest is not None and self._soonest <= now:
            self._count(address for address, rest in self.block.resting.items() if rest.until > now)
        return self._free, self._soonest

    def hold(self, address: Address, holder: Holder) -> None:
        """The address is the holder's."""
        block = self.block
        block.held[address] = holder
        block.changed = True
        self._free &= ~self._bit(address)
        if block.resting.pop(address, None) is not None:
            self._count(block.resting)

    def give_back(self, address: Address, until: datetime | None) -> Holder:
        """The address is nobody's, and rests until ``until``; who held it."""
        block = self.block
        holder = block.held.pop(address)
        block.changed = True
        bit = self._bit(address)
        if until is None:
            self._free |= bit
        else:
            block.resting[address] = Rest(until, holder.peer)
            if bit:
                self._soonest = min(self._soonest or until, until)
        return holder

    def _count(self, resting: Iterable[Address]) -> None:
        resting = [address for address in resting if self._bit(address)]
        self._free = self._usable
        for address in (*self.block.held, *resting):
            self._free &= ~self._bit(address)
        self._soonest = min((self.block.resting[address].until for address in resting), default=None)

    def _bit(self, address: Address) -> int:
        offset = int(address) - self.base
        return (1 << offset) & self._usable if 0 <= offset < BLOCK_SIZE else 0


def block_of(address: Address) -> Network:
    """The slice that ``address`` falls into. It does not depend on the pool, so pools can grow and shrink."""
    prefix = address.max_prefixlen - (BLOCK_SIZE - 1).bit_length()
    return ipaddress.ip_network((address, prefix), strict=False)
