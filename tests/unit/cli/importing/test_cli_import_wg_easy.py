"""``import wg-easy``: what is printed, what is written, and that nothing is shown or lost."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from import_cluster import Cluster

from tests.doubles.https import Site, served_by_thread
from tests.doubles.wg_easy import WGEasyDouble
from tests.doubles.wg_easy14 import WGEasy14Double
from wireguard_operator.__main__ import main
from wireguard_operator.api.peer import WireGuardPeer
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.domain.keys import generate_pair

HOOK = "iptables -A FORWARD -j ACCEPT"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site()
    (tmp_path / "ca.pem").write_text(site.authority)
    return site


@pytest.fixture
def easy(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[WGEasyDouble, list[str]]]:
    """wg-easy 15 with some clients, and a command that reads it."""
    double = WGEasyDouble()
    double.add("Alice's phone", "10.8.0.7")
    double.add(
        "alices phone!", serverAllowedIps=["192.168.77.5/24", "10.99.0.7"], enabled=False, dns=["9.9.9.9"], mtu=1300
    )
    later = "2099-01-01T00:00:00.000Z"
    double.add("Ünïcode", expiresAt=later, preUp=HOOK, firewallIps=["10.0.0.0/8"], serverAllowedIps=["10.8.0.0/16"])
    (tmp_path / "wg0.conf").write_text(
        f"[Interface]\nPrivateKey = {double.pair.private.reveal()}\nListenPort = 51820\n"
    )
    monkeypatch.setenv("WG_EASY_PASSWORD", double.password)
    with served_by_thread(double.app(), site) as url:
        yield double, ["import", "wg-easy", url, "--ca", str(tmp_path / "ca.pem"), "-n", "isp", "--server", "berlin"]


def key_file(tmp_path: Path) -> list[str]:
    return ["--server-key", str(tmp_path / "wg0.conf")]


def documents(text: str) -> dict[str, dict[str, Any]]:
    return {f"{body['kind']}/{body['metadata']['name']}": body for body in yaml.safe_load_all(text)}


def hidden(double: WGEasyDouble) -> set[str]:
    keys = {client[part] for client in double.clients.values() for part in ("privateKey", "preSharedKey")}
    return {*keys, double.pair.private.reveal(), double.password}


def test_by_itself_it_makes_nothing_and_shows_no_key(
    easy: tuple[WGEasyDouble, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    double, command = easy
    assert main([*command, *key_file(tmp_path)]) == 0
    said = capsys.readouterr()
    found = documents(said.out)
    assert [name for name in found if name.startswith("WireGuardPeer")] == [
        "WireGuardPeer/alice-s-phone", "WireGuardPeer/alices-phone", "WireGuardPeer/n-code",
    ]  # fmt: skip
    assert found["Secret/berlin-imported-key"]["data"] == {"privateKey": "<hidden>"}
    secrets = {*hidden(double), *(base64.b64encode(one.encode()).decode() for one in hidden(double))}
    assert not [one for one in secrets if one in said.out + said.err]
    assert "note: peer n-code: not carried over: preUp, firewallIps, server allowed IP 10.8.0.0/16\n" in said.err
    assert "note: server berlin: not carried over: what its hooks" in said.err
    assert (
        "1 server, 3 peers, 4 Secrets; nothing was made in the cluster: add --apply" in said.err and not double.writes
    )


def test_the_file_has_keys_addresses_and_settings_and_nobody_else_may_read_it(
    easy: tuple[WGEasyDouble, list[str]], tmp_path: Path
) -> None:
    double, command = easy
    path = tmp_path / "objects.yaml"
    path.touch(mode=0o644)
    assert main([*command, *key_file(tmp_path), "-o", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    found = documents(path.read_text())
    server = WireGuardServer.model_validate(found["WireGuardServer/berlin"] | {"status": {}}).spec
    assert server.endpoint is not None and server.endpoint.host == "vpn.example.net"
    assert server.networks == ("10.8.0.0/24", "fd42:8::/64") and server.dns == ("9.9.9.9",)
    assert server.private_key_secret_ref is not None
    key = found[f"Secret/{server.private_key_secret_ref.name}"]["data"]["privateKey"]
    assert base64.b64decode(key).decode() == double.pair.private.reveal()
    first, second, third = (
        WireGuardPeer.model_validate(found[f"WireGuardPeer/{name}"] | {"status": {}}).spec
        for name in ("alice-s-phone", "alices-phone", "n-code")
    )
    client = double.named("Alice's phone")
    data = found["Secret/alice-s-phone-imported-keys"]["data"]
    assert base64.b64decode(data["privateKey"]).decode() == client["privateKey"]
    assert base64.b64decode(data["presharedKey"]).decode() == client["preSharedKey"]
    assert first.addresses == ("10.8.0.7", client["ipv6Address"]) and first.enabled
    assert first.description == "Alice's phone (from wg-easy)"
    assert second.routes == ("192.168.77.0/24", "10.99.0.7/32") and not second.enabled
    assert second.client.dns is None and second.client.mtu == 1300  # the same DNS as the server's is left out
    assert third.expires_at is not None and third.expires_at.year == 2099


def test_what_is_applied_is_there_already_the_second_time_and_a_difference_is_told(
    easy: tuple[WGEasyDouble, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    double, command = easy
    cluster = Cluster()
    cluster.serve(monkeypatch)
    apply = [*command, *key_file(tmp_path), "--apply"]
    assert main(apply) == 0
    assert "\nmade 1 server, 3 peers, 4 Secrets; there already: 0\n" in capsys.readouterr().err
    assert list(cluster.objects)[-1] == ("WireGuardServer", "berlin")
    double.named("Alice's phone")["preSharedKey"] = generate_pair().public
    assert main(apply) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.splitlines()[2:] == [
        "left as it is: Secret alice-s-phone-imported-keys is there with another data.presharedKey",
        "made 0 servers, 0 peers, 0 Secrets; there already: 7",
        "error: not there as it should be: 1 of 8 objects; correct what is said above and try again",
    ]
    secrets = {*hidden(double), *(base64.b64encode(one.encode()).decode() for one in hidden(double))}
    assert not [one for one in secrets if one in said.err]


def test_without_the_server_s_key_it_says_where_that_is(
    easy: tuple[WGEasyDouble, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, command = easy
    assert main(command) == 1
    assert "/etc/wireguard/wg0.conf by --server-key" in capsys.readouterr().err
    (tmp_path / "wg0.conf").write_text(generate_pair().private.reveal())
    assert main([*command, *key_file(tmp_path)]) == 1
    assert "it is of another server" in capsys.readouterr().err
    assert main([*command, "--new-server-key"]) == 0
    assert "imported-key\n" not in capsys.readouterr().out


def test_a_password_that_is_wrong_is_said_and_not_shown(
    easy: tuple[WGEasyDouble, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, command = easy
    monkeypatch.setenv("WG_EASY_PASSWORD", "a wrong password")
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "does not accept username and password" in said and "a wrong password" not in said


def test_version_14_is_read_with_its_own_key_and_endpoint(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    double, path = WGEasy14Double(), tmp_path / "objects.yaml"
    monkeypatch.setenv("WG_EASY_PASSWORD", double.password)
    with served_by_thread(double.app(), site) as url:
        assert main(["import", "wg-easy", url, "--ca", str(tmp_path / "ca.pem"), "-o", str(path)]) == 0
        monkeypatch.setenv("WG_EASY_PASSWORD", "another")
        assert main(["import", "wg-easy", url, "--ca", str(tmp_path / "ca.pem")]) == 1
    assert "does not accept the password" in capsys.readouterr().err
    found = documents(path.read_text())
    spec = found["WireGuardServer/wg-easy"]["spec"]
    assert spec["endpoint"] == {"host": "old.example.net", "port": 51821} and spec["networks"] == ["10.8.0.0/24"]
    assert found["WireGuardPeer/alice-s-phone"]["spec"]["addresses"] == ["10.8.0.2"]
    assert found["WireGuardPeer/bob"]["spec"]["enabled"] is False
    key = base64.b64decode(found["Secret/wg-easy-imported-key"]["data"]["privateKey"]).decode()
    assert key == double.pair.private.reveal()
