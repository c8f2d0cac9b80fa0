"""Which objects stand for a device that was found, and what is said of that which changes."""

import time
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from wireguard_operator.api.peer import WireGuardPeer
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.cli.cluster import CommandError
from wireguard_operator.cli.importing.found import Device, Peer
from wireguard_operator.cli.importing.manifests import Target, plan
from wireguard_operator.domain import secrets
from wireguard_operator.domain.keys import generate_pair, generate_preshared

SERVER = generate_pair()
TARGET = Target(
    "berlin", "isp", "vpn.example.net", data_plane=(("type", "Host"), ("host", {"url": "https://192.0.2.1:8443"}))
)


def device(*peers: Peer, **changes: Any) -> Device:
    return Device(
        **{
            "private_key": SERVER.private,
            "listen_port": 51820,
            "addresses": ("10.8.0.1/24",),
            "mtu": 1420,
            "peers": peers,
        }
        | changes
    )


def peer(*allowed: str, **changes: Any) -> Peer:
    return Peer(generate_pair().public, allowed, **changes)


def specs(*peers: Peer, **changes: Any) -> list[dict[str, Any]]:
    objects = plan(device(*peers, **changes), TARGET).objects
    return [body["spec"] for body in objects if body["kind"] == "WireGuardPeer"]


def test_keys_come_first_and_the_server_last() -> None:
    kinds = [o["kind"] for o in plan(device(peer("10.8.0.2/32", preshared_key=generate_preshared())), TARGET).objects]
    assert kinds == ["Secret", "Secret", "WireGuardPeer", "WireGuardServer"]


def test_the_objects_are_what_the_kinds_read_and_keep_key_port_and_mtu() -> None:
    found = plan(device(peer("10.8.0.2/32", name="alice"), mtu=1380), TARGET)
    secret, alice, berlin = found.objects
    assert not found.remarks
    assert secrets.read(secret, "privateKey") == SERVER.private.reveal()
    server = WireGuardServer.model_validate(berlin).spec
    assert (server.listen_port, server.mtu, server.networks) == (51820, 1380, ("10.8.0.0/24",))
    assert (
        server.private_key_secret_ref is not None and server.private_key_secret_ref.name == secret["metadata"]["name"]
    )
    spec = WireGuardPeer.model_validate(alice).spec
    assert alice["metadata"] == {"name": "alice", "namespace": "isp"}
    assert (spec.addresses, spec.routes, spec.description) == (("10.8.0.2",), (), None)


def test_single_addresses_of_the_networks_are_addresses_and_the_rest_are_routes() -> None:
    spec = specs(peer("fd08::2/128", "10.8.0.2/32", "192.168.5.0/24"), addresses=("10.8.0.1/24", "fd08::1/64"))[0]
    assert spec["addresses"] == ["10.8.0.2", "fd08::2"]
    assert spec["routes"] == ["192.168.5.0/24"]


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        (("10.8.0.2/32", "0.0.0.0/0"), "0.0.0.0/0 (a default route"),
        (("10.8.0.2/32", "10.8.0.128/25"), "10.8.0.128/25 (inside"),
        (("10.8.0.2/32", "10.8.0.3/32"), "10.8.0.3/32 (the peer has 10.8.0.2"),
        (("10.8.0.2/32", "224.0.0.5/32"), "224.0.0.5/32 (not a network of unicast"),
        (("10.8.0.2/32", "fe80::/64"), "fe80::/64 (not a network of unicast"),
        (("10.8.0.2/32", "0.0.0.0/1"), "0.0.0.0/1 (not a network of unicast"),
        (("10.8.0.1/32",), "cannot keep 10.8.0.1, which is the server's own"),
        (("10.8.0.255/32",), "cannot keep 10.8.0.255"),
        ((), "is given an IPv4 address"),
    ],
)
def test_what_a_peer_cannot_keep_is_told(allowed: tuple[str, ...], words: str) -> None:
    remarks = plan(device(peer(*allowed, name="alice")), TARGET).remarks
    assert len(remarks) == 1 and "peer alice" in remarks[0] and words in remarks[0]


def test_a_peer_without_a_preshared_key_never_gets_one() -> None:
    key = generate_preshared()
    with_key, without = specs(peer("10.8.0.2/32", preshared_key=key, name="alice"), peer("10.8.0.3/32"))
    assert with_key["presharedKey"] == {"policy": "Always", "secretRef": {"name": "alice-import"}}
    assert without["presharedKey"] == {"policy": "Never"}


def test_names_are_unique_fit_objects_and_are_the_same_at_the_next_run() -> None:
    peers = (peer(name="Müller, Jürgen"), peer(name="alice"), peer(name="Alice"), peer(name="***"), peer())
    names = [o["metadata"]["name"] for o in plan(device(*peers), TARGET).objects if o["kind"] == "WireGuardPeer"]
    assert names[:3] == ["m-ller-j-rgen", "alice", "alice-2"]
    assert names[3].startswith("peer-") and names[4].startswith("peer-") and len(set(names)) == 5
    again = [o["metadata"]["name"] for o in plan(device(*peers), TARGET).objects if o["kind"] == "WireGuardPeer"]
    assert again == names


def test_a_peer_of_the_server_s_name_has_a_secret_of_its_own() -> None:
    key = generate_preshared()
    found = plan(device(peer("10.8.0.2/32", name="Berlin", preshared_key=key)), TARGET).objects
    assert [body["metadata"]["name"] for body in found] == ["berlin-import", "berlin-2-import", "berlin-2", "berlin"]


def test_what_changes_for_all_is_told() -> None:
    remarks = plan(device(addresses=("10.8.0.254/24",), mtu=1200, ignored=("postup",)), TARGET).remarks
    assert [word in text for word, text in zip(("postup", "10.8.0.1/24", "1420"), remarks, strict=True)] == [True] * 3


def test_what_the_server_loses_is_told() -> None:
    found = plan(device(addresses=("10.8.0.1/24", "10.8.0.53/24", "fe80::1/64"), mtu=None), TARGET)
    assert [text.partition(":")[0] for text in found.remarks] == [
        "the server loses its address 10.8.0.53/24",
        "the server loses its address fe80",
        "no MTU is given",
    ]
    assert found.objects[-1]["spec"]["networks"] == ["10.8.0.0/24"]


def test_routes_within_routes_of_others_are_taken_out_so_that_each_packet_goes_where_it_went() -> None:
    peers = {
        "hub": ("10.8.0.2/32", "192.168.0.0/16", "192.168.1.0/24", "192.168.1.7/24"),
        "site": ("10.8.0.3/32", "192.168.4.0/22"),
        "cell": ("10.8.0.4/32", "192.168.5.0/24", "2001:db8::/48"),
        "back": ("10.8.0.5/32", "192.168.5.128/25"),
    }
    found = plan(device(*(peer(*allowed, name=name) for name, allowed in peers.items())), TARGET)
    assert sum("which others have" in text for text in found.remarks) == 3
    routes = {
        body["metadata"]["name"]: [ip_network(text) for text in body["spec"].get("routes", ())]
        for body in found.objects
        if body["kind"] == "WireGuardPeer"
    }
    every = [(network, name) for name, networks in routes.items() for network in networks]
    assert not [one for one in every for other in every if one is not other and one[0].overlaps(other[0])]
    for address in ("192.168.0.1", "192.168.3.255", "192.168.4.0", "192.168.5.1", "192.168.5.200", "192.168.6.1"):
        by_wireguard = max(
            (ip_network(text, strict=False).prefixlen, name)
            for name, allowed in peers.items()
            for text in allowed
            if ip_address(address) in ip_network(text, strict=False)
        )[1]
        assert [name for network, name in every if ip_address(address) in network] == [by_wireguard], address


def test_the_server_s_own_network_is_taken_out_of_a_larger_route() -> None:
    (spec,) = specs(peer("10.8.0.2/32", "10.0.0.0/8"))
    left = [ip_network(text) for text in spec["routes"]]
    assert len(left) == 16 and not any(network.overlaps(ip_network("10.8.0.0/24")) for network in left)


def test_two_peers_with_one_prefix_are_told_and_so_are_more_routes_than_a_peer_can_have() -> None:
    with pytest.raises(CommandError, match=r"peers alice and bob both have the allowed IP 10\.8\.0\.2/32"):
        plan(device(peer("10.8.0.2", name="alice"), peer("10.8.0.2/32", name="bob")), TARGET)
    sites = [peer(f"10.{n}.{n}.0/24", name=f"site{n}") for n in range(20, 60)]
    with pytest.raises(CommandError, match="64 are the most"):
        plan(device(peer("10.0.0.0/8", name="hub"), *sites), TARGET)


def test_ten_thousand_peers_are_planned_in_seconds() -> None:
    many = [peer(f"10.8.{n // 250}.{n % 250 + 2}/32", f"172.16.{n // 250}.{n % 250}/32") for n in range(10_000)]
    began = time.monotonic()
    assert len(specs(*many, addresses=("10.8.0.1/16",))) == 10_000
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("addresses", [(), ("10.8.0.1/32",), ("10.8.0.1/24", "10.9.0.1/24")])
def test_a_device_without_one_network_a_family_needs_the_option(addresses: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"--network 10\.8\.0\.0/24"):
        plan(device(addresses=addresses), TARGET)
    chosen = Target("berlin", "isp", "vpn.example.net", ("10.8.0.0/16",))
    assert plan(device(addresses=addresses), chosen).objects[-1]["spec"]["networks"] == ["10.8.0.0/16"]
