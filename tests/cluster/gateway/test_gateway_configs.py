"""What clients import: it is what the operator wrote, it takes a right of its own, and every look is recorded."""

from __future__ import annotations

import base64
import json

import pytest
from gateway_client import Provider, ok

from tools.lab import wait_for

READ = [{"apiGroups": ["wireguard.dotmac.io"], "resources": ["*"], "verbs": ["get", "list"]}]
READ_PEERS = [{"apiGroups": ["wireguard.dotmac.io"], "resources": ["wireguardpeers"], "verbs": ["get", "list"]}]


@pytest.fixture(scope="module")
def alice(gateway: Provider) -> str:
    """The id of the sample peer."""
    peers = ok(gateway.one.get("/peers"))["peers"]
    return next(str(peer["id"]) for peer in peers if peer["object_name"] == "alice")


def test_the_configuration_is_the_one_of_the_secret(gateway: Provider, alice: str) -> None:
    wanted = gateway.lab.configuration()
    answer = ok(gateway.one.get(f"/peers/{alice}/config"))
    assert (answer["config_file"], answer["config_content"], answer["filename"]) == (wanted, wanted, "alice.conf")
    download = gateway.one.get(f"/peers/{alice}/config/download")
    assert download.text == wanted
    assert download.headers["Content-Disposition"] == 'attachment; filename="alice.conf"'
    assert download.headers["Cache-Control"] == "no-store"


def test_the_qr_code_is_a_picture_in_json_or_by_itself(gateway: Provider, alice: str) -> None:
    answer = ok(gateway.one.get(f"/peers/{alice}/qr-code"))
    picture = base64.b64decode(answer["qr_code"])
    assert picture.startswith(b"\x89PNG")
    alone = gateway.one.get(f"/peers/{alice}/qr-code", headers={"Accept": "image/png"})
    assert (alone.headers["Content-Type"], alone.content) == ("image/png", picture)
    svg = gateway.one.get(f"/peers/{alice}/qr-code", params={"format": "svg"})
    assert svg.headers["Content-Type"] == "image/svg+xml"
    assert b"<svg" in svg.content


def test_new_keys_keep_the_addresses_and_change_the_configuration(gateway: Provider, alice: str) -> None:
    before = ok(gateway.one.get(f"/peers/{alice}"))
    old = ok(gateway.one.get(f"/peers/{alice}/config"))
    after = ok(gateway.one.post(f"/peers/{alice}/regenerate"))
    assert after["public_key"] != before["public_key"]
    assert after["peer_ipv4"] == before["peer_ipv4"]
    new = ok(gateway.one.get(f"/peers/{alice}/config"))
    assert new["config_file"] != old["config_file"]
    assert new["revision"] != old["revision"]


def test_a_device_that_keeps_its_key_gets_the_rest_and_no_qr_code(gateway: Provider) -> None:
    berlin = ok(gateway.one.get("/servers"))["servers"][0]["id"]
    key = "q2Gp4sxmxSO6Q5ZYRhTgqGMdM0gLrGNkKXiX4zLJ7BY="
    wanted = {"server_id": berlin, "name": "router", "generate_keys": False, "public_key": key}
    made = ok(gateway.one.post("/peers", json=wanted), 201)
    assert (made["has_private_key"], made["private_key"], made["public_key"]) == (False, None, key)
    assert "# PrivateKey = " in ok(gateway.one.get(f"/peers/{made['id']}/config"))["config_file"]
    assert "keeps its private key" in ok(gateway.one.get(f"/peers/{made['id']}/qr-code"), 409)["detail"]
    assert "keeps the private key" in ok(gateway.one.post(f"/peers/{made['id']}/regenerate"), 409)["detail"]
    double = wanted | {"name": "router-2"}
    assert "peer router has this key" in ok(gateway.one.post("/peers", json=double), 409)["detail"]


def test_support_reads_peers_but_no_configuration(gateway: Provider, alice: str) -> None:
    token = gateway.process.token(gateway.tenant, "support", READ_PEERS)
    with gateway.client(token) as support:
        ok(support.get(f"/peers/{alice}"))
        for path in ("config", "config/download", "qr-code"):
            assert "wireguardpeers/config" in ok(support.get(f"/peers/{alice}/{path}"), 403)["detail"]
        ok(support.post(f"/peers/{alice}/suspend", json={}), 403)
        ok(support.post("/provision", json={"subscriber_id": "s"}), 403)
        ok(support.delete(f"/peers/{alice}"), 403)
        ok(support.get("/servers"), 403)
        ok(support.get("/dashboard"), 403)


def test_every_look_and_write_is_recorded_and_no_key_is(gateway: Provider, alice: str) -> None:
    config = ok(gateway.one.get(f"/peers/{alice}/config", headers={"X-Request-ID": "look-4711"}))["config_file"]
    ok(gateway.one.patch(f"/peers/{alice}", json={"notes": "x"}, headers={"X-Request-ID": "write-4711"}))
    wait_for("the records", lambda: "look-4711" in gateway.log() and "write-4711" in gateway.log())
    records = [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]
    by_request = {record["requestId"]: record for record in records}
    look, write = by_request["look-4711"], by_request["write-4711"]
    account = f"system:serviceaccount:{gateway.tenant}:billing"
    assert (look["user"], look["tenant"], look["verb"]) == (account, gateway.tenant, "get")
    assert (look["resource"], look["name"], look["outcome"]) == ("wireguardpeers/config", "alice", "revealed")
    assert (write["verb"], write["resource"], write["outcome"]) == ("patch", "wireguardpeers", "done")
    changed_by = gateway.lab.get("wgp", "alice")["metadata"]["annotations"]["wireguard.dotmac.io/last-changed-by"]
    assert changed_by == account
    secrets = [line.partition(" = ")[2] for line in config.splitlines() if "Key = " in line and "Public" not in line]
    assert secrets
    assert not any(secret in gateway.log() for secret in secrets)
    assert gateway.token not in gateway.log()
