"""Keeps the table of one interface right, and finds the policies that nft refuses.

What is wanted is kept here, so that a transaction that fails, or a table that somebody changed, is followed by a new
table as a whole. In that, too, one transaction takes the place of the old table: there is no moment without rules.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from ...domain.device import DevicePeer, Interface
from ...domain.policy import InvalidPolicyError
from ..device import DeviceError
from . import generation, program
from .chains import FREE, Chain, Way, way
from .listing import Memory, is_right
from .program import Refused
from .table import Entry, Table, removal

logger = logging.getLogger(__name__)

NO_PROGRAM = "access rules and limits need the program nft: install nftables"

SEARCH_SECONDS = 3600.0
"""After which what was refused is tried once more."""
MAX_CHECKS = 64
"""Questions to nft in the search for bad policies; what is then still in doubt is refused together."""


class Firewall:
    """The table of one interface. Calls are never concurrent."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._interface: Interface | None = None
        self._table: Table | None = None
        """What the kernel has, as far as it is known."""
        self._memory = Memory()
        self._generation: int | None = None
        """At which the table was seen to be right, or made so."""
        self._ways: dict[str, tuple[tuple[str, ...], Way]] = {}
        """Public key → prefixes and their way, of all peers that may be on the device."""
        self._bad: dict[str, str] = {}
        """Chain → why nft refuses it. A chain is named by its content, so it stays bad."""
        self._searched = 0.0
        self._checks = 0
        self._later: dict[str, Entry] = {}
        """Prefixes that change hands: nobody's until the device has followed."""
        self.refused: dict[str, str] = {}
        """Public key → why its policy cannot be applied; the peer must not be on the device."""

    async def ensure(self, interface: Interface, peers: Mapping[str, DevicePeer], holders: Mapping[str, str]) -> None:
        """Make the table so, and see to it that it still is; ``settle`` comes after the device.

        ``holders``: prefix → public key as the device has it now. Raises DeviceError.
        """
        self._ways, self.refused, self._later = {}, {}, {}
        if self._interface != interface or time.monotonic() - self._searched > SEARCH_SECONDS:
            self._bad = {}
        if not self._is_possible(interface):
            for key, peer in peers.items():
                if peer.policy is not None:
                    self.refused[key] = NO_PROGRAM
            return
        for peer in peers.values():
            self._take(peer)
        same = self._interface == interface
        self._interface = interface
        if not same or self._table is None or not await self._is_right(self._table):
            await self._replace(holders)
            return
        wanted, known = self._entries(), self._table.entries
        changes = {
            prefix: wanted.get(prefix)
            for prefix in known.keys() | wanted.keys()
            if known.get(prefix) != wanted.get(prefix)
        }
        await self._carry_out_or_replace(changes, holders)

    async def change(self, upsert: Iterable[DevicePeer], remove: Iterable[str]) -> None:
        """Bring some peers' rules into the table, before the device; ``settle`` comes after it.

        ``remove``: cut from the device already. Raises DeviceError.
        """
        upsert, remove = tuple(upsert), tuple(remove)
        if self._table is None or self._interface is None:
            for peer in upsert:  # ``ensure`` found no nft
                self.refused.pop(peer.public_key, None)
                if peer.policy is not None:
                    self.refused[peer.public_key] = NO_PROGRAM
            return
        changes: dict[str, Entry | None] = {}
        for key in (*remove, *(peer.public_key for peer in upsert)):
            self.refused.pop(key, None)
            changes |= dict.fromkeys(self._ways.pop(key, ((), FREE))[0])
        for peer in upsert:
            self._take(peer)
            prefixes, found = self._ways.get(peer.public_key, ((), FREE))
            changes |= {prefix: Entry(peer.public_key, found) for prefix in prefixes}
        known = {prefix: self._table.entries[prefix] for prefix in changes if prefix in self._table.entries}
        holders = {
            prefix: entry.public_key
            for prefix, entry in known.items()
            if (new := changes[prefix]) is not None and new.way != entry.way and entry.public_key not in remove
        }
        await self._carry_out_or_replace(changes, holders)

    async def settle(self) -> None:
        """The device has followed: prefixes that changed hands are their new owners'. Raises DeviceError."""
        if self._later:
            later, self._later = self._later, {}
            await self._carry_out(dict(later))

    async def remove(self) -> None:
        """Take the table away. Raises DeviceError."""
        if program.is_installed():
            await program.load(removal(self._name))
        self._table = self._interface = None

    def _is_possible(self, interface: Interface) -> bool:
        if program.is_installed():
            return True
        if interface.masquerade or interface.isolation:
            raise DeviceError("egress.masquerade and egress.isolation need the program nft: install nftables")
        self._table = self._interface = None
        return False

    def _take(self, peer: DevicePeer) -> None:
        try:
            found = way(peer.public_key, peer.policy)
        except InvalidPolicyError as error:
            self.refused[peer.public_key] = f"policy: {error}"
            return
        for chain in found.chains:
            if chain.name in self._bad:
                self.refused[peer.public_key] = f"policy: {self._bad[chain.name]}"
                return
        self._ways[peer.public_key] = peer.allowed_ips, found

    def _entries(self) -> dict[str, Entry]:
        return {prefix: Entry(key, found) for key, (prefixes, found) in self._ways.items() for prefix in prefixes}

    async def _carry_out_or_replace(self, changes: Mapping[str, Entry | None], holders: Mapping[str, str]) -> None:
        self._later |= self._hold_back(changes, holders)
        try:
            await self._carry_out({prefix: None if prefix in self._later else changes[prefix] for prefix in changes})
        except Refused as error:
            logger.warning("the table of %s is loaded anew: %s", self._name, error)
            await self._replace(holders)

    async def _carry_out(self, changes: Mapping[str, Entry | None]) -> None:
        assert self._table is not None  # noqa: S101 - the callers look
        text = self._table.change(changes)
        if text:
            before = generation.current()
            try:
                await program.load(text)
            except BaseException:
                self._table = None  # it has changed already, and the kernel's may not have
                raise
            self._made(before, known=self._generation)

    def _made(self, before: int | None, known: int | None) -> None:
        """A transaction of ours was the only one since ``before``, or the table is looked at again."""
        after = generation.current()
        alone = before is not None and before == known and after == before + 1
        self._generation = after if alone else None

    async def _is_right(self, table: Table) -> bool:
        now = generation.current()
        if now is not None and now == self._generation:
            return True
        text = await program.listing(self._name)
        right = text is not None and await asyncio.to_thread(is_right, text, table, self._memory)
        self._generation = now if right else None
        if not right:
            logger.warning("the table of %s is not as it was made; it is loaded anew", self._name)
        return right

    async def _replace(self, holders: Mapping[str, str]) -> None:
        """Load the whole table, without the policies that nft refuses. Raises DeviceError."""
        self._table, self._memory = None, Memory()
        entries = self._entries()
        self._later = self._hold_back(entries, holders)
        table = self._make(entries)
        before = generation.current()
        try:
            await program.load(table.load())
        except Refused:
            await self._find_bad()
            entries = self._entries()
            self._later = self._hold_back(entries, holders)
            table = self._make(entries)
            before = generation.current()
            await program.load(table.load())
        self._made(before, known=before)
        self._table = table

    def _make(self, entries: Mapping[str, Entry]) -> Table:
        assert self._interface is not None  # noqa: S101 - the callers look
        now = {prefix: entry for prefix, entry in entries.items() if prefix not in self._later}
        return Table(self._name, self._interface, now)

    @staticmethod
    def _hold_back(changes: Mapping[str, Entry | None], holders: Mapping[str, str]) -> dict[str, Entry]:
        """What must wait for the device, or the former owner's packets would go the new one's way."""
        return {
            prefix: entry
            for prefix, entry in changes.items()
            if entry is not None and holders.get(prefix, entry.public_key) != entry.public_key
        }

    async def _find_bad(self) -> None:
        """Find the chains that nft refuses, and let go of the peers that need them. Raises DeviceError."""
        assert self._interface is not None  # noqa: S101 - the caller looks
        # Where nothing at all is taken it is no peer's fault.
        await program.load(Table(self._name, self._interface, {}).load(), check=True)
        self._checks, self._searched = 0, time.monotonic()
        await self._search(list(dict.fromkeys(found for _, found in self._ways.values() if found.chains)))
        for key in [key for key, (_, found) in self._ways.items() if self._reason(found.chains)]:
            self.refused[key] = f"policy: {self._reason(self._ways.pop(key)[1].chains)}"

    def _reason(self, chains: tuple[Chain, ...]) -> str | None:
        return next((self._bad[chain.name] for chain in chains if chain.name in self._bad), None)

    async def _search(self, ways: list[Way]) -> None:
        ways = [found for found in ways if not self._reason(found.chains)]
        if not ways:
            return
        error = await self._refusal(chain for found in ways for chain in found.chains)
        if error is None:
            return
        if self._checks >= MAX_CHECKS:
            self._bad |= {found.chains[-1].name: error for found in ways}
        elif len(ways) == 1:
            # Others may share the first of its chains, which is then to blame for all of them.
            (found,) = ways
            for count in range(1, len(found.chains)):
                if reason := await self._refusal(found.chains[:count]):
                    self._bad[found.chains[count - 1].name] = reason
                    return
            self._bad[found.chains[-1].name] = error
        else:
            middle = len(ways) // 2
            await self._search(ways[:middle])
            await self._search(ways[middle:])

    async def _refusal(self, chains: Iterable[Chain]) -> str | None:
        """Why nft refuses these chains; None when it does not. Raises DeviceError."""
        assert self._interface is not None  # noqa: S101 - the callers look
        table = Table(self._name, self._interface, {})
        table.chains |= {chain.name: chain for chain in chains}
        self._checks += 1
        try:
            await program.load(table.load(), check=True)
        except Refused as error:
            return str(error)
        return None
