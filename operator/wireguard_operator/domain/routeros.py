r"""A client's configuration as a script for MikroTik's RouterOS 7, which knows no ``wg0.conf``.

The script may be imported any number of times: it makes what is missing, sets what is there, and what an earlier
version of it made and this one does not is removed. It knows its own by the comment on each line that it made, and
touches nothing else on the router.

Names come from people, and a script is code. So every text stands in quotes, and all but a few plain characters in it
are written as ``\XX``, the hexadecimal form that RouterOS has for bytes in strings: no name can end its string, refer
to a variable (``$``) or call a command (``[``).
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from .config_file import ConfigFile

_PLAIN = frozenset(string.ascii_letters + string.digits + " ._-/:,=+@")
NAME_LENGTH = 32
"""Longer names of interfaces are cut off in RouterOS's own tables."""
MARK = "wireguard-operator"


def quote(text: str) -> str:
    """A string of RouterOS's scripting language."""
    parts = (char if char in _PLAIN else "".join(f"\\{byte:02X}" for byte in char.encode()) for char in text)
    return '"' + "".join(parts) + '"'


def interface_name(peer: str) -> str:
    """The interface of a peer's tunnel; that of a long name ends in a hash, so that no two are the same."""
    name = f"wg-{peer}"
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 9]}-{hashlib.sha256(peer.encode()).hexdigest()[:8]}"


def script(peer: str, tenant: str, config: ConfigFile) -> str:
    """The script that makes the tunnel of ``peer``. Holds the private key unless the device keeps it."""
    return "\n".join(_lines(interface_name(peer), f"{MARK} {tenant}/{peer}", config)) + "\n"


def _lines(interface: str, mark: str, config: ConfigFile) -> Iterator[str]:
    """Each line with its whole path, so that it means the same wherever it stands."""
    name, comment = quote(interface), quote(mark)
    yield "# WireGuard tunnel for RouterOS 7.1 or later. Import it with: /import file-name=<this file>"
    yield "# It can be imported again at any time; it changes nothing that it did not make."
    if config.dns:
        yield f"# DNS servers of the provider, which the script does not set: {', '.join(map(_safe, config.dns))}"
    menu = "/interface wireguard"
    yield f":if ([:len [{menu} find where name={name}]] = 0) do={{ {menu} add name={name} comment={comment} }}"
    settings = [f"mtu={config.mtu}", "disabled=no", f"comment={comment}"]
    if config.private_key is not None:
        settings.append(f"private-key={quote(config.private_key.reveal())}")
    else:
        yield "# The router keeps its own private key. The provider has to know the public key that this shows:"
        yield f":put [{menu} get [find where name={name}] public-key]"
    yield f"{menu} set [find where name={name}] {' '.join(settings)}"
    yield f"{menu} peers remove [find where interface={name}]"
    yield f"{menu} peers add {' '.join(_peer(name, comment, config))}"
    yield from _addresses(name, comment, config)
    yield from _routes(name, comment, config)


def _peer(name: str, comment: str, config: ConfigFile) -> Iterator[str]:
    yield f"interface={name}"
    yield f"public-key={quote(config.server_public_key)}"
    if config.preshared_key is not None:
        yield f"preshared-key={quote(config.preshared_key.reveal())}"
    yield f"endpoint-address={quote(config.endpoint_host)}"
    yield f"endpoint-port={config.endpoint_port}"
    yield f"allowed-address={','.join(map(str, config.allowed_ips))}"
    if config.keepalive:
        yield f"persistent-keepalive={config.keepalive}s"
    yield f"comment={comment}"


def _addresses(name: str, comment: str, config: ConfigFile) -> Iterator[str]:
    for version, menu, more in ((4, "/ip address", ""), (6, "/ipv6 address", " advertise=no")):
        # Also when there is none: an earlier import may have made one.
        yield f"{menu} remove [find where comment={comment}]"
        for address in config.addresses:
            if address.version == version:
                yield f"{menu} add address={address} interface={name}{more} comment={comment}"


def _routes(name: str, comment: str, config: ConfigFile) -> Iterator[str]:
    """A default route is made switched off: with it the tunnel's own packets would go into the tunnel."""
    for version, menu in ((4, "/ip route"), (6, "/ipv6 route")):
        routes = [network for network in config.allowed_ips if network.version == version]
        kept = "".join(f" and dst-address!={network}" for network in routes)
        yield f"{menu} remove [find where comment={comment}{kept}]"
        for network in routes:
            if not network.prefixlen:
                yield "# Everything through the tunnel: first give the server's address a route of its own, then enable"
            yield (
                f":if ([:len [{menu} find where comment={comment} and dst-address={network}]] = 0)"
                f" do={{ {menu} add dst-address={network} gateway={name}{_off(network)} comment={comment} }}"
            )


def _off(network: IPv4Network | IPv6Network) -> str:
    return "" if network.prefixlen else " disabled=yes"


def _safe(text: str) -> str:
    """For a comment line, which nothing but a line break can leave."""
    return "".join(char for char in text if char in _PLAIN)
