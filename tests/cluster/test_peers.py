"""What becomes of peers: keys, addresses, duplicates, and things done in an unexpected order."""

from datetime import UTC, datetime, timedelta

import pytest
from isp import apply_peer, apply_server, reason, status

from tools.lab import Lab, wait_for
from wireguard_operator.domain.keys import generate_pair


@pytest.fixture
def server(lab: Lab) -> Lab:
    """A small dual-stack server whose host has joined."""
    apply_server(lab, networks=["10.8.0.0/29", "fd00:8::/64"])
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    return lab


def test_a_peer_has_one_address_of_each_network_on_the_device_and_in_its_configuration(server: Lab) -> None:
    apply_peer(server, "alice")
    server.wait_ready("wgp", "alice")
    shown = status(server, "alice")
    assert shown["addresses"] == ["10.8.0.2/32", "fd00:8::2/128"]
    assert server.host.allowed_ips() == {shown["publicKey"]: "10.8.0.2/32 fd00:8::2/128"}
    assert "Address = 10.8.0.2/32, fd00:8::2/128" in server.configuration("alice")


def test_a_device_that_keeps_its_key_gets_a_configuration_without_one(server: Lab) -> None:
    public = generate_pair().public
    apply_peer(server, "alice", publicKey=public)
    server.wait_ready("wgp", "alice")
    assert public in server.host.allowed_ips()
    secret = server.get("secret", "alice-wireguard")
    assert secret["data"].keys() == {"publicKey", "wg0.conf", "keySource"}
    assert f"# PrivateKey = the one whose public key is {public}" in server.configuration("alice")


def test_of_two_peers_with_one_key_the_older_is_served_and_the_other_comes_up_when_it_goes(server: Lab) -> None:
    public = generate_pair().public
    apply_peer(server, "old", publicKey=public)
    server.wait_ready("wgp", "old")
    # Creation times have whole seconds, and between equals the UID decides.
    created = datetime.fromisoformat(server.get("wgp", "old")["metadata"]["creationTimestamp"])
    wait_for("another second", lambda: datetime.now(UTC) > created + timedelta(seconds=1.1))
    apply_peer(server, "young", publicKey=public)
    wait_for("the duplicate to be told", lambda: reason(server, "young") == "DuplicatePublicKey")
    assert server.host.allowed_ips() == {public: "10.8.0.2/32 fd00:8::2/128"}
    assert reason(server, "old") == "Ready"
    server.kubectl("delete", "wgp", "old")
    server.wait_ready("wgp", "young")
    assert server.host.allowed_ips() == {public: "10.8.0.3/32 fd00:8::3/128"}


def test_a_secret_that_was_deleted_by_mistake_comes_back_with_the_same_keys(server: Lab) -> None:
    apply_peer(server, "alice")
    server.wait_ready("wgp", "alice")
    before = server.get("secret", "alice-wireguard")
    server.kubectl("delete", "secret", "alice-wireguard")
    after = wait_for("the Secret to come back", lambda: server.get("secret", "alice-wireguard"))
    assert after["data"] == before["data"] and after["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_full_pool_is_told_and_the_others_are_served(server: Lab) -> None:
    for name in "abcdef":
        apply_peer(server, name)
    wait_for("the sixth to be told", lambda: reason(server, "f") == "PoolExhausted" or _exhausted(server) == 1)
    assert _exhausted(server) == 1
    wait_for("the others on the device", lambda: len(server.host.allowed_ips()) == 5)


def _exhausted(lab: Lab) -> int:
    return sum(reason(lab, name) == "PoolExhausted" for name in "abcdef")


def test_a_peer_applied_before_its_server_says_so_and_comes_up_with_it(lab: Lab) -> None:
    lab.start_controller()
    lab.kubectl("apply", "-f", "manifests/samples/peer.yaml")
    wait_for("the missing server to be named", lambda: reason(lab, "alice", "Accepted") == "ServerNotFound")
    lab.apply_samples()
    lab.join_host()
    lab.wait_ready("wgp", "alice")


def test_a_stranger_s_secret_is_never_overwritten(server: Lab) -> None:
    server.kubectl("create", "secret", "generic", "alice-wireguard", "--from-literal=mine=yes")
    apply_peer(server, "alice")
    wait_for("the conflict to be told", lambda: reason(server, "alice") == "SecretConflict")
    assert server.get("secret", "alice-wireguard")["data"].keys() == {"mine"}
