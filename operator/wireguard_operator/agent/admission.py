"""Which of the desired peers can go on the device, and what each of them brings: a pure decision.

The device itself is a poor judge. It gives an allowed IP to whoever asks last, without a word, and stops a
batch at the first line that it cannot read. So each peer is checked here first, one prefix has one owner, and the
peer that comes later is refused with a reason.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Iterable, Mapping

from ..domain.device import DevicePeer, Interface
from ..domain.keys import Hidden, InvalidKeyError, decode_key, pair_of
from .prefix import Prefix

MTU_RANGE = range(576, 65536)
"""RFC 791 asks hosts for 576 at least; IPv6 for 1280 (RFC 8200 section 5), checked where there are IPv6 addresses."""


def interface_problem(interface: Interface) -> str | None:
    """Why no device can be made so, or None. The text holds no secret."""
    try:
        decode_key(interface.private_key)
    except InvalidKeyError as error:
        return f"interface.private_key is {error}"
    if not 0 < interface.listen_port < 65536:
        return "interface.listen_port must be 1 to 65535"
    try:
        versions = {ipaddress.ip_interface(address).version for address in interface.addresses}
    except ValueError:
        return "interface.addresses must be addresses with the prefix length of the network, such as 10.8.0.1/24"
    if interface.mtu not in MTU_RANGE or (6 in versions and interface.mtu < 1280):
        return "interface.mtu must be 576 to 65535, and 1280 or more with IPv6"
    return None


class Admission:
    """The desired peers that passed, normalised, for one interface."""

    def __init__(self, interface: Interface, peers: Iterable[DevicePeer] = ()) -> None:
        """``interface`` must have no ``interface_problem``."""
        self._own_key = pair_of(Hidden(interface.private_key)).public
        self._own_networks = [Prefix.parse(text) for text in interface.addresses]
        self._peers: dict[str, DevicePeer] = {}
        self._owners: dict[str, str] = {}
        self._routes: dict[str, None] = {}
        self.refused: dict[str, str] = {}
        """Public key → reason."""
        self.change(peers)

    @property
    def peers(self) -> Mapping[str, DevicePeer]:
        """The peers that passed, by public key, their allowed IPs as the device prints them."""
        return self._peers

    @property
    def routes(self) -> Iterable[str]:
        """Prefixes that need a route on the device, because no network of the interface holds them."""
        return self._routes.keys()

    def owner(self, network: str) -> str | None:
        """The public key of the peer that a (normalised) prefix belongs to."""
        return self._owners.get(network)

    def change(self, upsert: Iterable[DevicePeer], remove: Iterable[str] = ()) -> None:
        """Let go of ``remove`` and of the old forms of ``upsert``, then take in what passes.

        All old forms go first, so that prefixes can change hands within one call whatever the order.
        """
        upsert = tuple(upsert)
        for key in (*remove, *(peer.public_key for peer in upsert)):
            self._drop(key)
        for peer in upsert:
            self._admit(peer)

    def _drop(self, key: str) -> None:
        self.refused.pop(key, None)
        old = self._peers.pop(key, None)
        for network in old.allowed_ips if old else ():
            del self._owners[network]
            self._routes.pop(network, None)

    def _admit(self, peer: DevicePeer) -> None:
        key = peer.public_key
        problem = _key_problem(peer, self._own_key)
        prefixes: dict[str, Prefix] = {}
        for text in peer.allowed_ips if not problem else ():
            try:
                prefix = Prefix.parse(text)
            except ValueError:
                problem = f"allowed IP {text[:64]!r} is not an IP prefix"
                break
            if not _is_routable(prefix):
                problem = f"allowed IP {text[:64]!r}: IPv4-mapped and scoped addresses cannot be routed to a peer"
                break
            if (owner := self._owners.get(prefix.text)) is not None:
                problem = f"allowed IP {prefix.text} belongs to peer {owner}"
                break
            prefixes[prefix.text] = prefix
        if problem:
            self.refused[key] = problem
            return
        self._peers[key] = DevicePeer(key, tuple(prefixes), peer.preshared_key, peer.policy)
        for text, prefix in prefixes.items():
            self._owners[text] = key
            # A subscriber's default route must not become the server's own.
            if prefix.length and not any(own.holds(prefix) for own in self._own_networks):
                self._routes[text] = None


def _is_routable(prefix: Prefix) -> bool:
    # ::ffff:0:0/96 (RFC 4291, section 2.5.5.2) and a zone (RFC 4007), which stays in the text.
    return prefix.version == 4 or (prefix.first >> 32 != 0xFFFF and "%" not in prefix.text)


def _key_problem(peer: DevicePeer, own_key: str) -> str | None:
    if problem := _text_problem(peer.public_key):
        return f"public key is {problem}"
    if peer.public_key == own_key:
        return "public key is the server's own; the client needs a key pair of its own"
    if peer.preshared_key is not None and (problem := _text_problem(peer.preshared_key)):
        return f"preshared key is {problem}"
    return None


def _text_problem(key: str) -> str | None:
    """Keys are compared as texts with what the device prints, so each key must have one text only."""
    try:
        raw = decode_key(key)
    except InvalidKeyError as error:
        return str(error)
    return None if b64encode(raw).decode() == key else "not in the form in which `wg` prints it"
