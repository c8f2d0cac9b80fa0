"""The accounts of one system: as they were last seen, as they should be, and whose of them may be touched.

Pure; ``now`` is monotonic. What is to be done about the difference is decided by ``plan``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace

from .contract import Account, ForeignSystem, Wanted
from .plan import Plan, plan, spare_address

FRESH_SECONDS = 1.0
"""So old a look may be before a cut, whose last counters it tells."""
SPARE_SECONDS = 120.0
"""For which an account that was just made waits to be wanted before it is switched off."""

Members = Callable[[], Mapping[str, str | None]]
"""UIDs of the peers whose accounts may be touched, with the keys that they are known by."""


class Accounts:
    """What is known of one system's accounts, and what is asked for."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.wanted: Mapping[str, Wanted] | None = None
        """By key; None before it is known, and nobody is cut before that."""
        self.found: dict[str, Account] | None = None
        """By key, as they were last seen; None: they were not seen yet."""
        self.final: dict[str, Account] = {}
        """As they were right before they were cut, until somebody takes them."""
        self._seen = 0.0
        self._discarded: set[str] = set()
        self._spared: dict[str, float] = {}

    def want(self, wanted: Mapping[str, Wanted]) -> None:
        """From now on it should be so."""
        self.wanted = wanted
        for key in self._spared.keys() & wanted.keys():
            del self._spared[key]

    def spare(self, key: str, now: float) -> None:
        """The account was just made and is not switched off, for it is about to be wanted."""
        self._spared[key] = now + SPARE_SECONDS

    def end_sparing(self, key: str) -> None:
        """The account is not about to be wanted."""
        self._spared.pop(key, None)

    def withhold(self, uid: str) -> None:
        """None of the peer's accounts is about to be wanted."""
        for account in [account for account in self.there.values() if account.uid == uid]:
            self.end_sparing(account.key)

    def discard(self, uids: Set[str]) -> None:
        """No account is to be left of these peers."""
        self._discarded |= uids

    def keep(self, uid: str) -> None:
        """The peer has come back before its account was deleted."""
        self._discarded.discard(uid)

    def take_gone(self, uids: Set[str]) -> set[str]:
        """Of peers that are discarded, those that have no account: there is nothing left to do for them."""
        gone = set(uids - {account.uid for account in self.there.values()})
        self._discarded -= gone
        return gone

    @property
    def there(self) -> Mapping[str, Account]:
        """As far as they were seen."""
        return self.found or {}

    def named(self, name: str) -> Account | None:
        """The account that is called so."""
        return next((account for account in self.there.values() if account.name == name), None)

    def is_wanted(self, key: str) -> bool:
        """Whether it should be there."""
        return key in (self.wanted or {})

    def is_fresh(self, now: float) -> bool:
        """Whether they were seen a moment ago."""
        return now - self._seen <= FRESH_SECONDS

    def owners(self) -> dict[str, str]:
        """UIDs of the peers that have keys, by these."""
        return {key: uid for uid, key in self.members().items() if key}

    def see(self, listed: Iterable[Account], owners: Mapping[str, str], now: float) -> None:
        """So they are; ``owners``: as it was when the system was asked."""
        found = {}
        for account in listed:
            if account.uid is None and account.key in owners:
                # Somebody renamed it; it is ours all the same, or nobody could cut it any more.
                account = replace(account, uid=owners[account.key], spoilt=True)
            found[account.key] = account
        self.found, self._seen = found, now

    def plan(self, system: ForeignSystem | None, now: float) -> Plan:
        """What is left to be done; ``system``: None while there is no connection to it."""
        self._spared = {key: until for key, until in self._spared.items() if until > now}
        return plan(
            self.wanted or {},
            tuple(self.there.values()),
            self.members().keys() if self.wanted is not None else frozenset(),
            self._discarded,
            self._spared.keys(),
            makes_keys=system.makes_keys if system is not None else False,
            keeps_accounts=system.keeps_accounts if system is not None else True,
        )

    def aside(self, account: Account, networks: Iterable[str]) -> Wanted:
        """How the account is out of everybody's way: at addresses of the networks that nobody has or wants."""
        taken = {address for one in (self.wanted or {}).values() for address in one.addresses}
        spare = [spare_address(tuple(self.there.values()), network, taken) for network in networks]
        addresses = tuple(address for address in spare if address is not None)
        return Wanted(account.key, account.uid or "", addresses, account.routes)
