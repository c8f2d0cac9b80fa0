"""What is to be done about a system's accounts, decided purely from what is wanted and what is there.

The plan is made anew after every write, so it needs no memory: what a crash, a person or a lost answer has changed
meanwhile is simply part of what is there. Its order is: cuts, deletions, changes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import IntEnum

from .contract import Account, Wanted, generation_of, uid_of


class Act(IntEnum):
    """What is done, the most urgent first."""

    CUT = 0
    DELETE = 1
    PUT = 2
    PARK = 3
    """Move an account out of the way, to an address that nobody has."""


@dataclass(frozen=True, slots=True)
class Step:
    """One write."""

    act: Act
    key: str
    account: Account | None = None
    wanted: Wanted | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes that are left, in order, and what no write can bring about."""

    steps: tuple[Step, ...] = ()
    jammed: frozenset[str] = frozenset()
    """Keys of those who wait for an address that another one is about to give up."""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> frozenset[str]:
        """Keys of whom the last word is not said."""
        return self.jammed | {step.key for step in self.steps}


def plan(
    wanted: Mapping[str, Wanted],
    accounts: Sequence[Account],
    members: Set[str],
    discarded: Set[str] = frozenset(),
    spared: Set[str] = frozenset(),
    *,
    makes_keys: bool,
    keeps_accounts: bool = True,
) -> Plan:
    """What is to be done.

    ``members``: UIDs of the server's peers, whose accounts alone are touched; ``discarded``: of those that are to leave
    no trace; ``spared``: keys of accounts that were just made, and are not wanted yet.
    """
    by_key = {account.key: account for account in accounts}
    serving = {key: account for key, account in by_key.items() if key in wanted}
    served = {one.uid: generation_of(serving[key].name) for key, one in wanted.items() if key in serving}
    steps, errors = list[Step](), dict[str, str]()
    for account in accounts:
        if account.uid is None or account.key in wanted:
            continue
        former = account.uid in served and generation_of(account.name) <= served[account.uid]
        if account.uid in discarded or (former and account.key not in spared):
            # A former key's account would keep the address from the one that has come in its place; a second one of the
            # same keys' generation is what a lost answer has led to.
            steps.append(Step(Act.DELETE, account.key, account))
        elif account.enabled and account.uid in members and account.key not in spared:
            steps.append(Step(Act.CUT, account.key, account))
    going = {step.key for step in steps if step.act is Act.DELETE or not keeps_accounts}
    holders = {address: a for a in accounts if a.key not in going for address in a.addresses}
    jammed = dict[str, Account]()
    for key, one in wanted.items():
        have = by_key.get(key)
        if have is None and makes_keys:
            errors[key] = (
                "no client there has this key, and none can be given it; raise spec.keyGeneration for new keys"
            )
            continue
        if have is not None and _is_so(have, one) and (makes_keys or have.preshared_key == one.preshared_key):
            continue
        held = [(address, holders[address]) for address in one.addresses if address in holders]
        held = [(address, other) for address, other in held if other.key != key]
        taken = [(a, other) for a, other in held if not (_gives_up(other, a, wanted) or other.key in spared)]
        if taken:
            errors[key] = (
                f"address {taken[0][0].partition('/')[0]} belongs to {_call(taken[0][1])} there;"
                " add it to spec.reserved of the server, or delete that one"
            )
        elif held:
            jammed[key] = held[0][1]
        else:
            steps.append(Step(Act.PUT, key, have, one))
    if jammed and all(step.act is Act.CUT for step in steps):
        # They wait for one another's addresses: one has to step aside.
        aside = next((account for account in jammed.values() if account.key not in spared), None)
        if aside is not None:
            steps.append(Step(Act.PARK, aside.key, aside))
    steps.sort(key=lambda step: step.act)
    return Plan(tuple(steps), frozenset(jammed), errors)


def spare_address(accounts: Sequence[Account], network: str, taken: Set[str]) -> str | None:
    """An address of the network that nobody has or wants, from its far end, where pools begin last."""
    pool = ipaddress.ip_network(network)
    used = {address for account in accounts for address in account.addresses} | taken
    last = int(pool.broadcast_address) - 1
    for number in range(last, max(int(pool.network_address) + 1, last - 4096), -1):
        address = ipaddress.ip_interface((number, pool.max_prefixlen)).with_prefixlen
        if address not in used:
            return address
    return None


def _is_so(have: Account, want: Wanted) -> bool:
    return (
        have.enabled
        and not have.missing
        and not have.spoilt
        and set(want.addresses) <= set(have.addresses)
        and set(have.routes) == set(want.routes)
    )


def _gives_up(account: Account, address: str, wanted: Mapping[str, Wanted]) -> bool:
    """Whether the account is to have another address of the family instead."""
    want = wanted.get(account.key)
    family = ":" in address
    return want is not None and address not in want.addresses and any((":" in one) == family for one in want.addresses)


def _call(account: Account) -> str:
    """Names of others are told to administrators of the server only; a peer learns that there is one."""
    return "a client of another peer" if uid_of(account.name) else "a client that somebody made"
