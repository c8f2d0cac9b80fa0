"""The client's ``wg0.conf``, in the syntax of ``wg-quick`` (man 8 wg-quick, man 8 wg)."""

from __future__ import annotations

import hashlib

from ..api.peer import ClientSettings
from ..api.server import ServerSpec
from .key_ring import ClientKeys

DEFAULT_MTU = 1420
EVERYTHING = ("0.0.0.0/0", "::/0")


def endpoint(host: str, port: int) -> str:
    """``host:port`` as clients write it; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def render(
    server: ServerSpec,
    server_public_key: str,
    server_endpoint: str,
    client: ClientSettings,
    keys: ClientKeys,
    addresses: tuple[str, ...],
) -> str:
    """The configuration file. With a device-held key a comment stands in the place of the private key."""
    dns = client.dns if client.dns is not None else server.dns
    allowed = client.allowed_ips or server.client_allowed_ips or EVERYTHING
    keepalive = server.persistent_keepalive if client.persistent_keepalive is None else client.persistent_keepalive
    lines = ["[Interface]"]
    if keys.private is not None:
        lines.append(f"PrivateKey = {keys.private.reveal()}")
    else:
        lines.append(f"# PrivateKey = the one whose public key is {keys.public}")
    lines.append(f"Address = {', '.join(addresses)}")
    if dns:
        lines.append(f"DNS = {', '.join(dns)}")
    lines += [
        f"MTU = {client.mtu or server.mtu or DEFAULT_MTU}",
        "",
        "[Peer]",
        f"PublicKey = {server_public_key}",
    ]
    if keys.preshared is not None:
        lines.append(f"PresharedKey = {keys.preshared.reveal()}")
    lines += [f"AllowedIPs = {', '.join(allowed)}", f"Endpoint = {server_endpoint}"]
    if keepalive:
        lines.append(f"PersistentKeepalive = {keepalive}")
    return "\n".join(lines) + "\n"


def revision(config: str) -> str:
    """Changes when the client must import its configuration again. Safe to show: a hash over 256 secret bits."""
    return hashlib.sha256(config.encode()).hexdigest()[:16]
