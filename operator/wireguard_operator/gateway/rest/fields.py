"""The types of fields that requests share. What is wrong is told with the field, and with what would be right."""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

MAX_METADATA = 16384
"""Bytes of metadata as JSON; all annotations of an object may have 256 KiB together."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must be one line of text without control characters")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _split(value: Any) -> Any:
    """Some clients send a list as text, as it stands in a wg0.conf."""
    if isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value) if part]
    return value


def _networks(values: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for value in values:
        try:
            network = ipaddress.ip_interface(value).network
        except ValueError:
            raise ValueError(f"{value[:64]!r} is not a network in CIDR notation, e.g. 10.8.0.0/24") from None
        if "/" in value and ipaddress.ip_interface(value).ip != network.network_address:
            raise ValueError(f"{value} has host bits set: {network} would be the network")
        found[str(network)] = None
    return list(found)


def _address(value: str) -> str:
    """An address, with or without the prefix length of a single one."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise ValueError(f"{value[:64]!r} is not an IP address, e.g. 10.8.0.2/32") from None
    if interface.network.num_addresses != 1:
        raise ValueError(f"a peer has a single address: {interface.ip}/{interface.max_prefixlen}, not {value}")
    return str(interface.ip)


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    try:
        size = len(json.dumps(value, allow_nan=False))
    except ValueError:
        raise ValueError("must be JSON: NaN and Infinity are not") from None
    if size > MAX_METADATA:
        raise ValueError(f"has {size} bytes as JSON, and {MAX_METADATA} is the most")
    return value


def _utc(value: datetime) -> datetime:
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ValueError("must be a time from 1970 to 9999, e.g. 2030-01-01T00:00:00Z") from None


def _within(value: datetime) -> datetime:
    if value.year < 1970:
        raise ValueError("must be a time from 1970 to 9999, e.g. 2030-01-01T00:00:00Z")
    return value


Name = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_line)]
Identifier = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_line)]
Text = Annotated[str, Field(max_length=1024)]
Networks = Annotated[
    list[str],
    BeforeValidator(_split, json_schema_input_type=list[str] | str),
    Field(max_length=64, examples=[["0.0.0.0/0", "::/0"]]),
    AfterValidator(_networks),
]
"""A list, or one text with commas."""
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=253)]],
    BeforeValidator(_split, json_schema_input_type=list[str] | str),
    Field(max_length=8, examples=[["9.9.9.9", "2620:fe::fe"]]),
]
"""DNS servers and search domains: a list, or one text with commas."""
Address = Annotated[str, AfterValidator(_address)]
Moment = Annotated[datetime, AfterValidator(_utc), AfterValidator(_within), Field(examples=["2030-01-01T00:00:00Z"])]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata), Field(examples=[{"plan": "gold"}])]
