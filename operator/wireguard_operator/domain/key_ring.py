"""A peer's keys over time: which are in force, where they came from, and what a change of the specification does.

A Secret holds a *key ring*: the keys that the configuration names, and for a while after a rotation the former ones,
which go on working until the device has used the new ones. The decision is pure; imports come in, a ring goes out.

Sources, in the order in which they are looked at:

* ``publicKey``: the device keeps its private key; the operator never sees it.
* ``privateKeySecretRef``: imported, clamped and copied, so that the source may go afterwards.
* otherwise generated, once for each ``keyGeneration``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ..api.keys import PresharedKeyPolicy
from ..api.peer import PeerSpec
from ..api.reasons import Reason
from .conditions import Problem
from .keys import Hidden, KeyPair, generate_pair, generate_preshared

GENERATED, DEVICE = "generated", "device"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What the client's side needs; ``private`` is None when the device made its own key."""

    public: str
    private: Hidden | None
    preshared: Hidden | None
    token: Hidden | None = None
    """Instead of keys, of systems whose own client makes those; ``public`` is then the name of an account."""


@dataclass(frozen=True, slots=True)
class PreviousKeys:
    """Keys that work until the new ones are used, or until a deadline."""

    public: str
    preshared: Hidden | None
    until: datetime


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of one peer."""

    current: ClientKeys
    generation: int = 0
    source: str = GENERATED
    previous: PreviousKeys | None = None

    @property
    def carrier(self) -> str:
        """The public key that carries the peer's addresses: the former one as long as it is there."""
        return self.previous.public if self.previous is not None else self.current.public

    def finished(self) -> KeyRing:
        """The ring after the rotation has come to its end."""
        return replace(self, previous=None)


@dataclass(frozen=True, slots=True)
class Imports:
    """What the Secrets that the specification names hold; a Problem where one cannot be had."""

    pair: KeyPair | Problem | None = None
    preshared: Hidden | Problem | None = field(default=None)


def source_of(spec: PeerSpec) -> str:
    """Where the specification wants the key pair from."""
    if spec.public_key is not None:
        return DEVICE
    if spec.private_key_secret_ref is not None:
        return f"secret:{spec.private_key_secret_ref.name}/{spec.private_key_secret_ref.key}"
    return GENERATED


def next_ring(
    spec: PeerSpec, have: KeyRing | None, imports: Imports, made_for: int | None, now: datetime
) -> KeyRing | Problem:
    """The ring that the specification asks for, as little changed as can be.

    ``have`` is what the Secret holds, or what is remembered of it; ``made_for`` is the keyGeneration for which keys
    were made according to the status, None when there never were any.
    """
    source = source_of(spec)
    if have is not None and have.source != source:
        have = None
    elif have is None and made_for is not None and spec.key_generation <= made_for and _needs_memory(spec, source):
        message = (
            "the Secret with the keys is gone, and nobody knows them any more; restore it from a backup,"
            " or raise spec.keyGeneration for new keys"
        )
        return Problem(Reason.KEY_LOST, message)
    rotates = have is not None and spec.key_generation > have.generation
    preshared = _preshared(spec, source, have if not rotates else None, imports)
    if isinstance(preshared, Problem):
        return preshared
    pair = _pair(spec, have if not rotates else None, imports)
    if isinstance(pair, Problem):
        return pair
    current = ClientKeys(*pair, preshared)
    previous = _previous(spec, have, rotates and source == GENERATED, now)
    return KeyRing(current, spec.key_generation, source, previous)


def _needs_memory(spec: PeerSpec, source: str) -> bool:
    """Whether a key was made by us and can be had from nowhere else."""
    policy = spec.preshared_key
    return source == GENERATED or (policy.policy is PresharedKeyPolicy.ALWAYS and policy.secret_ref is None)


def _pair(spec: PeerSpec, have: KeyRing | None, imports: Imports) -> tuple[str, Hidden | None] | Problem:
    if spec.public_key is not None:
        return spec.public_key, None
    if spec.private_key_secret_ref is not None:
        if isinstance(imports.pair, KeyPair):
            return imports.pair.public, imports.pair.private
        if have is not None:
            return have.current.public, have.current.private
        return imports.pair or Problem(Reason.SECRET_NOT_FOUND, "the Secret to import was not read")
    if have is not None:
        return have.current.public, have.current.private
    made = generate_pair()
    return made.public, made.private


def _preshared(spec: PeerSpec, source: str, have: KeyRing | None, imports: Imports) -> Hidden | Problem | None:
    policy = spec.preshared_key.policy
    if policy is PresharedKeyPolicy.NEVER or (policy is PresharedKeyPolicy.AUTO and not _has_by_default(spec, source)):
        return None
    kept = have.current.preshared if have is not None else None
    if spec.preshared_key.secret_ref is None:
        return kept or generate_preshared()
    if isinstance(imports.preshared, Hidden):
        return imports.preshared
    return kept or imports.preshared or Problem(Reason.SECRET_NOT_FOUND, "the Secret to import was not read")


def _has_by_default(spec: PeerSpec, source: str) -> bool:
    return source == GENERATED or spec.preshared_key.secret_ref is not None


def _previous(spec: PeerSpec, have: KeyRing | None, rotates: bool, now: datetime) -> PreviousKeys | None:
    if have is None:
        return None
    if not rotates:
        return have.previous if have.previous is not None and now < have.previous.until else None
    if not spec.key_overlap_seconds:
        return None
    until = now + timedelta(seconds=spec.key_overlap_seconds)
    # Of keys that were replaced twice in a row, those that the device uses go on working, not those it never saw.
    if have.previous is not None and now < have.previous.until:
        return replace(have.previous, until=until)
    return PreviousKeys(have.current.public, have.current.preshared, until)
