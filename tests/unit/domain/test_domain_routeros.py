"""The script for RouterOS: its exact text, that it can be imported again, and that no name becomes a command."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.client_configs import CASES, PEER_PRIVATE, PRESHARED, SERVER_KEY, Case, Settings, settings
from wireguard_operator.domain import config_file, routeros

STRING = re.compile(r'"(?:[A-Za-z0-9 ._/:,=+@-]|\\[0-9A-F]{2})*"')


def script(chosen: Settings, peer: str = "alice") -> str:
    return routeros.script(peer, "isp", config_file.read(chosen.text))


def unquote(text: str) -> str:
    """What RouterOS makes of a string."""
    raw = re.sub(rb"\\([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), text[1:-1].encode())
    return raw.decode()


def test_the_text_is_exactly_this() -> None:
    chosen = settings(
        {"dns": ["10.8.0.1"], "networks": ["10.8.0.0/24", "fd00:8::/64"]},
        {"allowedIPs": ["10.0.0.0/8", "::/0"]},
        preshared=PRESHARED,
        addresses=("10.8.0.2/32", "fd00:8::2/128"),
    )
    preshared, public, private = PRESHARED.reveal(), SERVER_KEY, PEER_PRIVATE
    comment = 'comment="wireguard-operator isp/alice"'
    wanted = f"""\
# WireGuard tunnel for RouterOS 7.1 or later. Import it with: /import file-name=<this file>
# It can be imported again at any time; it changes nothing that it did not make.
# DNS servers of the provider, which the script does not set: 10.8.0.1
:if ([:len [/interface wireguard find where name="wg-alice"]] = 0) do={{ /interface wireguard add name="wg-alice" \
{comment} }}
/interface wireguard set [find where name="wg-alice"] mtu=1420 disabled=no {comment} private-key="{private}"
/interface wireguard peers remove [find where interface="wg-alice"]
/interface wireguard peers add interface="wg-alice" public-key="{public}" preshared-key="{preshared}" \
endpoint-address="vpn.example.net" endpoint-port=51820 allowed-address=10.0.0.0/8,::/0 \
persistent-keepalive=25s {comment}
/ip address remove [find where {comment}]
/ip address add address=10.8.0.2/32 interface="wg-alice" {comment}
/ipv6 address remove [find where {comment}]
/ipv6 address add address=fd00:8::2/128 interface="wg-alice" advertise=no {comment}
/ip route remove [find where {comment} and dst-address!=10.0.0.0/8]
:if ([:len [/ip route find where {comment} and dst-address=10.0.0.0/8]] = 0) do={{ /ip route add \
dst-address=10.0.0.0/8 gateway="wg-alice" {comment} }}
/ipv6 route remove [find where {comment} and dst-address!=::/0]
# Everything through the tunnel: first give the server's address a route of its own, then enable
:if ([:len [/ipv6 route find where {comment} and dst-address=::/0]] = 0) do={{ /ipv6 route add \
dst-address=::/0 gateway="wg-alice" disabled=yes {comment} }}
"""
    assert script(chosen) == wanted


def test_a_key_that_the_router_keeps_is_shown_instead_of_set() -> None:
    text = script(settings(device_held=True))
    assert "private-key" not in text
    assert ':put [/interface wireguard get [find where name="wg-alice"] public-key]' in text


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_nothing_of_a_configuration_is_lost(case: Case) -> None:
    config, text = config_file.read(case.settings.text), script(case.settings)
    values = [config.server_public_key, config.endpoint_host, *map(str, (*config.addresses, *config.allowed_ips))]
    values += [key.reveal() for key in (config.private_key, config.preshared_key) if key is not None]
    assert [value for value in values if value not in text] == []
    assert ("persistent-keepalive=" in text) is (case.keepalive != "off")
    assert f"mtu={config.mtu} " in text


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_whatever_is_added_is_first_looked_for_or_removed(case: Case) -> None:
    lines = script(case.settings).splitlines()
    added = [(number, line) for number, line in enumerate(lines) if " add " in line]
    assert len(added) >= 3
    for number, line in added:
        menu = line.partition("do={ ")[2].partition(" add ")[0] or line.partition(" add ")[0]
        removed = any(earlier.startswith(f"{menu} remove [find where ") for earlier in lines[:number])
        assert removed or line.startswith(f":if ([:len [{menu} find where ")


@given(st.text(max_size=40))
def test_a_text_in_quotes_is_the_text_and_nothing_else(text: str) -> None:
    quoted = routeros.quote(text.encode("utf-8", "ignore").decode())
    assert STRING.fullmatch(quoted)
    assert unquote(quoted) == text.encode("utf-8", "ignore").decode()


@given(st.text(st.sampled_from('"\\$[]{}();#\n\r?a '), max_size=30))
def test_no_name_leaves_its_string(name: str) -> None:
    text = routeros.script(name, name, config_file.read(settings().text))
    plain = routeros.script("alice", "isp", config_file.read(settings().text))
    assert STRING.sub("S", text) == STRING.sub("S", plain)


@given(st.lists(st.text(st.sampled_from("abc-."), min_size=1, max_size=80), min_size=2, max_size=6, unique=True))
def test_every_peer_has_an_interface_of_its_own(peers: list[str]) -> None:
    names = [routeros.interface_name(peer) for peer in peers]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 32
