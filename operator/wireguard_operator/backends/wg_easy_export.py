"""Reads all of an instance of wg-easy, 15 or 14, to be carried on elsewhere. Changes nothing there.

15 hands out the keys of clients one by one, and its own private key never: that is in /etc/wireguard/wg0.conf. 14 has
a backup with all of it, but knows its endpoint from the environment alone: it is read off a client's configuration.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from ..domain.key_ring import ClientKeys
from ..domain.keys import Hidden, pair_of
from .errors import Denied, Rejected, Unsuitable
from .migration import Client, Source
from .web import Credentials, Web, expect, said
from .wg_easy import INFORMATION, WGEasy, keys_of

HOOKS = ("preUp", "postUp", "preDown", "postDown")
OBFUSCATION = ("i1", "i2", "i3", "i4", "i5")
DEFAULT_PREFIX = 24
"""Of 14, which gives out addresses of a /24 only."""


async def read_all(url: str, credentials: Credentials) -> Source:
    """All that is there. Raises SystemError."""
    web = Web(url, credentials.authority)
    try:
        if (await web.read(INFORMATION)).status == 200:
            return await _read_15(url, credentials)
        return await _read_14(web, url, credentials)
    finally:
        await web.close()


async def _read_15(url: str, credentials: Credentials) -> Source:
    system = WGEasy(url, credentials)
    try:
        site = await system.identify()
        interface, user = await system.settings()
        clients = [await system.client(str(entry["id"])) for entry in await system.clients()]
    finally:
        await system.close()
    if site.public_key is None:
        raise Unsuitable("wg-easy does not say its public key")
    return Source(
        version=site.version,
        host=str(user["host"]),
        port=int(user["port"]),
        listen_port=int(interface["port"]),
        networks=tuple(str(ipaddress.ip_network(text, strict=False)) for text in site.networks),
        public_key=site.public_key,
        private_key=None,
        clients=tuple(map(_client_15, clients)),
        dns=tuple(user.get("defaultDns") or ()),
        allowed_ips=tuple(user.get("defaultAllowedIps") or ()),
        mtu=user.get("defaultMtu"),
        keepalive=int(user.get("defaultPersistentKeepalive") or 0),
    )


def _client_15(client: dict[str, Any]) -> Client:
    lost = [hook for hook in HOOKS if client.get(hook)]
    lost += [part for part in ("firewallIps", "serverEndpoint", *OBFUSCATION) if client.get(part)]
    return Client(
        name=str(client["name"]),
        keys=keys_of(client),
        addresses=tuple(str(client[part]) for part in ("ipv4Address", "ipv6Address") if client.get(part)),
        routes=tuple(client.get("serverAllowedIps") or ()),
        enabled=bool(client["enabled"]),
        expires_at=client.get("expiresAt"),
        dns=_list(client.get("dns")),
        allowed_ips=_list(client.get("allowedIps")),
        mtu=client.get("mtu"),
        keepalive=client.get("persistentKeepalive"),
        lost=tuple(lost),
    )


async def _read_14(web: Web, url: str, credentials: Credentials) -> Source:
    answer = await web.write("POST", "/api/session", {"password": credentials.password.reveal(), "remember": False})
    if answer.status in (401, 403):
        raise Denied(f"wg-easy does not accept the password: {said(answer)}")
    if answer.status not in (200, 204):
        raise Unsuitable(f"{url} answers neither as wg-easy 15 nor as 14 does")
    backup = expect(await web.read("/api/wireguard/backup"), "GET /api/wireguard/backup")
    try:
        server, clients = backup["server"], backup["clients"]
        address = ipaddress.ip_interface(f"{server['address']}/{DEFAULT_PREFIX}")
        found = tuple(_client_14(client) for client in clients.values())
        example = await web.read_text(f"/api/wireguard/client/{next(iter(clients))}/configuration") if clients else ""
        settings = _settings(example)
        host, _, port = settings.get("Endpoint", "").rpartition(":")
        return Source(
            version="14",
            host=host.strip("[]"),
            port=int(port or 51820),
            listen_port=51820,
            networks=(str(address.network),),
            public_key=str(server["publicKey"]),
            private_key=Hidden(str(server["privateKey"])),
            clients=found,
            dns=_split(settings.get("DNS")),
            allowed_ips=_split(settings.get("AllowedIPs")),
            mtu=int(settings["MTU"]) if "MTU" in settings else None,
            keepalive=int(settings.get("PersistentKeepalive", "0")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unsuitable(f"the backup of {url} has another form than that of wg-easy 14") from None


def _client_14(client: dict[str, Any]) -> Client:
    preshared = client.get("preSharedKey")
    pair = pair_of(Hidden(str(client["privateKey"]))) if client.get("privateKey") else None
    if pair is None and not client.get("publicKey"):
        raise Rejected("a client has no key")
    return Client(
        name=str(client["name"]),
        keys=ClientKeys(
            pair.public if pair is not None else str(client["publicKey"]),
            pair.private if pair is not None else None,
            Hidden(str(preshared)) if preshared else None,
        ),
        addresses=(str(client["address"]),),
        enabled=bool(client.get("enabled", True)),
        expires_at=client.get("expiredAt"),
    )


def _settings(configuration: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in configuration.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _list(value: object) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, list) else None
