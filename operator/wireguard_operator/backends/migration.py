"""From what an instance of wg-easy holds to the objects that carry its clients on: same keys, addresses and endpoint.

Pure: reading is ``wg_easy_export``'s. A subscriber notices nothing, provided that the server's key comes along. What
has no counterpart is named for each client and not lost in silence.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..api.base import manifest
from ..domain.key_ring import ClientKeys
from ..domain.keys import Hidden
from ..domain.networks import Network, is_inside, parse
from ..domain.secrets import PRESHARED_KEY, PRIVATE_KEY, imported

LONGEST_NAME = 200
"""Of an object; room is left for what is appended to the names of Secrets."""
EVERYTHING = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class Client:
    """One client of wg-easy."""

    name: str
    keys: ClientKeys
    addresses: tuple[str, ...]
    routes: tuple[str, ...] = ()
    enabled: bool = True
    expires_at: str | None = None
    dns: tuple[str, ...] | None = None
    allowed_ips: tuple[str, ...] | None = None
    mtu: int | None = None
    keepalive: int | None = None
    lost: tuple[str, ...] = ()
    """Settings that have no counterpart."""


@dataclass(frozen=True, slots=True)
class Source:
    """One instance of wg-easy."""

    version: str
    host: str
    port: int
    listen_port: int
    networks: tuple[str, ...]
    public_key: str
    private_key: Hidden | None
    """None where it has to be taken from the disk of wg-easy."""
    clients: tuple[Client, ...]
    dns: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()
    mtu: int | None = None
    keepalive: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """The objects of the server or of one client, Secrets first."""

    what: str
    objects: tuple[dict[str, Any], ...]
    lost: tuple[str, ...] = field(default=())


def moves(source: Source, server: str, namespace: str, private_key: Hidden | None) -> Iterator[Move]:
    """What is to be made; ``private_key`` is the server's, None has a new one made."""
    yield _server(source, server, namespace, private_key)
    names = _names(client.name for client in source.clients)
    for client, name in zip(source.clients, names, strict=True):
        yield _peer(source, client, name, server, namespace)


def _server(source: Source, name: str, namespace: str, private_key: Hidden | None) -> Move:
    spec: dict[str, Any] = {
        "endpoint": {"host": source.host} | ({"port": source.port} if source.port != source.listen_port else {}),
        "listenPort": source.listen_port,
        "networks": list(source.networks),
        "persistentKeepalive": source.keepalive,
    }
    if source.dns:
        spec["dns"] = list(source.dns)
    if source.allowed_ips and set(source.allowed_ips) != set(EVERYTHING):
        spec["clientAllowedIPs"] = _texts(source.allowed_ips)
    if source.mtu is not None:
        spec["mtu"] = source.mtu
    objects = [manifest("WireGuardServer", namespace, name, spec)]
    if private_key is not None:
        secret = f"{name}-imported-key"
        spec["privateKeySecretRef"] = {"name": secret}
        objects.insert(0, imported(secret, namespace, {PRIVATE_KEY: private_key}))
    return Move(f"server {name}", tuple(objects), ("what its hooks (PostUp and others) do, which are not read",))


def _peer(source: Source, client: Client, name: str, server: str, namespace: str) -> Move:
    secret, keys = f"{name}-imported-keys", client.keys
    data = {PRIVATE_KEY: keys.private} if keys.private is not None else {}
    spec: dict[str, Any] = {"serverRef": {"name": server}, "addresses": list(client.addresses)}
    if keys.private is not None:
        spec["privateKeySecretRef"] = {"name": secret}
    else:
        spec["publicKey"] = keys.public
    if keys.preshared is not None:
        data[PRESHARED_KEY] = keys.preshared
        spec["presharedKey"] = {"policy": "Always", "secretRef": {"name": secret}}
    else:
        spec["presharedKey"] = {"policy": "Never"}
    routes, lost = _routes(source, client)
    if routes:
        spec["routes"] = routes
    if not client.enabled:
        spec["enabled"] = False
    if client.expires_at is not None:
        spec["expiresAt"] = client.expires_at
    routed = client.allowed_ips
    own = {
        "dns": list(client.dns) if client.dns is not None and client.dns != source.dns else None,
        "allowedIPs": _texts(routed) if routed is not None and routed != source.allowed_ips else None,
        "mtu": client.mtu if client.mtu != source.mtu else None,
        "persistentKeepalive": client.keepalive if client.keepalive != source.keepalive else None,
    }
    if own := {part: value for part, value in own.items() if value is not None}:
        spec["client"] = own
    spec["description"] = f"{client.name} (from wg-easy)"
    peer = manifest("WireGuardPeer", namespace, name, spec)
    objects = (imported(secret, namespace, data), peer) if data else (peer,)
    return Move(f"peer {name}", objects, (*client.lost, *lost))


def _routes(source: Source, client: Client) -> tuple[list[str], list[str]]:
    """What can lie behind the peer, and what cannot: everything, and what overlaps the server's networks."""
    own = parse(source.networks)
    routes, lost = list[str](), list[str]()
    for prefix in _prefixes(client.routes):
        # Of two prefixes that overlap one holds the other.
        overlaps = any(is_inside(prefix, network) or is_inside(network, prefix) for network in own)
        (lost if overlaps or not prefix.prefixlen else routes).append(str(prefix))
    return routes, [f"server allowed IP {text}" for text in lost]


def _prefixes(texts: Iterable[str]) -> list[Network]:
    """Without host bits, each once."""
    return list(dict.fromkeys(ipaddress.ip_network(text, strict=False) for text in texts))


def _texts(texts: Iterable[str]) -> list[str]:
    """As the API server wants them: with their length as well."""
    return list(map(str, _prefixes(texts)))


def _names(names: Iterable[str]) -> list[str]:
    """Names of objects, each once, that people recognise theirs in."""
    found: dict[str, None] = {}
    for name in names:
        base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LONGEST_NAME].strip("-") or "client"
        candidate, number = base, 2
        while candidate in found:
            candidate, number = f"{base}-{number}", number + 1
        found[candidate] = None
    return list(found)
