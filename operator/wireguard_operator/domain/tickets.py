"""Tickets: what a link that a provider sends out stands for, one peer and one purpose, until a time.

A ticket is an empty Secret in a namespace that has nothing else in it. Who holds a token that the API server signed for
the audience of this very ticket may use it; when the Secret is gone the ticket is, whatever the token says. So a link
is revoked, and used up, by a deletion, and nothing here needs cryptography of its own.

It is a Secret because nothing else but pods and nodes can bind a token (``TokenRequest``, boundObjectRef). It is not
in the subscriber's namespace, so that the gateway need not write Secrets there and no tenant needs an account for it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from ..api.base import GROUP, Key, format_time
from .secrets import MANAGED_BY

MANAGER = "wireguard-gateway"
"""Not the controller's: it watches its own Secrets and has no use for these."""
SCOPE_LABEL = f"{GROUP}/ticket"
PEER_UID_LABEL = f"{GROUP}/peer-uid"
PEER_ANNOTATION = f"{GROUP}/peer"
EXPIRY_ANNOTATION = f"{GROUP}/expires-at"
ISSUER_ANNOTATION = f"{GROUP}/issued-by"
SELECTOR = f"{MANAGED_BY}={MANAGER},{SCOPE_LABEL}"

AUDIENCE = "wireguard-portal"
LONGEST_TOKEN = 4096
"""Characters; the API server's are about a thousand."""
_NAME = re.compile(r"t-[0-9a-f]{20}")


class Scope(StrEnum):
    """What a ticket is good for. Only STATUS can be used more than once."""

    CONFIG = "config"
    STATUS = "status"
    REGISTER = "register"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The shortest, the usual and the longest life of a ticket. The API server signs for ten minutes at least."""

    shortest: timedelta
    usual: timedelta
    longest: timedelta


LIFETIMES = {
    Scope.CONFIG: Lifetime(timedelta(minutes=10), timedelta(minutes=30), timedelta(minutes=30)),
    Scope.STATUS: Lifetime(timedelta(minutes=10), timedelta(days=30), timedelta(days=366)),
    Scope.REGISTER: Lifetime(timedelta(minutes=10), timedelta(hours=24), timedelta(hours=168)),
}


class BadLifetime(ValueError):
    """A ticket cannot live that long, or that short. The message says what it can."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket as its Secret tells it."""

    name: str
    uid: str
    scope: Scope
    peer: Key
    peer_uid: str
    expires_at: datetime
    issued_by: str = ""

    @property
    def audience(self) -> str:
        """Whom its token is for. Holds the uid, so that a Secret of the same name is another ticket."""
        return f"{AUDIENCE}:{self.uid}:{self.scope}"

    def is_over(self, now: datetime) -> bool:
        """Whether its time has passed."""
        return now >= self.expires_at


def lifetime(scope: Scope, seconds: int | None) -> timedelta:
    """The life of a ticket for which ``seconds`` were asked. Raises BadLifetime."""
    limits = LIFETIMES[scope]
    if seconds is None:
        return limits.usual
    if not limits.shortest.total_seconds() <= seconds <= limits.longest.total_seconds():
        raise BadLifetime(
            f"a ticket of scope {scope} lives from {limits.shortest.total_seconds():.0f}"
            f" to {limits.longest.total_seconds():.0f} seconds, not {seconds}"
        )
    return timedelta(seconds=seconds)


def build(
    namespace: str, scope: Scope, peer: Key, peer_uid: str, expires_at: datetime, issued_by: str
) -> dict[str, Any]:
    """The Secret of a new ticket."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"t-{secrets.token_hex(10)}",
            "namespace": namespace,
            "labels": {MANAGED_BY: MANAGER, SCOPE_LABEL: scope.value, PEER_UID_LABEL: peer_uid},
            "annotations": {
                PEER_ANNOTATION: str(peer),
                EXPIRY_ANNOTATION: format_time(expires_at),
                ISSUER_ANNOTATION: issued_by,
            },
        },
        "type": "Opaque",
        "immutable": True,
    }


def read(secret: Mapping[str, Any]) -> Ticket | None:
    """The ticket that the Secret is; None when it is none."""
    meta = secret["metadata"]
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    namespace, _, name = annotations.get(PEER_ANNOTATION, "").partition("/")
    if labels.get(MANAGED_BY) != MANAGER or not (namespace and name and labels.get(PEER_UID_LABEL)):
        return None
    try:
        scope, end = Scope(labels.get(SCOPE_LABEL, "")), datetime.fromisoformat(annotations.get(EXPIRY_ANNOTATION, ""))
    except ValueError:
        return None
    return Ticket(
        name=meta["name"],
        uid=meta["uid"],
        scope=scope,
        peer=Key(namespace, name),
        peer_uid=labels[PEER_UID_LABEL],
        expires_at=end if end.tzinfo is not None else end.replace(tzinfo=UTC),
        issued_by=annotations.get(ISSUER_ANNOTATION, ""),
    )


def is_name(text: str) -> bool:
    """Whether a ticket can have that name; what cannot is not worth a question to the API server."""
    return _NAME.fullmatch(text) is not None
