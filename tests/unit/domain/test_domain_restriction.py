"""Which policy follows from the specifications of a peer and its server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.domain.objects import peer, server
from wireguard_operator.domain.policy import Access, Policy, Ports
from wireguard_operator.domain.restriction import policy_of

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
