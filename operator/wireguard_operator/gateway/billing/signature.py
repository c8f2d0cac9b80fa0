"""Whether a webhook was signed with the tenant's secret: HMAC-SHA256 (RFC 2104), in hexadecimal.

Senders agree on the function and not on the bytes. Most sign the body that they send. The dunning webhook of the dotmac
platform signs Python's ``json.dumps`` of the event and then has its HTTP library write the body anew, without spaces;
dotmac_sub signs compact JSON with sorted keys. What a signature may be over is therefore a list: the bytes that came,
and the other two forms of the very same JSON. None of them is weaker, since each says all that the event says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence

from ...domain.keys import Hidden

PREFIX = "sha256="
DIGITS = frozenset("0123456789abcdefABCDEF")


def sign(secret: Hidden, message: bytes) -> str:
    """The signature as senders write it."""
    return hmac.new(secret.reveal().encode(), message, hashlib.sha256).hexdigest()


def verify(secrets: Sequence[Hidden], body: bytes, signature: str) -> bool:
    """Whether one of the secrets made the signature. Without a secret nothing is true.

    All comparisons are made, each in constant time, so that the time taken tells nothing about how near a guess was.
    """
    given = signature.strip().removeprefix(PREFIX)
    if len(given) != 2 * hashlib.sha256().digest_size or not DIGITS.issuperset(given):
        return False
    right = False
    for message in _forms(body):
        for secret in secrets:
            right |= hmac.compare_digest(sign(secret, message), given.lower())
    return right


def _forms(body: bytes) -> Iterator[bytes]:
    """What may have been signed."""
    yield body
    try:
        event = json.loads(body)
        yield json.dumps(event).encode()
        yield json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
        yield json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return
