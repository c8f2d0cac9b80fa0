"""Client configurations with their exact text and what WireGuard must make of them, and any others for hypothesis.

The unit tests compare the text, the cluster tests ask the real tools; so what is compared is what was proven.
"""

import base64
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from string import ascii_lowercase, digits
from typing import Any

from hypothesis import strategies as st

from wireguard_operator.api.peer import ClientSettings
from wireguard_operator.api.server import ServerSpec
from wireguard_operator.domain.client_config import endpoint, render
from wireguard_operator.domain.key_ring import ClientKeys
from wireguard_operator.domain.keys import Hidden, KeyPair, pair_of


def key(number: int) -> str:
    """A key's text; every number has its own."""
    return base64.b64encode(bytes([number]) * 32).decode()


SERVER_PAIR, PEER_PAIR = pair_of(Hidden(key(1))), pair_of(Hidden(key(2)))
PRESHARED = Hidden(key(3))
SERVER_KEY, PEER_PUBLIC, PEER_PRIVATE = SERVER_PAIR.public, PEER_PAIR.public, PEER_PAIR.private.reveal()

HOST, HOST_ADDRESS = "vpn.example.net", "192.0.2.1"
"""The name that servers have here, and what it resolves to (RFC 5737)."""

LEAST_SERVER = {
    "endpoint": {"host": HOST},
    "networks": ["10.8.0.0/24"],
    "dataPlane": {"type": "Host", "host": {"url": "https://192.0.2.1:8443"}},
}


@dataclass(frozen=True)
class Settings:
    """All that a configuration is made from."""

    server: ServerSpec
    client: ClientSettings
    keys: ClientKeys
    addresses: tuple[str, ...]
    server_key: str = SERVER_KEY

    @property
    def endpoint(self) -> str:
        assert self.server.endpoint is not None
        return endpoint(self.server.endpoint.host, self.server.endpoint.port or self.server.listen_port)

    @property
    def text(self) -> str:
        return render(self.server, self.server_key, self.endpoint, self.client, self.keys, self.addresses)


def settings(
    server: dict[str, Any] | None = None,
    client: dict[str, Any] | None = None,
    *,
    pair: KeyPair = PEER_PAIR,
    device_held: bool = False,
    preshared: Hidden | None = None,
    addresses: tuple[str, ...] = ("10.8.0.2/32",),
) -> Settings:
    """Settings with fields as they stand in objects; what is not named has its default."""
    return Settings(
        ServerSpec.model_validate(LEAST_SERVER | (server or {})),
        ClientSettings.model_validate(client or {}),
        ClientKeys(pair.public, None if device_held else pair.private, preshared),
        addresses,
    )


@dataclass(frozen=True)
class Case:
    """Settings, the text that they make, and what ``wg show`` says of it."""

    settings: Settings
    text: str
    endpoint: str = f"{HOST_ADDRESS}:51820"
    allowed: tuple[str, ...] = ("0.0.0.0/0", "::/0")
    keepalive: str = "25"


CASES = {
    "defaults": Case(
        settings(),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
PersistentKeepalive = 25
""",
    ),
    "IPv4 only": Case(
        settings(
            {"endpoint": {"host": "192.0.2.7"}, "dns": ["10.8.0.1"], "clientAllowedIPs": ["0.0.0.0/0"]},
            preshared=PRESHARED,
        ),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
DNS = 10.8.0.1
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
PresharedKey = {PRESHARED.reveal()}
AllowedIPs = 0.0.0.0/0
Endpoint = 192.0.2.7:51820
PersistentKeepalive = 25
""",
        endpoint="192.0.2.7:51820",
        allowed=("0.0.0.0/0",),
    ),
    "dual stack": Case(
        settings(
            {"networks": ["10.8.0.0/24", "fd00:8::/64"], "dns": ["10.8.0.1", "fd00:8::1", "corp.example"]},
            addresses=("10.8.0.2/32", "fd00:8::2/128"),
        ),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32, fd00:8::2/128
DNS = 10.8.0.1, fd00:8::1, corp.example
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
PersistentKeepalive = 25
""",
    ),
    "IPv6 only, IPv6 endpoint in brackets": Case(
        settings(
            {
                "endpoint": {"host": "2001:db8::7"},
                "networks": ["fd00:8::/64"],
                "listenPort": 4500,
                "clientAllowedIPs": ["fd00:8::/64"],
            },
            addresses=("fd00:8::2/128",),
        ),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = fd00:8::2/128
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = fd00:8::/64
Endpoint = [2001:db8::7]:4500
PersistentKeepalive = 25
""",
        endpoint="[2001:db8::7]:4500",
        allowed=("fd00:8::/64",),
    ),
    "port forwarding": Case(
        settings({"endpoint": {"host": HOST, "port": 443}, "listenPort": 51821}),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:443
PersistentKeepalive = 25
""",
        endpoint=f"{HOST_ADDRESS}:443",
    ),
    "the server's settings": Case(
        settings(
            {"dns": ["9.9.9.9"], "mtu": 1380, "clientAllowedIPs": ["10.0.0.0/8"], "persistentKeepalive": 60},
        ),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
DNS = 9.9.9.9
MTU = 1380

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 10.0.0.0/8
Endpoint = vpn.example.net:51820
PersistentKeepalive = 60
""",
        allowed=("10.0.0.0/8",),
        keepalive="60",
    ),
    "the peer's settings instead of the server's": Case(
        settings(
            {"dns": ["9.9.9.9"], "mtu": 1380, "clientAllowedIPs": ["10.0.0.0/8"], "persistentKeepalive": 60},
            {
                "dns": ["10.8.0.1", "home.example"],
                "allowedIPs": ["10.8.0.0/24", "192.168.7.0/24"],
                "mtu": 1280,
                "persistentKeepalive": 15,
            },
        ),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
DNS = 10.8.0.1, home.example
MTU = 1280

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 10.8.0.0/24, 192.168.7.0/24
Endpoint = vpn.example.net:51820
PersistentKeepalive = 15
""",
        allowed=("10.8.0.0/24", "192.168.7.0/24"),
        keepalive="15",
    ),
    "keepalive and DNS turned off for the peer": Case(
        settings({"dns": ["9.9.9.9"]}, {"dns": [], "persistentKeepalive": 0}),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
""",
        keepalive="off",
    ),
    "keepalive turned off for the server": Case(
        settings({"persistentKeepalive": 0}),
        f"""\
[Interface]
PrivateKey = {PEER_PRIVATE}
Address = 10.8.0.2/32
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
""",
        keepalive="off",
    ),
    "key held by the device": Case(
        settings(device_held=True, preshared=PRESHARED),
        f"""\
[Interface]
# PrivateKey = the one whose public key is {PEER_PUBLIC}
Address = 10.8.0.2/32
MTU = 1420

[Peer]
PublicKey = {SERVER_KEY}
PresharedKey = {PRESHARED.reveal()}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.net:51820
PersistentKeepalive = 25
""",
    ),
}


def long_settings(networks: int = 64) -> Settings:
    """As much as a peer may say: that many allowedIPs, half of them IPv4, and eight entries of DNS."""
    allowed = [f"2001:db8:{number:x}:8000:4000:2000:1000:0/112" for number in range(0x1000, 0x1000 + networks // 2)]
    allowed += [f"203.0.{number}.192/26" for number in range(100, 100 + networks - len(allowed))]
    dns = [f"2001:db8:53:{number}:8000:4000::53" for number in range(6)] + [
        "subscribers.isp.example",
        "corp.isp.example",
    ]
    return settings(
        {"endpoint": {"host": "2001:db8::7"}, "networks": ["10.8.0.0/24", "fd00:8::/64"]},
        {"dns": dns, "allowedIPs": allowed},
        preshared=PRESHARED,
        addresses=("10.8.0.2/32", "fd00:8::2/128"),
    )


def too_long_settings() -> Settings:
    """More than a QR code holds, though the API server takes it: 64 allowedIPs at their longest."""
    allowed = [f"2001:db8:{number:x}:9abc:def0:1234:5678:9abc/128" for number in range(0x1000, 0x1040)]
    return settings(client={"allowedIPs": allowed})


_pairs = (
    st.binary(min_size=32, max_size=32).filter(any).map(lambda raw: pair_of(Hidden(base64.b64encode(raw).decode())))
)
_preshared = st.binary(min_size=32, max_size=32).filter(any).map(lambda raw: Hidden(base64.b64encode(raw).decode()))
_ipv4 = st.integers(1, 2**32 - 1).map(lambda number: str(IPv4Address(number)))
_ipv6 = st.integers(2**112, 2**128 - 1).map(lambda number: str(IPv6Address(number)))
_label = st.text(ascii_lowercase + digits + "-", min_size=1, max_size=22).filter(
    lambda label: "-" not in (label[0], label[-1])
)
_names = st.lists(_label, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.replace(".", "").isdigit())
_networks = st.one_of(
    st.tuples(_ipv4, st.integers(0, 32)), st.tuples(st.one_of(_ipv6, st.just("::")), st.integers(0, 128))
).map(lambda pair: str(ip_network(f"{pair[0]}/{pair[1]}", strict=False)))
_spellings = st.one_of(_networks, _networks.map(lambda text: _spelt_out(text)))
_dns = st.lists(st.one_of(_ipv4, _ipv6, _names), max_size=8, unique=True)
_allowed = st.lists(_spellings, max_size=12, unique_by=ip_network)
_mtu = st.integers(1280, 9000)
_keepalive = st.one_of(st.just(0), st.integers(0, 65535))
_port = st.integers(1, 65535)
_addresses = st.tuples(
    st.one_of(st.just(()), _ipv4.map(lambda address: (f"{address}/32",))),
    st.one_of(st.just(()), _ipv6.map(lambda address: (f"{address}/128",))),
).map(lambda pair: pair[0] + pair[1])
_addressed = _addresses.filter(bool)
_hosts = {True: st.one_of(_ipv4, _ipv6, _names), False: st.one_of(_ipv4, _ipv6)}
_ports = st.fixed_dictionaries({}, optional={"port": _port})
_of_server = st.fixed_dictionaries(
    {},
    optional={
        "listenPort": _port,
        "dns": _dns,
        "mtu": _mtu,
        "clientAllowedIPs": _allowed,
        "persistentKeepalive": _keepalive,
    },
)
_of_client = st.fixed_dictionaries(
    {}, optional={"dns": _dns, "allowedIPs": _allowed, "mtu": _mtu, "persistentKeepalive": _keepalive}
)
# A device drops a peer that has the device's own key.
_both_pairs = st.lists(_pairs, min_size=2, max_size=2, unique_by=lambda pair: pair.public)
_any_preshared = st.none() | _preshared
"""All are made once: a strategy costs more than what is drawn from it."""


def _spelt_out(network: str) -> str:
    """The long spelling of an IPv6 network, which the API server takes as well."""
    parsed = ip_network(network)
    return parsed.exploded.upper() if isinstance(parsed, IPv6Network) else network


@st.composite
def any_settings(draw: st.DrawFn, *, names: bool = True) -> Settings:
    """Any settings that the API server takes. Without ``names`` the endpoint needs no resolver."""
    server: dict[str, Any] = {"endpoint": {"host": draw(_hosts[names])} | draw(_ports)} | draw(_of_server)
    client = draw(_of_client)
    pair, server_pair = draw(_both_pairs)
    return Settings(
        ServerSpec.model_validate(LEAST_SERVER | server),
        ClientSettings.model_validate(client),
        ClientKeys(pair.public, draw(st.sampled_from([pair.private, None])), draw(_any_preshared)),
        draw(_addressed),
        server_pair.public,
    )
