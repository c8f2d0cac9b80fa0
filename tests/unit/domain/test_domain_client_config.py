"""The client's configuration: its exact text, and that nothing is lost or made up on the way into it."""

import base64
import re
from dataclasses import dataclass, replace
from ipaddress import ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.client_configs import CASES, PEER_PRIVATE, PRESHARED, Case, Settings, any_settings, key, settings
from wireguard_operator.domain.client_config import revision
from wireguard_operator.domain.keys import Hidden, generate_pair, pair_of


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_text_is_exactly_this(case: Case) -> None:
    assert case.settings.text == case.text


def test_a_private_key_that_is_not_known_leaves_a_comment_that_names_the_public_one() -> None:
    pair = generate_pair()
    text = settings(pair=pair, device_held=True).text
    assert [line for line in text.splitlines() if "PrivateKey" in line] == [
        f"# PrivateKey = the one whose public key is {pair.public}"
    ]
    assert pair.private.reveal() not in text


# What a strict reader makes of a configuration. -------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """A configuration's values; None where a line is absent."""

    private: str | None
    addresses: tuple[Any, ...]
    dns: tuple[str, ...]
    mtu: int
    public: str
    preshared: str | None
    allowed: tuple[Any, ...]
    endpoint: tuple[str, int]
    keepalive: int | None


LINES = {
    "[Interface]": ("PrivateKey", "Address", "DNS", "MTU"),
    "[Peer]": ("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"),
}
COMMENT = re.compile(r"# PrivateKey = the one whose public key is [A-Za-z0-9+/]{43}=")
ENDPOINT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([a-z0-9.-]+)):([1-9][0-9]*)")


def read(text: str) -> Read:
    """Both sections once, each line once and in its order, and not a character more."""
    assert text.endswith("\n") and not text.endswith("\n\n")
    values: dict[str, str] = {}
    sections = text[:-1].split("\n\n")
    assert len(sections) == len(LINES)
    for section, (title, known) in zip(sections, LINES.items(), strict=True):
        first, *lines = section.split("\n")
        assert first == title
        lines = [line for line in lines if not COMMENT.fullmatch(line)]
        pairs = [line.split(" = ", 1) for line in lines]
        names = [name for name, _ in pairs]
        assert names == [name for name in known if name in names]
        for name, value in pairs:
            assert value and value == value.strip() and "#" not in value
            values[name] = value
    match = ENDPOINT.fullmatch(values["Endpoint"])
    assert match is not None
    return Read(
        private=key_of(values.get("PrivateKey")),
        addresses=tuple(ip_interface(entry) for entry in values["Address"].split(", ")),
        dns=tuple(values["DNS"].split(", ")) if "DNS" in values else (),
        mtu=int(values["MTU"]),
        public=key_of(values["PublicKey"]) or "",
        preshared=key_of(values.get("PresharedKey")),
        allowed=tuple(ip_network(entry) for entry in values["AllowedIPs"].split(", ")),
        endpoint=(match[1] or match[2], int(match[3])),
        keepalive=int(values["PersistentKeepalive"]) if "PersistentKeepalive" in values else None,
    )


def key_of(value: str | None) -> str | None:
    assert value is None or len(base64.b64decode(value, validate=True)) == 32
    return value


def wanted(asked: Settings) -> Read:
    """What must be read: the peer's word, else the server's, else the default."""
    server, client, keys = asked.server, asked.client, asked.keys

    def first(*values: Any) -> Any:
        return next(value for value in values if value is not None)

    return Read(
        private=keys.private.reveal() if keys.private else None,
        addresses=tuple(ip_interface(address) for address in asked.addresses),
        dns=first(client.dns, server.dns),
        mtu=first(client.mtu, server.mtu, 1420),
        public=asked.server_key,
        preshared=keys.preshared.reveal() if keys.preshared else None,
        allowed=tuple(
            ip_network(entry)
            for entry in first(client.allowed_ips or None, server.client_allowed_ips or None, ("0.0.0.0/0", "::/0"))
        ),
        endpoint=(server.endpoint.host, first(server.endpoint.port, server.listen_port)),
        keepalive=first(client.persistent_keepalive, server.persistent_keepalive) or None,
    )


@given(any_settings())
@hypothesis_settings(max_examples=200, deadline=None)
def test_a_strict_reader_reads_back_what_was_asked(asked: Settings) -> None:
    assert read(asked.text) == wanted(asked)


@given(any_settings(), any_settings(), st.sampled_from(["server", "client", "keys", "addresses", "server_key", None]))
@hypothesis_settings(max_examples=200, deadline=None)
def test_the_revision_changes_if_and_only_if_the_text_does(one: Settings, two: Settings, changed: str | None) -> None:
    other = replace(one, **{changed: getattr(two, changed)}) if changed else replace(one)
    assert (revision(one.text) == revision(other.text)) == (one.text == other.text)


@pytest.mark.parametrize(
    "changed",
    [
        settings({"endpoint": {"host": "vpn2.example.net"}}),
        settings({"endpoint": {"host": "vpn.example.net", "port": 443}}),
        settings({"listenPort": 443}),
        settings({"dns": ["9.9.9.9"]}),
        settings({"mtu": 1280}),
        settings({"clientAllowedIPs": ["10.0.0.0/8"]}),
        settings({"persistentKeepalive": 0}),
        settings(client={"dns": ["9.9.9.9"]}),
        settings(client={"mtu": 1280}),
        settings(client={"allowedIPs": ["10.0.0.0/8"]}),
        settings(client={"persistentKeepalive": 0}),
        settings(addresses=("10.8.0.3/32",)),
        settings(pair=pair_of(Hidden(key(9)))),
        settings(preshared=PRESHARED),
        settings(device_held=True),
        replace(settings(), server_key=pair_of(Hidden(key(8))).public),
    ],
)
def test_whatever_the_client_must_import_again_makes_a_new_revision(changed: Settings) -> None:
    assert revision(changed.text) != revision(settings().text)


@pytest.mark.parametrize(
    "changed",
    [
        settings({"listenPort": 51821, "endpoint": {"host": "vpn.example.net", "port": 51820}}),
        settings({"dns": ["9.9.9.9"]}, {"dns": []}),
        settings({"mtu": 1280}, {"mtu": 1420}),
        settings({"maxPeers": 7, "enabled": False, "reserved": ["10.8.0.128/25"]}),
    ],
)
def test_what_the_client_does_not_see_leaves_the_revision(changed: Settings) -> None:
    assert revision(changed.text) == revision(settings().text)


def test_a_revision_shows_nothing_of_the_configuration_and_fits_into_a_status() -> None:
    shown = revision(settings().text)
    assert re.fullmatch(r"[0-9a-f]{16}", shown) and shown not in base64.b64decode(PEER_PRIVATE).hex()
