"""The normal form of access rules, and what a policy does to digests."""

from __future__ import annotations

import pytest

from wireguard_operator.domain.device import DesiredState, DevicePeer, Interface
from wireguard_operator.domain.policy import Access, InvalidPolicyError, Limit, Policy, Ports, normalise

INTERFACE = Interface("key", 51820, 1420, ("10.8.0.1/24",))


def test_rules_that_mean_the_same_have_one_form() -> None:
    wanted = (
        Access(("10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"), (Ports("tcp", 80, 90), Ports("udp"))),
        Access(("203.0.113.0/24",)),
    )
    assert normalise(wanted) == wanted
    untidy = (
        Access(("203.0.113.0/25", "203.0.113.128/25")),
        Access(
            ("2001:DB8::/32", "192.0.2.0/25", "10.1.0.0/16", "192.0.2.128/25", "10.0.0.0/8"),
            (Ports("udp", 53, 53), Ports("tcp", 85, 90), Ports("udp"), Ports("tcp", 80, 84)),
        ),
        Access(("203.0.113.7/24",)),
    )
    assert normalise(untidy) == wanted


def test_a_rule_that_allows_everything_makes_the_others_idle() -> None:
    assert normalise((Access(("10.0.0.0/8",)), Access())) == (Access(),)


def test_neighbouring_ports_become_one_range_of_their_protocol_only() -> None:
    (rule,) = normalise((Access((), (Ports("udp", 2, 2), Ports("tcp", 1, 1), Ports("tcp", 2, 2), Ports("tcp", 4, 4))),))
    assert rule.ports == (Ports("tcp", 1, 2), Ports("tcp", 4, 4), Ports("udp", 2, 2))


BAD = [
    (Access(("10.0.0.0/33",)), "'10.0.0.0/33' is not an IP prefix"),
    (Access(("10.0.0.0/8 } drop",)), "is not an IP prefix"),
    (Access(("fe80::1%eth0",)), "zones and IPv4-mapped addresses are in no packet"),
    (Access(("::ffff:10.0.0.1",)), "zones and IPv4-mapped addresses are in no packet"),
    (Access((), (Ports("gre"),)), "'gre' must be one of icmp, sctp, tcp, udp"),
    (Access((), (Ports("tcp", 9, 8),)), "9-8 must be a range within 0 to 65535"),
    (Access((), (Ports("tcp", 1, 65536),)), "1-65536 must be a range within 0 to 65535"),
    (Access((), (Ports("icmp", 8, 8),)), "icmp has no ports"),
]


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_a_rule_that_means_nothing_is_named(rule: Access, text: str) -> None:
    with pytest.raises(InvalidPolicyError, match=text):
        normalise((rule,))


def test_states_that_were_kept_before_there_were_policies_keep_their_digests() -> None:
    state = DesiredState(INTERFACE, [DevicePeer("a", ("10.8.0.2/32",), "psk"), DevicePeer("b", ())])
    assert state.digest == "0401ccb867e08f8434c24f87f6e73cf0f45c1998715d86a0247c8cf2665d3a4a"


POLICIES = [
    None,
    Policy(()),
    Policy((Access(),)),
    Policy((Access(("10.0.0.0/8",)),)),
    Policy((Access(("10.0.0.0/8", "192.0.2.0/24")),)),
    Policy((Access(("10.0.0.0/8",)), Access(("192.0.2.0/24",)))),
    Policy((Access(("10.0.0.0/8",), (Ports("tcp", 80, 80),)),)),
    Policy((Access(("10.0.0.0/8",), (Ports("udp", 80, 80),)),)),
    Policy((Access(("10.0.0.0/8",), (Ports("tcp", 80, 81),)),)),
    Policy(upload=Limit(1000, 65536)),
    Policy(download=Limit(1000, 65536)),
    Policy(upload=Limit(1001, 65536)),
    Policy(upload=Limit(1000, 65537)),
    Policy((), Limit(1000, 65536)),
]


def test_every_difference_of_policies_is_one_of_digests() -> None:
    digests = {DesiredState(INTERFACE, [DevicePeer("a", ("10.8.0.2/32",), None, p)]).digest for p in POLICIES}
    assert len(digests) == len(POLICIES)
