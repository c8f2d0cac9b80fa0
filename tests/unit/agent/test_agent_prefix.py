"""agent.prefix: the fast way reads as the library does."""

from __future__ import annotations

import ipaddress
import random

import pytest

from wireguard_operator.agent.prefix import Prefix


@pytest.mark.parametrize(
    "text",
    [
        "10.8.0.2/32", "10.8.0.2", "10.8.0.255/24", "0.0.0.0/0", "255.255.255.255/1", "10.0.0.1/032", "fd08::2/128",
        "fd08::2", "FD08:0:0::2/64", "::/0", "::ffff:10.0.0.1/128", "fe80::1%eth0/64", "10.0.0.1/255.255.255.0",
        "10.0.0.1/0.0.0.255",
    ],
)  # fmt: skip
def test_a_prefix_is_read_as_ipaddress_reads_it(text: str) -> None:
    network = ipaddress.ip_network(text, strict=False)
    assert Prefix.parse(text) == (str(network), network.version, int(network.network_address), network.prefixlen)


def test_random_prefixes_are_read_as_ipaddress_reads_them() -> None:
    chance = random.Random(4)
    for _ in range(2000):
        text = f"{ipaddress.IPv4Address(chance.getrandbits(32))}/{chance.randint(0, 32)}"
        assert Prefix.parse(text).text == str(ipaddress.ip_network(text, strict=False))


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "/24", "10.8.0.2/33", "10.8.0.2/-1", "10.8.0.2/", "10.8.0/24", "010.8.0.2/32", "10.8.0.2/3 2",
        "10.8.0.2 /32", "10.8.0.2/\u0663\u0662", "10.8.0.2\0/32", "1\u0660.8.0.2/32", "\ud800.0.0.1/32", "fd08::g/64",
        "x/32",
    ],
)  # fmt: skip
def test_what_is_no_prefix_is_refused_as_ipaddress_refuses_it(text: str) -> None:
    with pytest.raises(ValueError):
        ipaddress.ip_network(text, strict=False)
    with pytest.raises(ValueError):
        Prefix.parse(text)


def test_a_network_holds_itself_and_what_is_in_it() -> None:
    for outer, inner, holds in (
        ("10.8.0.0/24", "10.8.0.0/24", True),
        ("10.8.0.0/24", "10.8.0.7/32", True),
        ("10.8.0.0/24", "10.8.1.7/32", False),
        ("10.8.0.0/24", "10.8.0.0/23", False),
        ("0.0.0.0/0", "10.8.0.0/23", True),
        ("0.0.0.0/0", "fd08::/64", False),
        ("fd08::/64", "fd08::1/128", True),
        ("fd08::/64", "fd09::1/128", False),
    ):
        assert Prefix.parse(outer).holds(Prefix.parse(inner)) is holds, (outer, inner)
