"""Devices that keep their key register themselves and connect; scripts for routers; the log of a peer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from gateway_client import Provider, ok
from gateway_peers import add_peer, id_of
from isp import condition, patch

from tools.lab import sh, wait_for

REGISTER = "/api/v1/wireguard-provision/register"


def register(provider: Provider, token: str, public_key: str, path: str = REGISTER) -> httpx.Response:
    """What a device does, which has no other credentials."""
    sent = {"token": token, "public_key": public_key}
    return httpx.post(provider.process.url + path, json=sent, timeout=60, trust_env=False)


def key_pair() -> tuple[str, str]:
    private = sh("wg", "genkey").strip()
    return private, sh("wg", "pubkey", stdin=private).strip()


def provision_token(provider: Provider, id_: str, **wanted: int) -> str:
    token: str = ok(provider.one.post(f"/peers/{id_}/provision-token", json=wanted), 201)["token"]
    return token


def test_a_device_registers_its_own_key_and_connects_with_what_it_is_told(gateway: Provider) -> None:
    lab = gateway.lab
    id_ = add_peer(gateway, "router")
    lab.wait_ready("wgp", "router")
    private, public = key_pair()
    answer = ok(register(gateway, provision_token(gateway, id_), public))
    assert answer["peer_id"] == id_
    assert answer["addresses"] == lab.get("wgp", "router")["status"]["addresses"]
    assert answer["endpoint"].startswith(lab.host.address)
    assert f"# PrivateKey = the one whose public key is {public}" in answer["config_file"]
    assert "\nPrivateKey" not in answer["config_file"]
    # Once with the file, in which the device puts its own key.
    config = answer["config_file"].replace("# PrivateKey", f"PrivateKey = {private}\n# PrivateKey", 1)
    lab.connect(configuration=config)
    try:
        wait_for("the first ping of the device", lab.ping, 30)
    finally:
        lab.disconnect()
    secret = lab.get("secret", "router-wireguard")
    assert "privateKey" not in secret["data"]
    assert private not in gateway.log()


def test_a_token_is_good_for_one_device_however_many_come_at_once(gateway: Provider) -> None:
    id_ = add_peer(gateway, "contested")
    token, keys = provision_token(gateway, id_), [key_pair()[1] for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda key: register(gateway, token, key), keys))
    won = [key for key, answer in zip(keys, answers, strict=True) if answer.status_code in (200, 202)]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} - {200, 202} == {401}
    assert gateway.lab.get("wgp", "contested")["spec"]["publicKey"] == won[0]
    again = register(gateway, token, keys[0], "/api/v1/wireguard/register")
    assert again.status_code == 401
    assert token.partition(".")[2] not in gateway.log()


def test_a_token_is_not_spent_on_a_key_that_is_none(gateway: Provider) -> None:
    id_ = add_peer(gateway, "typist")
    token, (_, public) = provision_token(gateway, id_), key_pair()
    wrongs = {"AAAA": "a WireGuard key has 32", "A" * 43 + "=": "all zero", public[:42] + "B=": "wg pubkey"}
    for wrong, named in wrongs.items():
        answer = register(gateway, token, wrong)
        assert answer.status_code == 422
        assert "public_key" in answer.text
        assert named in answer.text
    assert register(gateway, token, public).status_code in (200, 202)


def test_a_token_ends_with_its_peer_and_with_the_next_peer_of_the_name(gateway: Provider) -> None:
    id_ = add_peer(gateway, "reborn")
    token = provision_token(gateway, id_)
    gateway.lab.kubectl("delete", "wgp", "reborn")
    assert register(gateway, token, key_pair()[1]).status_code == 401
    add_peer(gateway, "reborn")
    assert register(gateway, token, key_pair()[1]).status_code == 401
    assert "publicKey" not in gateway.lab.get("wgp", "reborn")["spec"]


def test_a_peer_with_an_imported_key_takes_none_from_a_device(gateway: Provider) -> None:
    lab = gateway.lab
    private, public = key_pair()
    lab.kubectl("create", "secret", "generic", "imported", f"--from-literal=privateKey={private}")
    id_ = add_peer(gateway, "importer", privateKeySecretRef={"name": "imported"})
    token = provision_token(gateway, id_)
    answer = register(gateway, token, public)
    assert answer.status_code == 409
    assert "privateKeySecretRef" in answer.json()["detail"]
    lab.kubectl("patch", "wgp", "importer", "--type=merge", "-p", '{"spec":{"privateKeySecretRef":null}}')
    assert register(gateway, token, public).status_code in (200, 202)


@pytest.mark.parametrize("token", ["x", "t-0123456789abcdef0123.x.y.z", "t-" + "0" * 20 + ".", "." * 5000])
def test_what_is_no_token_is_refused_in_the_same_words(gateway: Provider, token: str) -> None:
    answer = register(gateway, token, key_pair()[1])
    assert (answer.status_code, answer.json()["detail"][:25]) == (401, "this token cannot be used")


def test_a_token_of_a_caller_is_no_provision_token_and_the_other_way_round(gateway: Provider) -> None:
    id_ = id_of(gateway, "alice")
    token = provision_token(gateway, id_)
    name, _, secret = token.partition(".")
    assert register(gateway, f"{name}.{gateway.token}", key_pair()[1]).status_code == 401
    with gateway.client(secret) as client:
        assert client.get(f"/peers/{id_}/connection-logs").status_code == 401


@pytest.mark.parametrize("hours", [0, 169, -1])
def test_a_token_lives_from_an_hour_to_a_week(gateway: Provider, hours: int) -> None:
    answer = gateway.one.post(f"/peers/{id_of(gateway, 'alice')}/provision-token", json={"expires_in_hours": hours})
    assert answer.status_code == 422
    assert "expires_in_hours" in answer.json()["detail"]


def test_the_script_for_a_router_holds_what_the_configuration_does_and_its_reading_is_recorded(
    gateway: Provider,
) -> None:
    id_ = id_of(gateway, "alice")
    config = gateway.lab.configuration("alice")
    private = next(line.partition(" = ")[2] for line in config.splitlines() if line.startswith("PrivateKey"))
    shown = ok(gateway.one.get(f"/peers/{id_}/mikrotik-script"))
    file = gateway.one.get(f"/peers/{id_}/mikrotik-script/download")
    assert file.text == shown["script"]
    assert file.headers["content-disposition"] == 'attachment; filename="wg-alice.rsc"'
    assert f'private-key="{private}"' in file.text
    assert file.headers["cache-control"] == "no-store"
    records = [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]
    read = [record for record in records if record["resource"] == "wireguardpeers/config"]
    assert len(read) >= 2
    assert (read[-1]["user"], read[-1]["name"]) == (f"system:serviceaccount:{gateway.tenant}:billing", "alice")
    assert private not in gateway.log()


def test_a_script_is_for_those_who_may_read_configurations(gateway: Provider) -> None:
    support = [{"apiGroups": ["wireguard.dotmac.io"], "resources": ["wireguardpeers"], "verbs": ["get", "list"]}]
    with gateway.client(gateway.process.token(gateway.tenant, "support", support)) as client:
        assert client.get(f"/peers/{id_of(gateway, 'alice')}/mikrotik-script").status_code == 403
        assert client.get(f"/peers/{id_of(gateway, 'alice')}/connection-logs").status_code == 200


def test_the_log_of_a_peer_tells_its_events_and_says_how_far_it_reaches(gateway: Provider) -> None:
    id_ = add_peer(gateway, "busy")
    gateway.lab.wait_ready("wgp", "busy")
    patch(gateway.lab, "wgp", "busy", suspensions=[{"reason": "abuse", "by": "ann", "since": "2026-01-01T00:00:00Z"}])
    wait_for("the peer to be suspended", lambda: condition(gateway.lab, "busy")["reason"] == "Suspended", 30)

    def events() -> list[str]:
        log = ok(gateway.one.get(f"/peers/{id_}/connection-logs"))
        return [entry["message"] for entry in log["logs"] if entry["source"] == "event"]

    wait_for("the Event to be in the log", lambda: any("abuse by ann" in text for text in events()), 30)
    log = ok(gateway.one.get(f"/peers/{id_}/connection-logs"))
    times = [entry["timestamp"] for entry in log["logs"]]
    assert times == sorted(times, reverse=True)
    assert {"created", "suspended", "condition"} <= {entry["event_type"] for entry in log["logs"]}
    assert "Events that the API server still has" in log["reach"]
    page = ok(gateway.one.get(f"/peers/{id_}/connection-logs", params={"limit": 2, "offset": 1}))
    assert (page["logs"], page["total"]) == (log["logs"][1:3], log["total"])


def test_nothing_about_a_peer_is_told_to_another_tenant(gateway: Provider) -> None:
    known, unknown = id_of(gateway, "alice"), "6b0f5a52-0000-4000-8000-000000000000"
    for method, path in (
        ("GET", "mikrotik-script"),
        ("GET", "mikrotik-script/download"),
        ("GET", "connection-logs"),
        ("POST", "provision-token"),
    ):
        answers = [gateway.other.request(method, f"/peers/{id_}/{path}") for id_ in (known, unknown)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(known, unknown) == answers[1].text
