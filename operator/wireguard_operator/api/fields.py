"""The field types that several kinds use, each with its bounds and the sentence a user reads when it is wrong.

CEL is used instead of ``pattern`` wherever the API server's own message would be a bare regular expression.
Every string has a length bound, since the cost of a CEL rule is estimated from it (KEP-2876).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from .base import Time

ZERO_KEY = "A" * 43 + "="


def rule(
    expression: str, message: str, *, message_expression: str | None = None, path: str | None = None
) -> dict[str, str]:
    """One entry of ``x-kubernetes-validations``."""
    entry = {"rule": expression, "message": message}
    if message_expression:
        entry["messageExpression"] = message_expression
    if path:
        entry["fieldPath"] = path
    return entry


def rules(*entries: dict[str, str], **extra: Any) -> dict[str, Any]:
    """``json_schema_extra`` that carries CEL rules."""
    return {"x-kubernetes-validations": list(entries), **extra}


KEY_RULES = (
    rule(
        "self.matches('^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$')",
        "must be a WireGuard public key: 32 bytes in base64, 44 characters ending in '=', as `wg pubkey` prints it",
    ),
    rule(
        f"self != '{ZERO_KEY}'",
        "the all-zero key is not a public key; make a pair with `wg genkey | wg pubkey`",
    ),
)

Line = Annotated[
    str,
    Field(
        json_schema_extra=rules(
            rule(r"!self.matches(r'[\p{Cc}\p{Zl}\p{Zp}]')", "must be one line of text without control characters")
        ),
    ),
]
"""A name or identifier. Each use adds its own ``max_length``."""

Text = Annotated[
    str,
    Field(
        max_length=1024,
        json_schema_extra=rules(
            rule(
                r"!self.matches(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}]')",
                "must be text without control characters other than tab and line breaks",
            )
        ),
    ),
]
"""Free text for people."""

Deadline = Annotated[
    Time,
    Field(
        json_schema_extra=rules(
            rule(
                "timestamp('1970-01-01T00:00:00Z') <= self && self <= timestamp('9999-12-31T23:59:59Z')",
                "must be a time in the form 2030-01-01T00:00:00Z, from 1970 to 9999",
            )
        )
    ),
]
"""A time that people give."""

UNIQUE = {"x-kubernetes-list-type": "set"}
"""Duplicate entries are refused."""

PublicKey = Annotated[str, Field(max_length=64, json_schema_extra=rules(*KEY_RULES))]

IPAddress = Annotated[
    str,
    Field(
        max_length=45,
        json_schema_extra=rules(
            rule(
                "isIP(self)",
                "must be an IPv4 or IPv6 address without prefix length, e.g. 10.8.0.1 or fd00::1",
            )
        ),
    ),
]

CIDR = Annotated[
    str,
    Field(
        max_length=49,
        json_schema_extra=rules(
            rule("isCIDR(self)", "must be a network in CIDR notation, e.g. 10.8.0.0/24 or fd00:8::/64"),
            rule(
                "!isCIDR(self) || cidr(self) == cidr(self).masked()",
                "has host bits set: every bit behind the prefix length must be zero, e.g. 10.8.0.0/24, not 10.8.0.5/24",
            ),
        ),
    ),
]

_IP_OR_DNS_NAME = (
    "isIP(self) || (!format.dns1123Subdomain().validate(self).hasValue() && !self.matches('[^.]{64}|(^|[.])[0-9]+$'))"
)
"""A label has at most 63 characters, and one of digits at the end is a mistyped IPv4 address (RFC 3696 section 2)."""

HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            rule(
                _IP_OR_DNS_NAME,
                "must be a DNS name in lower case or an IP address, without port or brackets,"
                " e.g. vpn.example.net or 2001:db8::1",
            ),
            rule(
                "!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLoopback()",
                "is no address that subscribers can reach: give the server's public DNS name or IP address",
            ),
        ),
    ),
]

DNSEntry = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            rule(
                _IP_OR_DNS_NAME,
                "must be the address of a DNS server or a search domain, e.g. 9.9.9.9 or corp.example",
            )
        ),
    ),
]

ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            rule(
                "!format.dns1123Subdomain().validate(self).hasValue()",
                "must be the name of an object: lower-case letters, digits, '-' and '.'",
            )
        ),
    ),
]

Port = Annotated[int, Field(ge=1, le=65535)]
MTU = Annotated[int, Field(ge=1280, le=9000)]
"""1280 is the least that IPv6 may run on (RFC 8200 section 5)."""

Keepalive = Annotated[int, Field(ge=0, le=65535)]
"""Seconds; 0 is off (``wg`` man page, PersistentKeepalive)."""

ONE_ADDRESS_PER_FAMILY = rule(
    "self.filter(a, isIP(a) && ip(a).family() == 4).size() <= 1"
    " && self.filter(a, isIP(a) && ip(a).family() == 6).size() <= 1",
    "may hold one IPv4 and one IPv6 address, not two of one family",
)

UNICAST = rule(
    "self.all(n, !isCIDR(n) || cidr(n).ip().isGlobalUnicast())",
    "must be unicast addresses, not loopback, link-local, multicast or 0.0.0.0",
)

ONE_PER_FAMILY = rule(
    "self.filter(n, isCIDR(n) && cidr(n).ip().family() == 4).size() <= 1"
    " && self.filter(n, isCIDR(n) && cidr(n).ip().family() == 6).size() <= 1",
    "may hold one IPv4 and one IPv6 network, not two of one family",
)
