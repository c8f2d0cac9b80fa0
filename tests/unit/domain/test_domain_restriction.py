"""Which policy follows from the specifications of a peer and its server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.domain.objects import peer, server
from wireguard_operator.api.peer import SuspensionMode
from wireguard_operator.domain.policy import Access, Limit, Policy, Ports
from wireguard_operator.domain.restriction import amount, policy_of

LAN = {"to": ["10.0.0.0/8"]}
LAN_POLICY = Policy((Access(("10.0.0.0/8",)),))


ACCESS: list[tuple[dict[str, Any], dict[str, Any], Policy | None]] = [
    # of the server, of the peer, what is enforced
    ({}, {}, None),
    ({"access": [LAN]}, {}, LAN_POLICY),
    ({}, {"access": [LAN]}, LAN_POLICY),
    ({"access": [{"to": ["192.0.2.0/24"]}]}, {"access": [LAN]}, LAN_POLICY),
    ({"access": [LAN]}, {"access": []}, Policy(())),
    ({"access": []}, {}, Policy(())),
    ({"access": [LAN]}, {"access": [{}]}, None),
    ({"access": [LAN]}, {"access": [{}, LAN]}, None),
    (
        {},
        {"access": [{"ports": [{"port": 443}, {"protocol": "UDP", "port": 1, "endPort": 9}, {"protocol": "ICMP"}]}]},
        Policy((Access((), (Ports("icmp"), Ports("tcp", 443, 443), Ports("udp", 1, 9))),)),
    ),
]


@pytest.mark.parametrize(("of_server", "of_peer", "wanted"), ACCESS)
def test_a_peer_has_its_own_access_rules_or_else_those_of_its_server(
    of_server: dict[str, Any], of_peer: dict[str, Any], wanted: Policy | None
) -> None:
    assert policy_of(peer(**of_peer).spec, server(**of_server).spec) == wanted


def test_peers_with_the_same_rules_share_one_policy() -> None:
    berlin = server(access=[LAN])
    assert policy_of(peer("alice").spec, berlin.spec) is policy_of(peer("bob").spec, berlin.spec)


def test_rules_that_mean_nothing_are_left_to_the_agent_which_refuses_the_peer() -> None:
    policy = policy_of(peer(access=[{"to": ["10.0.0.0/99"]}]).spec, server().spec)
    assert policy == Policy((Access(("10.0.0.0/99",)),))


FAST = {"download": "50M", "upload": "10M"}
FAST_POLICY = Policy(upload=Limit(1_250_000, 65536), download=Limit(6_250_000, 65536))

LIMITS: list[tuple[dict[str, Any], dict[str, Any], Policy | None]] = [
    # of the server, of the peer, what is enforced
    ({"limits": FAST}, {}, FAST_POLICY),
    ({}, {"limits": FAST}, FAST_POLICY),
    ({"limits": FAST}, {"limits": {"upload": 8000}}, Policy(upload=Limit(1000, 65536))),
    ({"limits": FAST}, {"limits": {}}, None),
    ({}, {"limits": {"download": "1Gi", "burst": "1Mi"}}, Policy(download=Limit(1 << 27, 1 << 20))),
    ({}, {"limits": {"burst": "1Mi"}}, None),
    ({"access": [LAN]}, {"limits": {"upload": "10M"}}, Policy(LAN_POLICY.access, Limit(1_250_000, 65536))),
]


@pytest.mark.parametrize(("of_server", "of_peer", "wanted"), LIMITS)
def test_a_peer_has_its_own_limits_or_else_those_of_its_server(
    of_server: dict[str, Any], of_peer: dict[str, Any], wanted: Policy | None
) -> None:
    assert policy_of(peer(**of_peer).spec, server(**of_server).spec) == wanted


QUANTITIES = {
    "0": 0, "7": 7, "+7": 7, "1.5k": 1500, "50M": 50 * 10**6, ".5G": 5 * 10**8, "1T": 10**12, "2P": 2 * 10**15,
    "3E": 3 * 10**18, "1Ki": 1024, "1.5Mi": 3 << 19, "1Gi": 1 << 30, "1e6": 10**6, "2E3": 2000, "5e-1": 0.5,
    "5m": 0.005, "3u": 3e-6,
}  # fmt: skip


@pytest.mark.parametrize(("text", "number"), QUANTITIES.items())
def test_quantities_are_read_as_kubernetes_reads_them(text: str, number: float) -> None:
    assert float(amount(text)) == number


@pytest.mark.parametrize("text", ["", "M", "1 M", "1KB", "1ki", "0x7", "-1", "1e", "1K"])
def test_what_is_no_quantity_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity such as 50M"):
        amount(text)


PORTAL = {"walledGarden": {"allow": ["192.0.2.80/32"]}}
DNS_PORTS = (Ports("tcp", 53, 53), Ports("udp", 53, 53))
GARDENS: list[tuple[dict[str, Any], Policy]] = [
    (PORTAL, Policy((Access(("192.0.2.80/32",)),))),
    ({"walledGarden": {}}, Policy(())),
    ({"walledGarden": {}, "dns": ["corp.example"]}, Policy(())),
    (
        PORTAL | {"dns": ["corp.example", "2620:fe::9", "9.9.9.9"]},
        Policy((Access(("192.0.2.80/32",)), Access(("9.9.9.9/32", "2620:fe::9/128"), DNS_PORTS))),
    ),
]


@pytest.mark.parametrize(("of_server", "wanted"), GARDENS)
def test_in_the_walled_garden_there_are_the_portal_and_the_resolvers(of_server: dict[str, Any], wanted: Policy) -> None:
    for of_peer in ({}, {"access": [{}]}, {"access": [LAN]}):
        spec = peer(**of_peer).spec
        assert policy_of(spec, server(**of_server).spec, SuspensionMode.WALLED_GARDEN) == wanted
    assert policy_of(peer().spec, server(**of_server).spec) is None


def test_in_the_walled_garden_a_peer_is_as_fast_as_always() -> None:
    policy = policy_of(peer(limits=FAST).spec, server(**PORTAL).spec, SuspensionMode.WALLED_GARDEN)
    assert policy is not None
    assert (policy.upload, policy.download) == (FAST_POLICY.upload, FAST_POLICY.download)


def test_a_throttle_slows_down_what_is_faster_and_leaves_the_access_rules() -> None:
    berlin = server(throttle={"bandwidth": "16M"}, access=[LAN])
    slow = Limit(2_000_000, 65536)
    mode = SuspensionMode.THROTTLE
    assert policy_of(peer().spec, berlin.spec, mode) == Policy(LAN_POLICY.access, slow, slow)
    limits = FAST | {"burst": "1Mi"}
    own = Policy(LAN_POLICY.access, Limit(1_250_000, 1 << 20), slow)
    assert policy_of(peer(limits=limits).spec, berlin.spec, mode) == own
    assert policy_of(peer().spec, berlin.spec) == LAN_POLICY
