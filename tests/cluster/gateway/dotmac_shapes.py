"""What dotmac's programs expect of each answer: field by field, a type or a shape.

Three generations are told apart: the platform's backend (FTTH), its web pages where they expect something else (PAGES),
and dotmac_sub (SUB). More fields than these are welcome, other types are not.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

Shape = Any
"""A dictionary of shapes, a list with the shape of its items, a type, or a function that judges a value."""


def maybe(shape: Shape) -> Callable[[Any], bool]:
    """The shape, or null."""
    return lambda value: value is None or not list(faults(value, shape))


def one_of(*values: str) -> Callable[[Any], bool]:
    """One of these words."""
    return lambda value: value in values


def identifier(value: Any) -> bool:
    """A UUID in its usual form."""
    return isinstance(value, str) and str(uuid.UUID(value)) == value


def moment(value: Any) -> bool:
    """A time with its offset."""
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def faults(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Where the value is not of the shape."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        for name, inner in shape.items():
            if name in value:
                yield from faults(value[name], inner, f"{path}.{name}")
            else:
                yield f"{path}.{name} is missing"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no array"
            return
        for index, item in enumerate(value):
            yield from faults(item, shape[0], f"{path}[{index}]")
    elif isinstance(shape, type):
        number = (int, float) if shape is float else shape
        if (isinstance(value, bool) and shape is not bool) or not isinstance(value, number):
            yield f"{path}: {value!r} is no {shape.__name__}"
    elif not shape(value):
        yield f"{path}: {value!r} is not right"


text = maybe(str)

FTTH_SERVER = {
    "id": identifier,
    "tenant_id": identifier,
    "name": str,
    "description": text,
    "public_endpoint": text,
    "listen_port": int,
    "server_ipv4": text,
    "server_ipv6": text,
    "location": text,
    "max_peers": maybe(int),
    "dns_servers": [str],
    "allowed_ips": [str],
    "persistent_keepalive": int,
    "metadata": dict,
    "metadata_": dict,
    "public_key": text,
    "status": one_of("active", "inactive", "degraded", "maintenance"),
    "current_peers": int,
    "next_peer_ip_offset": int,
    "total_rx_bytes": int,
    "total_tx_bytes": int,
    "last_stats_update": maybe(moment),
    "utilization_percent": float,
    "has_capacity": bool,
    "is_active": bool,
    "created_at": moment,
    "updated_at": moment,
}
FTTH_PEER = {
    "id": identifier,
    "tenant_id": identifier,
    "server_id": maybe(identifier),
    "name": str,
    "description": text,
    "customer_id": text,
    "subscriber_id": text,
    "public_key": text,
    "peer_ipv4": text,
    "peer_ipv6": text,
    "allowed_ips": [str],
    "expires_at": maybe(moment),
    "metadata_": dict,
    "notes": text,
    "status": one_of("active", "inactive", "disabled", "expired", "suspended"),
    "enabled": bool,
    "last_handshake": maybe(moment),
    "endpoint": text,
    "rx_bytes": int,
    "tx_bytes": int,
    "total_bytes": int,
    "is_active": bool,
    "is_expired": bool,
    "is_online": bool,
    "created_at": moment,
    "updated_at": moment,
}
PAGES_PEER = FTTH_PEER | {"peer_ip": text, "peer_name": str, "expiration_date": maybe(moment)}
FTTH_CONFIG = {"peer_id": identifier, "peer_name": str, "config_file": str, "created_at": moment}
PAGES_QR = {"peer_id": identifier, "peer_name": str, "qr_code": str, "created_at": moment}
HEALTH = {
    "server_id": identifier,
    "status": str,
    "healthy": bool,
    "interface_status": str,
    "capacity_utilization": float,
    "issues": [str],
    "timestamp": moment,
}
DASHBOARD = {
    "servers": {"total": int, "by_status": dict},
    "peers": {"total": int, "by_status": dict, "online": int, "offline": int},
    "traffic": {"total_rx_bytes": int, "total_tx_bytes": int},
    "timestamp": moment,
}
BULK = {"created": int, "failed": int, "peers": [FTTH_PEER], "errors": [{"index": int, "error": str}]}
PROVISIONED = {"server": FTTH_SERVER, "peer": FTTH_PEER, "config_file": str, "message": str}
SUB_PEER = {"id": identifier, "name": str, "metadata": dict, "peer_address": text, "has_private_key": bool}
