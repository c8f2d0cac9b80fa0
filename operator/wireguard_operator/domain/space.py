"""Which addresses of a network may be given out at all, as bit masks of slices.

A network may be as large as an IPv6 /32, and half of it reserved, so nothing here walks over addresses: what may be
given out is a short list of spans, and a slice of them is one integer whose bits are its addresses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from ..api.block import BLOCK_SIZE
from .networks import Address, Network, server_address


class Space:
    """The addresses of a network without its own, the server's and what is reserved."""

    def __init__(self, network: Network, reserved: Iterable[Network] = ()) -> None:
        self.network = network
        self._version = network.version
        self._first, self._last = int(network.network_address), int(network.broadcast_address)
        self._own = {self._first, int(server_address(network))} | ({self._last} if network.version == 4 else set())
        taken = [(address, address) for address in self._own]
        taken += [
            (int(part.network_address), int(part.broadcast_address))
            for part in reserved
            if part.version == network.version and part.overlaps(network)
        ]
        self._spans = list(_left(self._first, self._last, sorted(taken)))
        self._starts = [first for first, _ in self._spans]

    def holds(self, address: Address) -> bool:
        """Whether a peer can have the address, reserved or not."""
        number = int(address)
        return address.version == self._version and self._first <= number <= self._last and number not in self._own

    def may_give(self, address: Address) -> bool:
        """Whether the address may be given out."""
        if address.version != self._version:
            return False
        index = bisect_right(self._starts, int(address)) - 1
        return index >= 0 and int(address) <= self._spans[index][1]

    def mask(self, base: int) -> int:
        """The addresses of the slice at ``base`` that may be given out; the lowest bit is the lowest address."""
        last, mask = base + BLOCK_SIZE - 1, 0
        for first, end in self._spans[max(bisect_right(self._starts, base) - 1, 0) :]:
            if first > last:
                break
            low, high = max(first, base), min(end, last)
            if low <= high:
                mask |= ((1 << (high - low + 1)) - 1) << (low - base)
        return mask

    def addresses(self, base: int, mask: int) -> Iterator[Address]:
        """The addresses of the slice at ``base`` whose bits are set, from the lowest."""
        kind = type(self.network.network_address)
        while mask:
            lowest = mask & -mask
            yield kind(base + lowest.bit_length() - 1)
            mask ^= lowest

    def bases(self, start: int) -> Iterator[int]:
        """Slices from ``start`` in which any address may be given out, by their lowest address, in order."""
        for first, last in self._spans:
            for base in range(max(base_of(first), start), last + 1, BLOCK_SIZE):
                yield base
                start = base + BLOCK_SIZE


def base_of(number: int) -> int:
    """The lowest address of the slice that an address falls into."""
    return number & -BLOCK_SIZE


def _left(first: int, last: int, taken: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans between ``first`` and ``last`` that nothing in ``taken``, which is in order, covers."""
    for low, high in taken:
        if first < low:
            yield first, min(low - 1, last)
        first = max(first, high + 1)
    if first <= last:
        yield first, last
