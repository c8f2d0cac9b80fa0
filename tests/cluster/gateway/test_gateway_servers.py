"""Servers over the REST API, their health, and the figures of a tenant."""

from __future__ import annotations

from uuid import uuid4

import pytest
from gateway_client import Provider, ok

NEW = {
    "public_endpoint": "vpn.example.net:51821",
    "server_ipv4": "10.20.0.1/24",
    "server_ipv6": "fd00:20::1/64",
    "location": "Frankfurt",
    "max_peers": 50,
    "dns_servers": ["9.9.9.9"],
    "persistent_keepalive": 0,
    "metadata": {"rack": 7},
}


def test_a_server_is_made_with_its_key_and_read_changed_and_deleted(gateway: Provider) -> None:
    made = ok(gateway.one.post("/servers", json=NEW | {"name": "Frankfurt 1", "description": "first"}), 201)
    assert made["public_key"]
    assert (made["name"], made["description"], made["metadata_"]) == ("Frankfurt 1", "first", {"rack": 7})
    assert (made["server_ipv4"], made["server_ipv6"]) == ("10.20.0.1/24", "fd00:20::1/64")
    assert (made["public_endpoint"], made["listen_port"]) == ("vpn.example.net:51821", 51820)
    assert (made["max_peers"], made["current_peers"], made["has_capacity"]) == (50, 0, True)
    path = f"/servers/{made['id']}"
    assert ok(gateway.one.get(path))["id"] == made["id"]
    assert (
        gateway.lab.get("wgs", made["object_name"])["metadata"]["annotations"]["wireguard.dotmac.io/id"] == made["id"]
    )
    assert [s["id"] for s in ok(gateway.one.get("/servers", params={"location": "Frankfurt"}))["servers"]] == [
        made["id"]
    ]
    changed = ok(gateway.one.patch(path, json={"name": "FRA", "location": None, "metadata": {"rack": 8}}))
    assert (changed["name"], changed["location"], changed["metadata"]) == ("FRA", None, {"rack": 8})
    assert changed["dns_servers"] == ["9.9.9.9"]
    assert ok(gateway.one.patch(path, json={"status": "maintenance"}))["status"] == "maintenance"
    assert ok(gateway.one.patch(path, json={"is_active": False}))["status"] == "inactive"
    assert "degraded is observed" in ok(gateway.one.patch(path, json={"status": "degraded"}), 422)["detail"]
    renewed = ok(gateway.one.post(f"{path}/regenerate-keys"))
    assert renewed["public_key"] != made["public_key"]
    ok(gateway.one.delete(path), 204)
    ok(gateway.one.get(path), 404)
    assert "already" in ok(gateway.one.post("/servers", json=NEW | {"name": "berlin"}), 409)["detail"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("server_ipv4", "10.20.0.9/24", "first address of its network: 10.20.0.1/24"),
        ("server_ipv4", "fd00::1/64", "is not IPv4"),
        ("server_ipv4", "10.20.0.1/31", "no room"),
        ("public_endpoint", "vpn.example.net", "is not host:port"),
        ("public_endpoint", "2001:db8::1:51820", "stands in brackets"),
        ("public_endpoint", "vpn_1.example.net:51820", "public_endpoint"),
        ("max_peers", 0, "max_peers:"),
        ("dns_servers", ["not a name!"], "dns_servers"),
        ("name", "two\nlines", "name:"),
    ],
)
def test_a_wrong_field_of_a_server_is_named_in_a_sentence(
    gateway: Provider, field: str, value: object, told: str
) -> None:
    assert told in ok(gateway.one.post("/servers", json=NEW | {"name": "wrong", field: value}), 422)["detail"]


def test_a_server_with_peers_is_deleted_with_them_only_when_told_to(gateway: Provider) -> None:
    made = ok(gateway.one.post("/servers", json=NEW | {"name": "doomed"}), 201)
    peer = {"server_id": made["id"], "name": "doomed-peer"}
    created = gateway.one.post("/peers", json=peer)
    assert created.status_code == 202, "there is no pod that could take it"
    path = f"/servers/{made['id']}"
    assert "1 peers" in ok(gateway.one.delete(path), 409)["detail"]
    ok(gateway.one.delete(path, params={"force": True}), 204)
    ok(gateway.one.get(f"/peers/{created.json()['id']}"), 404)


def test_health_and_counts_have_the_fields_of_all_clients(gateway: Provider) -> None:
    berlin = ok(gateway.one.get("/servers"))["servers"][0]
    health = ok(gateway.one.get(f"/servers/{berlin['id']}/health"))
    assert (health["healthy"], health["status"], health["interface_status"]) == (True, "healthy", "up")
    assert (health["issues"], health["error"]) == ([], None)
    assert {"capacity_utilization", "capacity_used_percent", "timestamp", "wireguard"} <= health.keys()
    counts = ok(gateway.one.get(f"/servers/{berlin['id']}/status"))
    assert counts["total_peers"] >= 1
    synced = ok(gateway.one.post("/stats/sync", json={"server_id": berlin["id"]}))
    assert synced["server_id"] == berlin["id"]
    ok(gateway.one.post("/stats/sync", json={"server_id": str(uuid4())}), 404)


def test_the_dashboard_counts_servers_and_peers(gateway: Provider) -> None:
    board = ok(gateway.one.get("/dashboard"))
    assert board["servers"]["by_status"]["active"] == board["servers"]["active"] >= 1
    peers = board["peers"]
    assert peers["total"] == sum(peers["by_status"].values()) == peers["online"] + peers["offline"] >= 1
    assert set(board["traffic"]) == {"total_rx_bytes", "total_tx_bytes", "total_bytes"}
    assert ok(gateway.other.get("/dashboard"))["peers"]["total"] == 0


def test_both_prefixes_answer_alike(gateway: Provider) -> None:
    alias = gateway.process.url + "/api/isp/v1/wireguard/servers"
    assert ok(gateway.one.get(alias)) == ok(gateway.one.get("/servers"))
