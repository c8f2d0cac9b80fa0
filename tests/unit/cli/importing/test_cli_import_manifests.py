"""Which objects stand for a device that was found, and what is said of that which changes."""

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
        **{"private_key": SERVER.private, "listen_port": 51820, "addresses": ("10.8.0.1/24",), "peers": peers} | changes
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


@pytest.mark.parametrize("addresses", [(), ("10.8.0.1/32",), ("10.8.0.1/24", "10.9.0.1/24")])
def test_a_device_without_one_network_a_family_needs_the_option(addresses: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"--network 10\.8\.0\.0/24"):
        plan(device(addresses=addresses), TARGET)
    chosen = Target("berlin", "isp", "vpn.example.net", ("10.8.0.0/16",))
    assert plan(device(addresses=addresses), chosen).objects[-1]["spec"]["networks"] == ["10.8.0.0/16"]
