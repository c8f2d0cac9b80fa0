"""The interface to a foreign system: what the operator must be able to say to it, and what it must be able to ask.

A module of this package implements ``ForeignSystem`` for one system. It speaks that system's API and nothing else:
order, repetition, deadlines and comparison are the steward's, which calls no two methods at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..domain.capabilities import System
from ..domain.key_ring import ClientKeys

PREFIX = "k8s-"
"""Accounts of ours are called by it, so that people see who makes them and nobody else's are touched."""


def account_name(uid: str, generation: int) -> str:
    """What the account of a peer is called; each generation of keys has its own, where the system makes the keys."""
    return f"{PREFIX}{uid}.{generation}" if generation else f"{PREFIX}{uid}"


def uid_of(name: str) -> str | None:
    """The UID of the peer that the account was made for; None: it is not one of ours."""
    return name.removeprefix(PREFIX).partition(".")[0] or None if name.startswith(PREFIX) else None


def generation_of(name: str) -> int:
    """The generation of keys that the account of that name has."""
    digits = name.removeprefix(PREFIX).partition(".")[2]
    return int(digits) if digits.isdecimal() and len(digits) <= 10 else 0


@dataclass(frozen=True, slots=True)
class Site:
    """What a system says of itself."""

    system: System
    """Decides what peers may ask for."""
    version: str
    public_key: str | None = None
    """WireGuard key of its device; None: clients are not told."""
    endpoint: str | None = None
    """``host:port`` for clients."""
    networks: tuple[str, ...] = ()
    """Its address pools; empty: it does not say."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a system has for one client."""

    id: str
    key: str
    """The client's public key, or whatever else the desired state knows the peer by."""
    name: str = ""
    uid: str | None = None
    """Of the peer that it was made for; None: not ours, and nobody touches it."""
    addresses: tuple[str, ...] = ()
    """With prefix length, e.g. 10.8.0.2/32."""
    routes: tuple[str, ...] = ()
    enabled: bool = True
    missing: bool = False
    """The system means it to be on its device, and it is not there."""
    spoilt: bool = False
    """Somebody changed what is ours to say and shows nowhere else here, e.g. its name."""
    preshared_key: str | None = field(default=None, repr=False)
    """Where the keys are ours to set."""
    rx_bytes: int = 0
    tx_bytes: int = 0
    last_handshake: int = 0
    """Unix seconds; 0 is never. For systems without handshakes: when it was last online."""
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a system should have for one peer that may use its tunnel."""

    key: str
    uid: str
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    preshared_key: str | None = field(default=None, repr=False)


class ForeignSystem(Protocol):
    """One instance of a foreign system. Every method raises ``errors.SystemError``."""

    makes_keys: bool
    """Accounts are made before there are keys, by ``make``; otherwise ``put`` makes them with the keys that it gets."""
    keeps_accounts: bool
    """An account that is cut stays there, switched off, until it is deleted."""

    async def identify(self) -> Site:
        """Log in, and say what is there."""
        ...

    async def accounts(self) -> tuple[Account, ...]:
        """All accounts, those of others too: they hold addresses."""
        ...

    async def make(self, name: str) -> Account:
        """Make an account with keys of the system's own."""
        ...

    async def keys(self, account: Account) -> ClientKeys:
        """The keys of an account that ``make`` made."""
        ...

    async def put(self, account: Account | None, wanted: Wanted) -> None:
        """Have the account be so, and switched on; None: there is none yet."""
        ...

    async def cut(self, account: Account) -> None:
        """End the account's traffic."""
        ...

    async def delete(self, account: Account) -> None:
        """Have the account be gone."""
        ...

    async def close(self) -> None:
        """Let go of connections. Changes nothing there."""
        ...
