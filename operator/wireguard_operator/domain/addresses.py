"""Addresses of peers: a pool cut into blocks, and the rules by which one is given out.

After Calico's IPAM: an address belongs to the block that holds it, blocks are written with compare-and-swap,
and asking again for the same owner returns what the owner already has. So a crash between writing the block
and using the address loses nothing, and two controllers cannot give one address twice: the second write of
the block is refused, and its writer reads the block again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..api.block import BLOCK_SIZE
from ..api.reasons import Reason
from .blocks import Block, Holder, Rest, Slice, block_of
from .networks import Address, Network
from .space import Space, base_of

__all__ = [
    "AddressTaken",
    "AddressUnusable",
    "AllocationError",
    "Block",
    "Holder",
    "Pool",
    "PoolExhausted",
    "Rest",
    "ServerFull",
    "block_of",
]

REMEDY = "name another address in spec.addresses, or none for any that is free"


class AllocationError(Exception):
    """No address can be given. ``until`` is when one becomes free by itself, if that is known."""

    reason: Reason

    def __init__(self, message: str, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class PoolExhausted(AllocationError):
    """Every address of the network is held, reserved or cooling down."""

    reason = Reason.POOL_EXHAUSTED


class ServerFull(AllocationError):
    """The server has as many peers as it may have."""

    reason = Reason.SERVER_FULL


class AddressTaken(AllocationError):
    """The requested address belongs to another peer or cools down after one."""

    reason = Reason.ADDRESS_TAKEN


class AddressUnusable(AllocationError):
    """The requested address is outside the network or reserved."""

    reason = Reason.ADDRESS_UNUSABLE


class Pool:
    """The addresses of one network of one server."""

    def __init__(self, network: Network, reserved: Iterable[Network] = (), blocks: Iterable[Block] = ()) -> None:
        self.network = network
        self._space = Space(network, reserved)
        self._slices: dict[int, Slice] = {}
        self._by_owner: dict[str, Address] = {}
        self._surplus: dict[str, set[Address]] = {}
        """What an owner holds beside its address: outside of the network, or left over from a crash between the writes
        of two blocks. It is given back as soon as the owner is seen."""
        self._wishes: dict[Address, set[str]] = {}
        self._wish_of: dict[str, Address] = {}
        self._full_below = 0
        """No slice below has anything to give, or will have by the mere passing of time."""
        for block in blocks:
            self.load(block)

    def load(self, block: Block) -> None:
        """Take a block as the API server has it, in place of what was in memory."""
        self.forget(block.network)
        self._add(block)
        for address, holder in block.held.items():
            self._enter(address, holder.uid)

    def forget(self, network: Network) -> None:
        """Drop a block from memory; its addresses are asked for again."""
        old = self._slices.pop(int(network.network_address), None)
        for address, holder in old.block.held.items() if old is not None else ():
            self._strike(address, holder.uid)
        self._full_below = 0

    def wish(self, uid: str, address: Address | None) -> None:
        """``uid`` asks for this very address: nobody else is given it unasked. None: for none any more."""
        before = self._wish_of.pop(uid, None)
        if before is not None:
            self._wishes[before].discard(uid)
            if not self._wishes[before]:
                del self._wishes[before]
        if address is not None:
            self._wish_of[uid] = address
            self._wishes.setdefault(address, set()).add(uid)

    def address_of(self, uid: str) -> Address | None:
        """What the owner holds."""
        return self._by_owner.get(uid)

    def owners(self) -> frozenset[str]:
        """UIDs of all that hold an address of the network."""
        return frozenset(self._by_owner)

    def blocks(self) -> list[Block]:
        """All slices that anybody holds or held an address of."""
        return [part.block for part in self._slices.values()]

    def changed(self) -> list[Block]:
        """Blocks that must be written."""
        return [part.block for part in self._slices.values() if part.block.changed]

    def take(
        self, holder: Holder, now: datetime, wanted: Address | None = None, rest_until: datetime | None = None
    ) -> Address:
        """The holder's address: the one it has, the one it wants, or the lowest that is free.

        An address that is left for another one rests until ``rest_until``.
        Raises PoolExhausted, AddressTaken or AddressUnusable.
        """
        uid = holder.uid
        have = self._by_owner.get(uid)
        if wanted is not None and wanted != have:
            address = self._check(wanted, holder, now)
        else:
            address = have if have is not None else self._lowest_free(now, uid)
        for other in self._all_of(uid) - {address}:
            self._drop(other, rest_until)
        if self._by_owner.get(uid) != address:
            self._slice(address).hold(address, holder)
            self._enter(address, uid)
        return address

    def release(self, uid: str, until: datetime | None = None) -> Address | None:
        """Give back what the owner holds; until ``until`` it is given to nobody."""
        held = self._by_owner.get(uid)
        for address in self._all_of(uid):
            self._drop(address, until)
        return held

    def _all_of(self, uid: str) -> set[Address]:
        held = self._by_owner.get(uid)
        return {*self._surplus.get(uid, ()), *((held,) if held is not None else ())}

    def _enter(self, address: Address, uid: str) -> None:
        """Of several addresses in the network the lowest is the owner's, in whatever order blocks are read."""
        all_of = self._all_of(uid) | {address}
        usable = [one for one in all_of if self._space.holds(one)]
        if usable:
            self._by_owner[uid] = min(usable, key=int)
        if surplus := all_of - {self._by_owner.get(uid)}:
            self._surplus[uid] = surplus

    def _strike(self, address: Address, uid: str) -> None:
        others = self._all_of(uid) - {address}
        self._by_owner.pop(uid, None)
        self._surplus.pop(uid, None)
        for other in others:
            self._enter(other, uid)

    def _drop(self, address: Address, until: datetime | None) -> None:
        part = self._slice(address)
        self._strike(address, part.give_back(address, until).uid)
        self._full_below = min(self._full_below, part.base)

    def _slice(self, address: Address) -> Slice:
        return self._slices.get(base_of(int(address))) or self._add(Block(block_of(address)))

    def _add(self, block: Block) -> Slice:
        base = int(block.network.network_address)
        self._slices[base] = part = Slice(block, self._space.mask(base))
        return part

    def _check(self, wanted: Address, holder: Holder, now: datetime) -> Address:
        if wanted not in self.network:
            raise AddressUnusable(f"{wanted} is not in the server's network {self.network}; {REMEDY}")
        if not self._space.may_give(wanted):
            raise AddressUnusable(f"{wanted} is reserved in {self.network}; {REMEDY}")
        part = self._slices.get(base_of(int(wanted)))
        other = part.block.held.get(wanted) if part is not None else None
        if other is not None and other.uid != holder.uid:
            raise AddressTaken(f"{wanted} is held by {_name(other.peer, holder)}; {REMEDY}")
        rest = part.block.resting.get(wanted) if part is not None else None
        # The peer of that name may have it back at once: nobody else's traffic can be meant by it.
        if rest is not None and rest.until > now and rest.peer != holder.peer:
            was = f"{wanted} was held by {_name(rest.peer, holder)} and cools down"
            raise AddressTaken(f"{was} until {rest.until:%Y-%m-%d %H:%M:%S} UTC; {REMEDY}", rest.until)
        return wanted

    def _lowest_free(self, now: datetime, uid: str) -> Address:
        soonest: datetime | None = None
        full = True
        for base in self._space.bases(self._full_below):
            part = self._slices.get(base)
            free, rested = part.room(now) if part is not None else (self._space.mask(base), None)
            for address in self._space.addresses(base, free):
                wishes = self._wishes.get(address)
                if not wishes or uid in wishes:
                    return address
            if rested is not None:
                soonest = min(soonest or rested, rested)
            full = full and not free and rested is None
            if full:
                self._full_below = base + BLOCK_SIZE
        wait = f"; one becomes free at {soonest:%Y-%m-%d %H:%M:%S} UTC" if soonest else ""
        raise PoolExhausted(f"no free address in {self.network}{wait}", soonest)


def _name(peer: str, to: Holder) -> str:
    """What a tenant may know of another one's peers is that there are some."""
    same = peer.partition("/")[0] == to.peer.partition("/")[0]
    return peer if same else "a peer of another namespace"
