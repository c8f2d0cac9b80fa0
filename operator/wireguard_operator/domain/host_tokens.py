"""Tokens with which a host enrols once: what they say, the Secrets that stand for them, and when one is refused.

A token tells a host which server it is for and which CA to trust, so that the first connection needs no trust of its
own (as kubeadm does it). The cluster keeps a hash only: who reads Secrets cannot enrol with what stands there. A token
is used by deleting its Secret, which of two who try only one can.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ..api.base import Key, format_time
from ..api.server import WireGuardServer
from . import secrets

TYPE = "wireguard.dotmac.io/host-token"
LABEL = "wireguard.dotmac.io/host-token"
"""On each Secret of a token: the server's UID."""
PREFIX = "wgh1."
MOST_LIFE = timedelta(days=7)
REMEDY = "make a new one: wireguard-operator host-token SERVER -n NAMESPACE"

_HASH, _EXPIRES = "hash", "expires"
_NAME_LENGTH = 200


class TokenError(ValueError):
    """A text is no token; the message does not hold it."""


@dataclass(frozen=True, slots=True)
class HostToken:
    """A token before it is text."""

    server: Key
    identifier: str
    """Part of the Secret's name."""
    secret: str = field(repr=False)
    authority: str
    """Fingerprint of the CA, as ``certificates.fingerprint`` says it."""

    def encode(self) -> str:
        """One line of letters, digits, ``-``, ``_`` and ``.``."""
        words = [self.server.namespace, self.server.name, self.identifier, self.secret, self.authority]
        return PREFIX + base64.urlsafe_b64encode(json.dumps(words).encode()).decode().rstrip("=")


def decode(text: str) -> HostToken:
    """A token from its text. Raises TokenError."""
    text = text.strip()
    try:
        if not text.startswith(PREFIX):
            raise ValueError
        packed = text.removeprefix(PREFIX)
        words = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        namespace, server, identifier, secret, authority = map(str, words)
    except (ValueError, TypeError):
        raise TokenError(f"this is no token, or one that was cut off; {REMEDY}") from None
    return HostToken(Key(namespace, server), identifier, secret, authority)


def make(server: WireGuardServer, authority: str, now: datetime, life: timedelta) -> tuple[HostToken, dict[str, Any]]:
    """A token and its Secret."""
    token = HostToken(server.key, randomness.token_hex(5), randomness.token_urlsafe(32), authority)
    data = {_HASH: _hash(token.secret), _EXPIRES: format_time(now + life)}
    body = secrets.build(server, "WireGuardServer", secret_name(server.key.name, token.identifier), data, TYPE)
    body["metadata"]["labels"][LABEL] = server.metadata.uid
    return token, body


def secret_name(server: str, identifier: str) -> str:
    """The Secret of a token."""
    return f"{server[:_NAME_LENGTH]}-host-token-{identifier}"


def is_expired(body: Mapping[str, Any], now: datetime) -> bool:
    """Whether the time of a token is over, or cannot be told."""
    try:
        return datetime.fromisoformat(secrets.read(body, _EXPIRES) or "").astimezone(UTC) <= now
    except ValueError:
        return True


def refusal(body: Mapping[str, Any] | None, server: WireGuardServer, presented: str, now: datetime) -> str | None:
    """Why a token is not good for this server, or None. The secret comes first: only who has it is told more."""
    known = secrets.read(body, _HASH) if body is not None and body.get("type") == TYPE else None
    if body is None or known is None or not hmac.compare_digest(known, _hash(presented)):
        return f"the token is not known; it was used, withdrawn or mistyped; {REMEDY}"
    if not secrets.belongs_to(body, server):
        return f"the token was made for another server of this name; {REMEDY}"
    if is_expired(body, now):
        return f"the token expired at {secrets.read(body, _EXPIRES)}; {REMEDY}"
    return None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
