"""WireGuard keys: Curve25519 pairs and preshared keys, as base64 text (``wg`` man page, KEYS).

Private values travel in ``Hidden`` so that no log line, exception or repr can show one by accident.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from typing import final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_BYTES = 32


class InvalidKeyError(ValueError):
    """A text is not a WireGuard key. The message never contains the text."""


@final
class Hidden:
    """A secret text: prints as ``<hidden>``; ``reveal()`` marks every place where it is used."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "<hidden>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and secrets.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the public key that belongs to it."""

    private: Hidden
    public: str


def generate_pair() -> KeyPair:
    """A fresh key pair, as ``wg genkey | wg pubkey`` makes it."""
    raw = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    return pair_of(Hidden(base64.b64encode(raw).decode()))


def generate_preshared() -> Hidden:
    """A fresh preshared key, as ``wg genpsk`` makes it."""
    return Hidden(base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())


def pair_of(private: Hidden) -> KeyPair:
    """The pair of a private key, clamped first so that text, device and public key agree (RFC 7748 section 5)."""
    raw = bytearray(decode_key(private.reveal()))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    public = X25519PrivateKey.from_private_bytes(bytes(raw)).public_key()
    public_raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return KeyPair(Hidden(base64.b64encode(bytes(raw)).decode()), base64.b64encode(public_raw).decode())


def decode_key(text: str) -> bytes:
    """The 32 bytes of a key. Raises InvalidKeyError."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidKeyError("not base64; a WireGuard key is 32 bytes in base64, as `wg genkey` prints it") from None
    if len(raw) != KEY_BYTES:
        raise InvalidKeyError(f"{len(raw)} bytes long; a WireGuard key has {KEY_BYTES}")
    if not any(raw):
        raise InvalidKeyError("all zero; make a key with `wg genkey`")
    return raw
