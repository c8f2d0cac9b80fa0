"""Events of billing systems, read into one form: who, since when, and what is to become of the tunnel.

Three senders are understood. They differ in names, not in meaning:

==========  =========================================================================================
dunning     the dunning campaigns of the dotmac platform. The event names no action: the campaign's
            ``metadata`` has to, as ``{"wireguard": "suspend"}``
platform    the platform's generic webhooks, ``invoice.paid`` and the like
sub         dotmac_sub, ``subscription.suspended`` and the like
==========  =========================================================================================

In each, ``metadata.wireguard`` says what is to be done and overrules what the type of the event would mean by itself;
``metadata.wireguard_reason`` names another lock than the usual one. Only what the body says counts: the signature does
not cover headers.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from ...api.peer import SuspensionMode

NON_PAYMENT = "non-payment"
SUBSCRIPTION = "subscription"
THROTTLED = "throttled"

REASON = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""As in ``spec.suspensions``."""
IDENTIFIER_LENGTH = 128
"""As in ``spec.subscriber``: a longer one cannot be any peer's."""


class MalformedEvent(ValueError):
    """The body is not an event; the text names what is wrong with it."""


class Sender(StrEnum):
    """Who speaks."""

    DUNNING = "dunning"
    PLATFORM = "platform"
    SUB = "sub"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with one lock of the subscriber's tunnels."""

    reason: str
    suspend: bool
    mode: SuspensionMode = SuspensionMode.CUT


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the event is about, by every name that it gives."""

    subscription_id: str | None = None
    subscriber_id: str | None = None
    account_id: str | None = None
    customer_id: str | None = None

    def __str__(self) -> str:
        names = ("subscription_id", "subscriber_id", "account_id", "customer_id")
        return ", ".join(f"{name} {value}" for name in names if (value := getattr(self, name)) is not None)


@dataclass(frozen=True, slots=True)
class BillingEvent:
    """One event, whoever sent it."""

    sender: Sender
    id: str
    type: str
    at: datetime
    """When it happened, by the sender's clock."""
    subject: Subject
    order: Order | None
    """None: it says nothing about tunnels."""
    tenant_id: str | None = None
    """The sender's own name of the tenant."""


WORDS: Mapping[str, tuple[bool, SuspensionMode] | None] = {
    "suspend": (True, SuspensionMode.CUT),
    "walled-garden": (True, SuspensionMode.WALLED_GARDEN),
    "throttle": (True, SuspensionMode.THROTTLE),
    "resume": (False, SuspensionMode.CUT),
    "ignore": None,
}
"""What ``metadata.wireguard`` may be."""

_PAID = Order(NON_PAYMENT, suspend=False)
_STOPPED = Order(SUBSCRIPTION, suspend=True)
_RUNS = Order(SUBSCRIPTION, suspend=False)

MEANINGS: Mapping[str, Order] = {
    "invoice.paid": _PAID,
    "payment.succeeded": _PAID,
    "payment.received": _PAID,
    "subscription.suspended": _STOPPED,
    "subscription.disabled": _STOPPED,
    "subscription.canceled": _STOPPED,
    "subscription.cancelled": _STOPPED,
    "subscription.expired": _STOPPED,
    "subscription.activated": _RUNS,
    "subscription.resumed": _RUNS,
    "subscriber.throttled": Order(THROTTLED, suspend=True, mode=SuspensionMode.THROTTLE),
    "subscriber.unthrottled": Order(THROTTLED, suspend=False),
}
"""What the type of an event means by itself. A payment lifts what non-payment locked and no other lock: whoever was
suspended for abuse does not buy himself free. An unpaid invoice alone suspends nobody; that is for dunning to say."""


def read(sender: Sender, body: bytes) -> BillingEvent:
    """The event in a body whose signature is right. Raises MalformedEvent."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedEvent("the body is not JSON") from None
    if not isinstance(event, dict):
        raise MalformedEvent(f"the body is a JSON {type(event).__name__}; an event is an object")
    return _READERS[sender](event, body)


def _dunning(event: Mapping[str, Any], body: bytes) -> BillingEvent:
    data, metadata = _object(event, "data"), _object(event, "metadata")
    execution, step = _text(data, "execution_id"), data.get("current_step")
    return BillingEvent(
        Sender.DUNNING,
        f"{execution}/{step}" if execution else _digest(body),
        _text(event, "event_type") or _text(event, "event") or "dunning",
        _time(event, "timestamp"),
        _subject(data),
        _order(metadata, None),
        _text(data, "tenant_id"),
    )


def _platform(event: Mapping[str, Any], body: bytes) -> BillingEvent:
    kind = _text(event, "type")
    if kind is None:
        raise MalformedEvent("type is missing; it is the name of the event, e.g. invoice.paid")
    return BillingEvent(
        Sender.PLATFORM,
        _text(event, "id") or _digest(body),
        kind,
        _time(event, "timestamp"),
        _subject(_object(event, "data")),
        _order(_object(event, "metadata"), MEANINGS.get(kind)),
        _text(event, "tenant_id"),
    )


def _sub(event: Mapping[str, Any], body: bytes) -> BillingEvent:
    kind = _text(event, "event_type")
    if kind is None:
        raise MalformedEvent("event_type is missing; it is the name of the event, e.g. subscription.suspended")
    payload, context = _object(event, "payload"), _object(event, "context")
    return BillingEvent(
        Sender.SUB,
        _text(event, "event_id") or _digest(body),
        kind,
        _time(event, "occurred_at"),
        _subject({**payload, **{name: value for name, value in context.items() if value is not None}}),
        _order(_object(payload, "metadata"), MEANINGS.get(kind)),
    )


_READERS = {Sender.DUNNING: _dunning, Sender.PLATFORM: _platform, Sender.SUB: _sub}


def _order(metadata: Mapping[str, Any], meant: Order | None) -> Order | None:
    reason = metadata.get("wireguard_reason", meant.reason if meant is not None else NON_PAYMENT)
    if not isinstance(reason, str) or not REASON.fullmatch(reason):
        raise MalformedEvent(
            "metadata.wireguard_reason must be a word of at most 63 lower-case letters, digits and '-', e.g. abuse"
        )
    if "wireguard" not in metadata:
        return Order(reason, meant.suspend, meant.mode) if meant is not None else None
    word = metadata["wireguard"]
    if not isinstance(word, str) or word not in WORDS:
        raise MalformedEvent(f"metadata.wireguard must be one of {', '.join(WORDS)}")
    wish = WORDS[word]
    return Order(reason, *wish) if wish is not None else None


def _subject(data: Mapping[str, Any]) -> Subject:
    return Subject(
        _text(data, "subscription_id"),
        _text(data, "subscriber_id"),
        _text(data, "account_id"),
        _text(data, "customer_id"),
    )


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedEvent(f"{name} is a JSON {type(value).__name__}; it must be an object")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    """An identifier; numbers count, since some systems number their customers."""
    value = parent.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise MalformedEvent(f"{name} is a JSON {type(value).__name__}; it must be a text")
    text = str(value)
    if len(text) > IDENTIFIER_LENGTH or not text.isprintable():
        raise MalformedEvent(f"{name} must be at most {IDENTIFIER_LENGTH} characters without control characters")
    return text


def _time(event: Mapping[str, Any], name: str) -> datetime:
    """RFC 3339, or seconds since 1970."""
    value = event.get(name)
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise MalformedEvent(f"{name} must be the time of the event, e.g. 2030-01-01T00:00:00Z")


def _digest(body: bytes) -> str:
    """The name of an event that has none."""
    return hashlib.sha256(body).hexdigest()[:32]
