"""Keys: imported, rotated with an overlap, lost, and those of the server itself; with real tunnels."""

import base64
import json
import re
import time

import pytest
from isp import apply_peer, apply_server, condition, patch, reason, status

from tools.lab import Lab, sh, wait_for
from wireguard_operator.domain.keys import generate_pair


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """With a server whose host has joined."""
    apply_server(lab)
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    return lab


def secret(lab: Lab, name: str) -> dict[str, str]:
    """The data of a Secret, decoded."""
    data = lab.get("secret", name).get("data", {})
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def make_secret(lab: Lab, name: str, **data: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def test_a_rotated_key_takes_over_when_it_is_used_and_the_tunnel_never_stops_for_the_old_one(lab: Lab) -> None:
    apply_peer(lab, "alice")
    lab.wait_ready("wgp", "alice")
    lab.connect()
    wait_for("the ping", lab.ping, 15)
    before = status(lab, "alice")
    patch(lab, "wgp", "alice", keyGeneration=1)
    after = wait_for("the new key", lambda: status(lab, "alice") if status(lab, "alice").get("previousKey") else None)
    assert after["publicKey"] != before["publicKey"]
    assert after["previousKey"]["publicKey"] == before["publicKey"]
    assert after["configRevision"] != before["configRevision"]
    assert reason(lab, "alice", "KeysReady") == "KeysRotating"
    wait_for("both keys on the device", lambda: len(lab.host.allowed_ips()) == 2)
    assert lab.host.allowed_ips() == {before["publicKey"]: "10.8.0.2/32", after["publicKey"]: ""}
    assert lab.ping()
    lab.controller.end(kill=True)
    lab.start_controller()
    patch(lab, "wgp", "alice", description="seen by the new controller")
    generation = lab.get("wgp", "alice")["metadata"]["generation"]
    wait_for("the restarted controller", lambda: status(lab, "alice")["observedGeneration"] == generation)
    assert lab.ping()
    rx = status(lab, "alice").get("traffic", {}).get("rxBytes", 0)
    lab.disconnect()
    lab.connect()
    wait_for("the ping with the new key", lab.ping, 20)
    wait_for("the old key to go", lambda: lab.host.allowed_ips() == {after["publicKey"]: "10.8.0.2/32"})
    wait_for("the status", lambda: "previousKey" not in status(lab, "alice"))
    assert lab.ping()
    assert "previousPublicKey" not in secret(lab, "alice-wireguard")
    wait_for("the totals to go on", lambda: status(lab, "alice")["traffic"]["rxBytes"] > rx)
    wait_for("an event", lambda: "KeysRotated" in lab.kubectl("get", "events"))


def test_a_former_key_stops_at_its_deadline_and_at_once_without_an_overlap(lab: Lab) -> None:
    apply_peer(lab, "alice", keyOverlapSeconds=3)
    lab.wait_ready("wgp", "alice")
    first = status(lab, "alice")["publicKey"]
    patch(lab, "wgp", "alice", keyGeneration=1)
    wait_for("both keys", lambda: len(lab.host.allowed_ips()) == 2)
    second = wait_for("the end of the overlap", lambda: len(lab.host.allowed_ips()) == 1 and lab.host.allowed_ips(), 15)
    assert first not in second and list(second.values()) == ["10.8.0.2/32"]
    patch(lab, "wgp", "alice", keyGeneration=2, keyOverlapSeconds=0)
    third = wait_for("the third key", lambda: lab.host.allowed_ips().keys() != second.keys() and lab.host.allowed_ips())
    assert len(third) == 1 and list(third.values()) == ["10.8.0.2/32"]


def test_imported_keys_are_clamped_and_copied_and_troubles_are_told(lab: Lab) -> None:
    apply_peer(lab, "alice", privateKeySecretRef={"name": "hers"}, presharedKey={"secretRef": {"name": "hers"}})
    wait_for("the missing Secret to be told", lambda: reason(lab, "alice", "KeysReady") == "SecretNotFound")
    make_secret(lab, "hers", privateKey="rubbish")
    wait_for("the bad key to be told", lambda: reason(lab, "alice", "KeysReady") == "KeyInvalid", 90)
    assert "rubbish" not in json.dumps(status(lab, "alice"))
    raw = base64.b64encode(bytes([255] * 32)).decode()
    preshared = sh("wg", "genpsk").strip()
    make_secret(lab, "hers", privateKey=raw, presharedKey=preshared)
    lab.wait_ready("wgp", "alice", 90)
    shown = secret(lab, "alice-wireguard")
    clamped = base64.b64decode(shown["privateKey"])
    assert clamped[0] & 7 == 0 and clamped[31] & 192 == 64
    assert shown["publicKey"] == sh("wg", "pubkey", stdin=raw).strip() == status(lab, "alice")["publicKey"]
    assert shown["presharedKey"] == preshared
    lab.connect()
    wait_for("the ping", lab.ping, 15)
    # The copy outlives the original.
    lab.kubectl("delete", "secret", "hers")
    patch(lab, "wgp", "alice", description="looked at again")
    lab.wait_ready("wgp", "alice")
    assert secret(lab, "alice-wireguard") == shown and lab.ping()


def test_preshared_keys_follow_their_policy(lab: Lab) -> None:
    apply_peer(lab, "never", presharedKey={"policy": "Never"})
    apply_peer(lab, "device", publicKey=generate_pair().public)
    apply_peer(lab, "always", publicKey=generate_pair().public, presharedKey={"policy": "Always"})
    for name in ("never", "device", "always"):
        lab.wait_ready("wgp", name)
    assert "presharedKey" not in secret(lab, "never-wireguard")
    assert "presharedKey" not in secret(lab, "device-wireguard")
    config = secret(lab, "always-wireguard")["wg0.conf"]
    assert secret(lab, "always-wireguard")["presharedKey"] in config and "# PrivateKey" in config
    shown = sh("ip", "netns", "exec", lab.host.netns, "wg", "show", lab.host.interface, "preshared-keys")
    assert len(re.findall(r"\(none\)", shown)) == 2


def test_keys_that_nobody_knows_any_more_are_told_to_be_lost_and_new_ones_come_on_demand(lab: Lab) -> None:
    apply_peer(lab, "alice")
    apply_peer(lab, "device", publicKey=generate_pair().public)
    lab.wait_ready("wgp", "alice")
    lab.wait_ready("wgp", "device")
    before = status(lab, "alice")["publicKey"]
    lab.controller.end(kill=True)
    lab.kubectl("delete", "secret", "alice-wireguard", "device-wireguard")
    lab.start_controller()
    wait_for("the loss to be told", lambda: reason(lab, "alice", "KeysReady") == "KeyLost")
    assert condition(lab, "alice", "Stalled")["status"] == "True"
    patch(lab, "wgp", "alice", description="looked at again")
    generation = lab.get("wgp", "alice")["metadata"]["generation"]
    wait_for("the second look", lambda: status(lab, "alice")["observedGeneration"] == generation)
    assert reason(lab, "alice", "KeysReady") == "KeyLost" and status(lab, "alice")["publicKey"] == before
    # Of a device that keeps its key nothing was lost.
    wait_for("the Secret to come back", lambda: secret(lab, "device-wireguard"))
    lab.wait_ready("wgp", "device")
    patch(lab, "wgp", "alice", keyGeneration=1)
    lab.wait_ready("wgp", "alice")
    assert status(lab, "alice")["publicKey"] not in ("", before)
    assert status(lab, "alice")["addresses"] == ["10.8.0.2/32"]


def test_a_server_s_key_is_imported_rotated_on_demand_only_and_restored(lab: Lab) -> None:
    apply_peer(lab, "alice")
    lab.wait_ready("wgp", "alice")
    revision, key = status(lab, "alice")["configRevision"], status(lab, "berlin", "wgs")["publicKey"]
    lab.kubectl("delete", "secret", "berlin-wireguard-server")
    wait_for("the Secret to come back", lambda: secret(lab, "berlin-wireguard-server")["publicKey"] == key)
    patch(lab, "wgs", "berlin", keyGeneration=1)
    wait_for("the new key", lambda: status(lab, "berlin", "wgs")["publicKey"] != key)
    wait_for("the new configuration", lambda: status(lab, "alice")["configRevision"] != revision)
    lab.wait_ready("wgp", "alice")
    lab.connect()
    wait_for("the ping", lab.ping, 15)
    made = generate_pair()
    make_secret(lab, "ours", privateKey=made.private.reveal())
    patch(lab, "wgs", "berlin", privateKeySecretRef={"name": "ours"})
    wait_for("the imported key", lambda: status(lab, "berlin", "wgs")["publicKey"] == made.public)
    lab.wait_ready("wgs", "berlin")
    patch(lab, "wgs", "berlin", privateKeySecretRef=None)
    lab.controller.end(kill=True)
    lab.kubectl("delete", "secret", "berlin-wireguard-server")
    lab.start_controller()
    wait_for("the loss to be told", lambda: reason(lab, "berlin", "KeysReady", "wgs") == "KeyLost")
    # It is for a person to decide that every client has to be cut; until then all goes on as it is.
    time.sleep(3)
    assert reason(lab, "berlin", "KeysReady", "wgs") == "KeyLost"
    assert status(lab, "berlin", "wgs")["publicKey"] == made.public
    assert len(lab.host.allowed_ips()) == 1 and status(lab, "alice")["addresses"]
