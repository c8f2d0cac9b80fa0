"""The nft texts for policies, word by word, and how a listing is compared with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wireguard_operator.agent.firewall.chains import FREE, Way, access_chain, way
from wireguard_operator.agent.firewall.listing import Memory, is_right
from wireguard_operator.agent.firewall.table import Entry, Table, table_name
from wireguard_operator.domain.device import Interface
from wireguard_operator.domain.policy import Access, InvalidPolicyError, Limit, Policy, Ports

PLAIN = Interface("key", 51820, 1420, ("10.8.0.1/24",))
BOTH = Interface("key", 51820, 1420, ("10.8.0.1/24",), masquerade=True, isolation=True)
MAIL = Policy((Access(("192.0.2.0/24", "2001:db8::/32"), (Ports("icmp"), Ports("tcp", 25, 25), Ports("tcp", 80, 90))),))
SLOW = Policy(upload=Limit(1000, 65536), download=Limit(2000, 65536))


def test_a_peer_without_policy_shares_the_shortest_way() -> None:
    assert way("a", None) == way("b", Policy((Access(),))) == FREE


def test_access_rules_become_one_chain_that_ends_in_a_drop() -> None:
    (chain,) = way("a", MAIL).chains
    assert chain.rules == (
        "ip daddr { 192.0.2.0/24 } meta l4proto { icmp } return",
        "ip daddr { 192.0.2.0/24 } meta l4proto . th dport { tcp . 25, tcp . 80-90 } return",
        "ip daddr { 192.0.2.0/24 } ip frag-off & 0x1fff != 0 meta l4proto { tcp } return",
        "ip6 daddr { 2001:db8::/32 } meta l4proto { ipv6-icmp } return",
        "ip6 daddr { 2001:db8::/32 } meta l4proto . th dport { tcp . 25, tcp . 80-90 } return",
        "ip6 daddr { 2001:db8::/32 } exthdr frag exists frag frag-off != 0 meta l4proto { tcp } return",
        "counter drop",
    )


def test_a_rule_without_destinations_is_about_both_families() -> None:
    assert access_chain((Access((), (Ports("udp"),)),)).rules == (
        "meta nfproto ipv4 meta l4proto { udp } return",
        "meta nfproto ipv6 meta l4proto { udp } return",
        "counter drop",
    )


def test_no_rule_allows_nothing() -> None:
    assert access_chain(()).rules == ("counter drop",)


def test_equal_rules_share_a_chain_and_limits_do_not() -> None:
    assert way("a", MAIL) == way("b", MAIL)
    one, two = way("a", SLOW), way("b", SLOW)
    assert {chain.name for chain in one.chains}.isdisjoint(chain.name for chain in two.chains)
    assert way("a", SLOW) == one


def test_what_is_forbidden_does_not_use_up_the_limit() -> None:
    access, upload = way("a", Policy(MAIL.access, upload=Limit(1000, 65536))).chains
    assert upload.rules == (
        f"jump {access.name}",
        "limit rate over 1000 bytes/second burst 65536 bytes drop",
    )


@pytest.mark.parametrize("limit", [Limit(0, 1), Limit(1, 0), Limit(-1, 1)])
def test_a_limit_that_nft_would_misread_is_refused(limit: Limit) -> None:
    with pytest.raises(InvalidPolicyError, match="both must be positive"):
        way("a", Policy(upload=limit))


def entries(**ways: Way) -> dict[str, Entry]:
    return {
        "10.8.0.2/32": Entry("a", ways.get("a", FREE)),
        "192.168.0.0/24": Entry("a", ways.get("a", FREE)),
        "fd08::2/128": Entry("b", ways.get("b", FREE)),
    }


def test_the_whole_table_takes_the_place_of_whatever_there_is() -> None:
    slow = way("a", SLOW)
    upload, download = slow.chains
    assert (
        Table("wg-0", BOTH, entries(a=slow)).load()
        == f"""\
table inet wireguard_wg_0 {{}}
delete table inet wireguard_wg_0
table inet wireguard_wg_0 {{
  map from4_32 {{
    type ipv4_addr : verdict;
  }}
  map to4_32 {{
    type ipv4_addr : verdict;
  }}
  map from4_24 {{
    type ipv4_addr : verdict;
  }}
  map to4_24 {{
    type ipv4_addr : verdict;
  }}
  map from6_128 {{
    type ipv6_addr : verdict;
  }}
  chain {upload.name} {{
    limit rate over 1000 bytes/second burst 65536 bytes drop
  }}
  chain {download.name} {{
    limit rate over 2000 bytes/second burst 65536 bytes drop
  }}
  chain from_peers {{
    ip saddr vmap @from4_32
    ip saddr & 255.255.255.0 vmap @from4_24
    ip6 saddr vmap @from6_128
    counter drop
  }}
  chain to_peers {{
    ip daddr vmap @to4_32
    ip daddr & 255.255.255.0 vmap @to4_24
  }}
  chain from_tunnel {{
    type filter hook prerouting priority raw; policy accept;
    iifname "wg-0" jump from_peers
  }}
  chain to_tunnel {{
    type filter hook postrouting priority mangle; policy accept;
    oifname "wg-0" jump to_peers
  }}
  chain between_peers {{
    type filter hook forward priority filter; policy accept;
    iifname "wg-0" oifname "wg-0" counter drop
  }}
  chain to_world {{
    type nat hook postrouting priority srcnat; policy accept;
    iifname "wg-0" oifname != "wg-0" masquerade
  }}
}}
add element inet wireguard_wg_0 from4_32 {{ 10.8.0.2 : goto {upload.name} }}
add element inet wireguard_wg_0 to4_32 {{ 10.8.0.2 : goto {download.name} }}
add element inet wireguard_wg_0 from4_24 {{ 192.168.0.0 : goto {upload.name} }}
add element inet wireguard_wg_0 to4_24 {{ 192.168.0.0 : goto {download.name} }}
add element inet wireguard_wg_0 from6_128 {{ fd08::2 : return }}
"""
    )


def test_a_change_says_only_what_changes() -> None:
    table = Table("wg0", PLAIN, entries(b=way("b", MAIL)))
    mail = way("b", MAIL).chains[0].name
    assert table.change({"10.8.0.2/32": Entry("a", FREE)}) == ""
    assert table.change({"10.8.0.2/32": Entry("c", FREE)}) == ""  # another key, and nothing for nft to do
    assert table.change({"10.8.0.2/32": Entry("c", way("c", MAIL))}) == (
        "delete element inet wireguard_wg0 from4_32 { 10.8.0.2 }\n"
        f"add element inet wireguard_wg0 from4_32 {{ 10.8.0.2 : goto {mail} }}\n"
    )
    assert table.change({"fd08::2/128": None}) == "delete element inet wireguard_wg0 from6_128 { fd08::2 }\n"
    assert table.change({"10.8.0.2/32": None}) == (
        "delete element inet wireguard_wg0 from4_32 { 10.8.0.2 }\n"
        f"flush chain inet wireguard_wg0 {mail}\n"
        f"delete chain inet wireguard_wg0 {mail}\n"
    )


def test_a_chain_comes_before_those_that_call_it_and_goes_after_them() -> None:
    table = Table("wg0", PLAIN, entries())
    found = way("a", Policy(MAIL.access, upload=Limit(1000, 65536)))
    access, upload = (chain.name for chain in found.chains)
    text = table.change({"10.8.0.2/32": Entry("a", found)})
    assert text.index(f"add chain inet wireguard_wg0 {access}") < text.index(f"jump {access}")
    text = table.change({"10.8.0.2/32": None})
    assert text.index(f"delete chain inet wireguard_wg0 {upload}") < text.index(
        f"delete chain inet wireguard_wg0 {access}"
    )


def test_a_new_prefix_length_is_asked_in_its_place() -> None:
    table = Table("wg0", PLAIN, entries())
    text = table.change({"192.168.0.128/25": Entry("a", FREE)})
    assert text.splitlines()[0] == "add map inet wireguard_wg0 from4_25 { type ipv4_addr : verdict; }"
    rules = [line.partition("from_peers ")[2] for line in text.splitlines() if "add rule" in line]
    assert rules == [
        "ip saddr vmap @from4_32",
        "ip saddr & 255.255.255.128 vmap @from4_25",
        "ip saddr & 255.255.255.0 vmap @from4_24",
        "ip6 saddr vmap @from6_128",
        "counter drop",
    ]


def test_a_name_that_nft_does_not_take_is_rewritten() -> None:
    assert table_name("wg-0.x") == "wireguard_wg_0_x"


def listed(**changes: Any) -> str:
    """What nft says of ``table()``."""
    document = [
        {"metainfo": {}},
        {"table": {"name": "wireguard_wg0"}},
        {"map": {"name": "from4_32", "elem": [["10.8.0.2", {"return": None}]]}},
        {"map": {"name": "from4_24", "elem": [["192.168.0.0", {"return": None}]]}},
        {"map": {"name": "from6_128", "elem": [["fd08::2", {"return": None}]]}},
        {"chain": {"name": "from_tunnel", "hook": "prerouting", "prio": -300, "policy": "accept"}},
        {"chain": {"name": "to_tunnel", "hook": "postrouting", "prio": -150, "policy": "accept"}},
        {"chain": {"name": "from_peers"}},
        {"chain": {"name": "to_peers"}},
        {"rule": {"chain": "from_tunnel", "expr": ["jump"]}},
        {"rule": {"chain": "to_tunnel", "expr": ["jump"]}},
        *({"rule": {"chain": "from_peers", "expr": [number]}} for number in range(4)),
    ]
    for number, entry in changes.items():
        document[int(number[1:])] = entry
    return json.dumps({"nftables": document})


WRONG = [
    {"n2": {"map": {"name": "from4_32"}}},
    {"n2": {"map": {"name": "from4_32", "elem": [["10.8.0.3", {"return": None}]]}}},
    {"n2": {"map": {"name": "from4_32", "elem": [["10.8.0.2", {"goto": {"target": "x"}}]]}}},
    {"n3": {"metainfo": {}}},
    {"n5": {"metainfo": {}}},
    {"n9": {"metainfo": {}}},
    {"n9": {"rule": {"chain": "from_tunnel", "expr": ["accept"]}}},
    {"n5": {"chain": {"name": "from_tunnel", "hook": "input", "prio": -300, "policy": "accept"}}},
    {"n1": {"chain": {"name": "more"}}},
    {"n1": {"set": {"name": "more"}}},
]


@pytest.mark.parametrize("changes", WRONG)
def test_a_listing_that_differs_anywhere_is_not_right(changes: dict[str, Any]) -> None:
    table, memory = Table("wg0", PLAIN, entries()), Memory()
    assert is_right(listed(), table, memory)
    assert is_right(listed(), table, memory)
    assert not is_right(listed(**changes), table, memory)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nftables": [{"map": {}}]}', '{"nftables": [7]}'])
def test_a_listing_that_cannot_be_read_is_not_right(text: str) -> None:
    assert not is_right(text, Table("wg0", PLAIN, {}), Memory())
