"""Which peers pass, and what they bring."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.agent.admission import Admission, interface_problem
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair

PAIR = generate_pair()
INTERFACE = Interface(PAIR.private.reveal(), 51820, 1420, ("10.8.0.1/24", "fd08::1/64"))


def key(name: str) -> str:
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()


A, B, C = key("a"), key("b"), key("c")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"private_key": "AAAA"}, "private_key"),
        ({"private_key": "ü"}, "private_key"),
        ({"listen_port": 0}, "listen_port"),
        ({"listen_port": 65536}, "listen_port"),
        ({"mtu": 575}, "mtu"),
        ({"mtu": 1279}, "mtu"),
        ({"addresses": ("10.8.0.1/33",)}, "addresses"),
        ({"addresses": ("localhost",)}, "addresses"),
    ],
)
def test_an_interface_that_cannot_be_is_told_by_its_field(change: dict[str, object], word: str) -> None:
    problem = interface_problem(replace(INTERFACE, **change))  # type: ignore[arg-type]
    assert problem is not None and word in problem


def test_a_good_interface_has_no_problem() -> None:
    assert interface_problem(INTERFACE) is None
    assert interface_problem(replace(INTERFACE, addresses=("10.8.0.1/24",), mtu=600)) is None


def test_allowed_ips_are_as_the_device_prints_them() -> None:
    admission = Admission(INTERFACE, [DevicePeer(A, ("10.8.0.9", "10.9.1.1/16", "FD08:0::5/128", "10.8.0.9/32"))])
    assert admission.peers[A].allowed_ips == ("10.8.0.9/32", "10.9.0.0/16", "fd08::5/128")


@pytest.mark.parametrize(
    ("peer", "word"),
    [
        (DevicePeer("AAAA", ()), "public key"),
        (DevicePeer(" " + A, ()), "public key"),
        (DevicePeer(A[:-2] + ("F=" if A[-2] != "F" else "E="), ()), "public key"),
        (DevicePeer(PAIR.public, ()), "server's own"),
        (DevicePeer(A, (), "AAAA"), "preshared key"),
        (DevicePeer(A, ("10.8.0.0/99",)), "allowed IP"),
        (DevicePeer(A, ("10.8.0.2/32", "")), "allowed IP"),
        (DevicePeer(A, ("::ffff:10.8.0.2/128",)), "IPv4-mapped"),
        (DevicePeer(A, ("fe80::1%eth0/128",)), "scoped"),
    ],
)
def test_a_bad_peer_is_refused_and_its_neighbours_are_not(peer: DevicePeer, word: str) -> None:
    admission = Admission(INTERFACE, [DevicePeer(B, ("10.8.0.3/32",)), peer, DevicePeer(C, ("10.8.0.2/32",))])
    assert admission.peers.keys() == {B, C}
    assert word in admission.refused[peer.public_key]


def test_a_secret_is_not_in_the_reason() -> None:
    admission = Admission(INTERFACE, [DevicePeer(A, (), "secret" * 9)])
    assert "secret" not in str(admission.refused)


def test_a_prefix_has_one_owner_and_the_later_peer_is_refused() -> None:
    admission = Admission(INTERFACE, [DevicePeer(A, ("10.8.0.2/32",)), DevicePeer(B, ("10.8.0.3/32", "10.8.0.2"))])
    assert admission.peers.keys() == {A}
    assert A in admission.refused[B]
    assert admission.owner("10.8.0.2/32") == A
    assert admission.owner("10.8.0.3/32") is None
    admission.change([DevicePeer(B, ("10.8.0.2/32",))], [A])
    assert admission.refused == {}
    assert admission.owner("10.8.0.2/32") == B


def test_prefixes_change_hands_within_one_change() -> None:
    one, two = DevicePeer(A, ("10.8.0.2/32",)), DevicePeer(B, ("10.8.0.3/32",))
    for order in (1, -1):
        admission = Admission(INTERFACE, [one, two])
        moved = [replace(one, allowed_ips=two.allowed_ips), replace(two, allowed_ips=one.allowed_ips)]
        admission.change(moved[::order])
        assert admission.refused == {}
        assert admission.owner("10.8.0.2/32") == B


def test_only_prefixes_outside_the_networks_are_routed_and_never_the_default_route() -> None:
    networks = ("10.8.0.2/32", "fd08::2/128", "10.8.0.0/16", "192.168.0.0/24", "2001:db8::/48", "0.0.0.0/0", "::/0")
    admission = Admission(INTERFACE, [DevicePeer(A, networks)])
    assert set(admission.routes) == {"10.8.0.0/16", "192.168.0.0/24", "2001:db8::/48"}
    admission.change([DevicePeer(A, ("192.168.0.0/24",))])
    assert set(admission.routes) == {"192.168.0.0/24"}
    admission.change([], [A])
    assert set(admission.routes) == set()


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B, C]), st.lists(st.sampled_from(["10.8.0.2/32", "1.2.3.0/24", "1.2.4.0/24"])))
    )
)
def test_owners_and_routes_follow_any_history(history: list[tuple[str, list[str]]]) -> None:
    admission = Admission(INTERFACE)
    for public_key, networks in history:
        admission.change([DevicePeer(public_key, tuple(networks))] if networks else [], [public_key])
    held = [(network, peer.public_key) for peer in admission.peers.values() for network in peer.allowed_ips]
    assert len({network for network, _ in held}) == len(held)
    assert all(admission.owner(network) == owner for network, owner in held)
    assert set(admission.routes) == {network for network, _ in held if not network.startswith("10.8.")}
