"""The calls that dotmac's programs make, in their order, and what they expect of the answers."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dotmac_shapes import (
    BULK,
    DASHBOARD,
    FTTH_CONFIG,
    FTTH_PEER,
    FTTH_SERVER,
    HEALTH,
    PAGES_PEER,
    PAGES_QR,
    PROVISIONED,
    SUB_PEER,
    Shape,
    faults,
    identifier,
    moment,
)
from gateway_client import Provider, ok

from tools.lab import sh
from wireguard_operator.gateway.cache.identity import server_id

PREFIXES = {"v1": "/api/v1/wireguard", "isp": "/api/isp/v1/wireguard"}


def expect(answer: httpx.Response, shape: Shape, status: int = 200) -> Any:
    """The answer, which has this status and this shape."""
    found = ok(answer, status)
    assert list(faults(found, shape)) == []
    return found


@pytest.fixture(scope="module")
def berlin(gateway: Provider) -> str:
    return server_id(gateway.lab.get("wgs", "berlin"))


@pytest.fixture(params=PREFIXES.values(), ids=PREFIXES.keys())
def platform(gateway: Provider, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """The platform's client, which names its tenant in a header."""
    headers = {"Authorization": f"Bearer {gateway.token}", "X-Tenant-ID": gateway.tenant}
    url = gateway.process.url + request.param
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def peer_of(berlin: str, **fields: Any) -> dict[str, Any]:
    """A body as the platform makes it."""
    return {
        "server_id": berlin,
        "name": unique("peer"),
        "customer_id": str(uuid.uuid4()),
        "subscriber_id": "sub-1",
        "generate_keys": True,
        "metadata": {"plan": "gold", "nested": {"a": [1, None]}},
        "notes": "third floor",
    } | fields


def test_the_platform_makes_reads_changes_and_deletes_a_server(platform: httpx.Client) -> None:
    body = {
        "name": unique("frankfurt"),
        "public_endpoint": "vpn.example.net:51820",
        "listen_port": 51820,
        "server_ipv4": "10.77.0.1/24",
        "location": "Frankfurt",
        "max_peers": 100,
        "dns_servers": ["9.9.9.9"],
        "allowed_ips": ["0.0.0.0/0"],
        "persistent_keepalive": 25,
        "metadata": {"rack": 7},
    }
    made = expect(platform.post("/servers", json=body), FTTH_SERVER, 201)
    assert made["metadata_"] == made["metadata"] == {"rack": 7}
    assert (made["server_ipv4"], made["location"], made["max_peers"]) == ("10.77.0.1/24", "Frankfurt", 100)
    listed = expect(platform.get("/servers"), {"servers": [FTTH_SERVER], "total": int, "limit": int, "offset": int})
    assert made["id"] in [server["id"] for server in listed["servers"]]
    changed = expect(platform.patch(f"/servers/{made['id']}", json={"max_peers": 50}), FTTH_SERVER)
    assert (changed["max_peers"], changed["name"]) == (50, body["name"])
    expect(platform.get(f"/servers/{made['id']}/health"), HEALTH)
    assert platform.delete(f"/servers/{made['id']}").status_code == 204
    expect(platform.get(f"/servers/{made['id']}"), {"detail": str}, 404)


def test_the_platform_makes_reads_changes_and_deletes_a_peer(platform: httpx.Client, berlin: str) -> None:
    body = peer_of(berlin, allowed_ips=["10.8.0.0/24"])
    made = expect(platform.post("/peers", json=body), FTTH_PEER, 201)
    assert made["metadata_"] == made["metadata"] == body["metadata"]
    assert made["peer_ipv4"].endswith("/32")
    path = f"/peers/{made['id']}"
    expect(platform.get(path), PAGES_PEER)
    config = expect(platform.get(f"{path}/config"), FTTH_CONFIG)
    assert "PrivateKey = " in config["config_file"]
    for status, enabled in (("disabled", False), ("active", True)):
        assert expect(platform.patch(path, json={"status": status}), FTTH_PEER)["enabled"] is enabled
    assert expect(platform.patch(path, json={"metadata": {"plan": "iron"}}), FTTH_PEER)["metadata_"] == {"plan": "iron"}
    expect(platform.post(f"{path}/regenerate"), FTTH_PEER)
    assert platform.delete(path).status_code == 204
    expect(platform.get(path), {"detail": str}, 404)


def test_lists_are_filtered_by_what_the_platform_asks_for(platform: httpx.Client, berlin: str) -> None:
    customer, line = str(uuid.uuid4()), unique("line")
    made = ok(platform.post("/peers", json=peer_of(berlin, customer_id=customer, subscriber_id=line)), 201)
    envelope = {"peers": [FTTH_PEER], "total": int, "limit": int, "offset": int}
    for query in ({"customer_id": customer}, {"subscriber_id": line}):
        found = expect(platform.get("/peers", params={**query, "server_id": berlin, "limit": 10}), envelope)
        assert ([peer["id"] for peer in found["peers"]], found["total"], found["limit"]) == ([made["id"]], 1, 10)
    assert expect(platform.get("/peers", params={"limit": 1, "offset": 1}), envelope)["offset"] == 1
    expect(platform.get("/peers", params={"limit": 1001}), {"detail": str}, 422)


def test_the_web_pages_get_bare_arrays_a_code_and_the_fields_that_they_show(
    platform: httpx.Client, berlin: str
) -> None:
    expect(platform.get("/servers", params={"envelope": "false"}), [FTTH_SERVER])
    peers = expect(platform.get("/peers", headers={"Accept": "application/json;envelope=false"}), [PAGES_PEER])
    alice = next(peer["id"] for peer in peers if peer["name"] == "alice")
    qr = expect(platform.get(f"/peers/{alice}/qr-code"), PAGES_QR)
    assert base64.b64decode(qr["qr_code"]).startswith(b"\x89PNG")
    expect(platform.get("/dashboard"), DASHBOARD)
    # They send some fields by other names, and a list as a text.
    body = {"server_id": berlin, "peer_name": unique("page"), "allowed_ips": "10.0.0.0/8, fd00::/8"}
    made = expect(platform.post("/peers", json=body | {"expiration_date": "2040-01-01T00:00:00Z"}), PAGES_PEER, 201)
    assert made["allowed_ips"] == ["10.0.0.0/8", "fd00::/8"]
    assert made["expires_at"] == made["expiration_date"] == "2040-01-01T00:00:00Z"


def test_many_peers_are_made_at_once(platform: httpx.Client, berlin: str) -> None:
    body = {"server_id": berlin, "count": 5, "name_prefix": unique("bulk") + "-"}
    made = expect(platform.post("/peers/bulk", json=body), BULK, 201)
    assert (made["created"], made["failed"], len(made["peers"])) == (5, 0, 5)
    again = expect(platform.post("/peers/bulk", json=body | {"count": 6}), BULK, 201)
    assert (again["created"], [error["index"] for error in again["errors"]]) == (1, [0, 1, 2, 3, 4])
    expect(platform.post("/peers/bulk", json=body | {"count": 101}), {"detail": str}, 422)


def test_a_service_is_provisioned_in_one_call(platform: httpx.Client) -> None:
    body = {"customer_id": str(uuid.uuid4()), "subscriber_id": unique("line")}
    made = expect(platform.post("/provision", json=body), PROVISIONED, 201)
    assert made["peer"]["subscriber_id"] == body["subscriber_id"]
    assert made["server"]["name"] == "berlin"
    assert "[Peer]" in made["config_file"]


def test_counters_are_synchronised_on_request(platform: httpx.Client, berlin: str) -> None:
    expect(platform.post("/stats/sync", json={"server_id": berlin}), {"server_id": identifier, "timestamp": moment})


def test_dotmac_sub_finds_its_own_endpoints(gateway: Provider, berlin: str) -> None:
    sub = gateway.one
    made = expect(sub.post("/peers", json=peer_of(berlin)), SUB_PEER, 201)
    assert made["private_key"]
    path = f"/peers/{made['id']}"
    read = expect(sub.get(path), SUB_PEER)
    assert read["has_private_key"] is True
    assert "private_key" not in read
    assert expect(sub.post(f"{path}/disable"), SUB_PEER)["enabled"] is False
    assert expect(sub.post(f"{path}/enable"), SUB_PEER)["enabled"] is True
    assert sub.get(f"{path}/config/download").text.startswith("[Interface]\n")
    assert "/interface wireguard" in ok(sub.get(f"{path}/mikrotik-script"))["script"]
    assert "/interface wireguard" in sub.get(f"{path}/mikrotik-script/download").text
    expect(sub.get(f"{path}/connection-logs"), {"logs": [dict]})
    expect(sub.get(f"/servers/{berlin}/status"), {"total_peers": int})
    expect(sub.get("/peers", params={"envelope": "false"}), [SUB_PEER])
    token = ok(sub.post(f"{path}/provision-token", json={"expires_in_hours": 1}), 201)["token"]
    public = sh("wg", "pubkey", stdin=sh("wg", "genkey")).strip()
    url = f"{gateway.process.url}/api/v1/wireguard-provision/register"
    ok(httpx.post(url, json={"token": token, "public_key": public}, timeout=30, trust_env=False))
    after = expect(sub.get(path), SUB_PEER)
    assert (after["public_key"], after["has_private_key"]) == (public, False)
