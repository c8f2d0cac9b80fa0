"""A client's ``wg0.conf`` read back into its values.

What the operator wrote into a peer's Secret is the truth about the client's side: which key, which endpoint, which
routes. Other forms of the same configuration are made from it, and not a second time from server and peer, so that they
can never differ from what the subscriber has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface, ip_network

from .keys import Hidden, decode_key


class UnreadableConfig(ValueError):
    """The text is not a configuration as the operator writes them. The message names the line, never its value."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The values of one client configuration."""

    private_key: Hidden | None
    """None: the device keeps it."""
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    dns: tuple[str, ...]
    mtu: int
    server_public_key: str
    preshared_key: Hidden | None
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    endpoint_host: str
    endpoint_port: int
    keepalive: int
    """Seconds; 0 is off."""


def read(text: str) -> ConfigFile:
    """The values of a configuration with one peer. Raises UnreadableConfig."""
    values = _values(text)
    try:
        host, _, port = values["Endpoint"].rpartition(":")
        return ConfigFile(
            private_key=_secret(values, "PrivateKey"),
            addresses=tuple(ip_interface(item) for item in _items(values, "Address")),
            dns=_items(values, "DNS"),
            mtu=int(values["MTU"]),
            server_public_key=_public(values["PublicKey"]),
            preshared_key=_secret(values, "PresharedKey"),
            allowed_ips=tuple(ip_network(item) for item in _items(values, "AllowedIPs")),
            endpoint_host=host.removeprefix("[").removesuffix("]"),
            endpoint_port=int(port),
            keepalive=int(values.get("PersistentKeepalive", "0")),
        )
    except KeyError as error:
        raise UnreadableConfig(f"wg0.conf has no line {error.args[0]}") from None
    except ValueError:
        # Without its text, which may quote a key.
        raise UnreadableConfig("wg0.conf has a value that cannot be read") from None


def _values(text: str) -> dict[str, str]:
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith(("#", "[")):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise UnreadableConfig(f"line {number} of wg0.conf is no setting")
        values[name.strip()] = value.strip()
    return values


def _items(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(item for part in values.get(name, "").split(",") if (item := part.strip()))


def _secret(values: Mapping[str, str], name: str) -> Hidden | None:
    return Hidden(_public(values[name])) if name in values else None


def _public(text: str) -> str:
    decode_key(text)
    return text
