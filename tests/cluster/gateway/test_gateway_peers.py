"""Peers over the REST API: made, read, changed, deleted, and really on the device."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from gateway_client import Provider, ok

from tools.lab import wait_for


@pytest.fixture(scope="module")
def berlin(gateway: Provider) -> str:
    """The id of the sample server."""
    found: str = ok(gateway.one.get("/servers"))["servers"][0]["id"]
    return found


def test_a_peer_is_made_and_on_the_device_when_the_answer_comes(gateway: Provider, berlin: str) -> None:
    customer = str(uuid4())
    wanted = {
        "server_id": berlin,
        "name": "Bob's laptop",
        "customer_id": customer,
        "subscriber_id": "line-17",
        "description": "for travel",
        "allowed_ips": "10.0.0.0/8, 192.168.0.0/16",
        "expires_at": "2099-01-01T00:00:00+01:00",
        "metadata": {"plan": "gold", "nested": {"a": [1, None]}},
        "notes": "calls at night",
    }
    made = ok(gateway.one.post("/peers", json=wanted), 201)
    assert made["programmed"] is True
    assert made["status"] == "active"
    assert (made["name"], made["peer_name"], made["customer_id"]) == ("Bob's laptop", "Bob's laptop", customer)
    assert made["metadata"] == made["metadata_"] == wanted["metadata"]
    assert made["allowed_ips"] == ["10.0.0.0/8", "192.168.0.0/16"]
    assert made["expires_at"] == "2098-12-31T23:00:00Z"
    assert made["peer_ipv4"].startswith("10.8.0.")
    assert made["peer_ipv4"].endswith("/32")
    assert made["has_private_key"] is True
    assert made["private_key"]
    read = ok(gateway.one.get(f"/peers/{made['id']}"))
    assert "private_key" not in read
    assert read["public_key"] == made["public_key"]
    peer = gateway.lab.get("wgp", made["object_name"])
    assert peer["spec"]["subscriber"]["externalId"] == made["id"]
    assert made["public_key"] in gateway.device()


def test_a_peer_that_is_to_be_off_the_device_is_complete_without_being_there(gateway: Provider, berlin: str) -> None:
    for name, more, status in (
        ("made-off", {"status": "disabled"}, "disabled"),
        ("made-late", {"expiration_date": "2020-01-01T00:00:00"}, "expired"),
    ):
        made = ok(gateway.one.post("/peers", json={"server_id": berlin, "name": name} | more), 201)
        assert (made["status"], made["programmed"]) == (status, False)
        assert made["public_key"] not in gateway.device()


def test_a_second_peer_of_the_same_name_is_refused(gateway: Provider, berlin: str) -> None:
    wanted = {"server_id": berlin, "name": "twice"}
    ok(gateway.one.post("/peers", json=wanted), 201)
    assert "twice" in ok(gateway.one.post("/peers", json=wanted), 409)["detail"]


def test_a_taken_address_is_refused_and_nothing_is_left_behind(gateway: Provider, berlin: str) -> None:
    first = ok(gateway.one.post("/peers", json={"server_id": berlin, "name": "a1", "peer_ipv4": "10.8.0.77/32"}), 201)
    assert first["peer_ipv4"] == "10.8.0.77/32"
    second = {"server_id": berlin, "name": "a2", "peer_ip": "10.8.0.77"}
    assert "10.8.0.77" in ok(gateway.one.post("/peers", json=second), 409)["detail"]
    names = [peer["name"] for peer in ok(gateway.one.get("/peers", params={"envelope": "false"}))]
    assert "a2" not in names
    ok(gateway.one.post("/peers", json=second | {"peer_ip": "10.8.0.78"}), 201)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "name:"),
        ("peer_ipv4", "10.9.0.5", "10.9.0.5"),
        ("peer_ipv4", "10.8.0.0/24", "a peer has a single address"),
        ("allowed_ips", ["10.8.0.5/24"], "10.8.0.0/24 would be the network"),
        ("expires_at", "tomorrow", "expires_at:"),
        ("public_key", "AAAA", "public_key"),
        ("private_key", "x", "private_key is not taken"),
        ("generate_keys", False, "public_key is needed"),
        ("metadata", {"long": "x" * 20000}, "metadata:"),
    ],
)
def test_a_wrong_field_is_named_in_a_sentence(
    gateway: Provider, berlin: str, field: str, value: object, told: str
) -> None:
    answer = gateway.one.post("/peers", json={"server_id": berlin, "name": "wrong", field: value})
    assert told in ok(answer, 422)["detail"]


def test_a_change_names_only_what_changes(gateway: Provider, berlin: str) -> None:
    made = ok(gateway.one.post("/peers", json={"server_id": berlin, "name": "change", "notes": "old"}), 201)
    path = f"/peers/{made['id']}"
    changed = ok(gateway.one.patch(path, json={"peer_name": "Renamed", "metadata": {"a": 1}, "allowed_ips": None}))
    assert (changed["name"], changed["notes"], changed["metadata"]) == ("Renamed", "old", {"a": 1})
    off = ok(gateway.one.patch(path, json={"status": "disabled"}))
    assert (off["status"], off["enabled"], off["is_active"]) == ("disabled", False, False)
    wait_for("the peer to be off the device", lambda: made["public_key"] not in gateway.device())
    on = ok(gateway.one.patch(path, json={"status": "active"}))
    assert on["enabled"] is True
    wait_for("the peer to be on the device", lambda: made["public_key"] in gateway.device())
    over = ok(gateway.one.patch(path, json={"status": "expired"}))
    assert (over["status"], over["is_expired"]) == ("expired", True)
    ok(gateway.one.patch(path, json={"expires_at": None}))
    ok(gateway.one.delete(path), 204)
    ok(gateway.one.get(path), 404)
    ok(gateway.one.delete(path), 404)


def test_a_lock_is_lifted_by_its_own_reason_only(gateway: Provider, berlin: str) -> None:
    made = ok(gateway.one.post("/peers", json={"server_id": berlin, "name": "locks"}), 201)
    path = f"/peers/{made['id']}"
    for reason in ("abuse", "non-payment", "abuse"):
        locked = ok(gateway.one.post(f"{path}/suspend", json={"reason": reason, "message": "see ticket 5"}))
        assert locked["status"] == "suspended"
    assert [lock["reason"] for lock in locked["suspensions"]] == ["abuse", "non-payment"]
    wait_for("the peer to be off the device", lambda: made["public_key"] not in gateway.device())
    assert ok(gateway.one.post(f"{path}/resume", json={"reason": "abuse"}))["status"] == "suspended"
    assert ok(gateway.one.post(f"{path}/resume", json={"reason": "abuse"}))["status"] == "suspended"
    assert ok(gateway.one.post(f"{path}/resume", json={"reason": "non-payment"}))["suspensions"] == []
    wait_for("the peer to be active", lambda: ok(gateway.one.get(path))["status"] == "active")
    assert made["public_key"] in gateway.device()
    assert ok(gateway.one.post(f"{path}/disable"))["status"] == "disabled"
    ok(gateway.one.post(f"{path}/enable"))


def test_peers_made_with_kubectl_have_an_id_that_stays(gateway: Provider) -> None:
    alice = next(peer for peer in ok(gateway.one.get("/peers"))["peers"] if peer["object_name"] == "alice")
    assert UUID(alice["id"])
    assert ok(gateway.one.get(f"/peers/{alice['id']}"))["object_name"] == "alice"


def test_lists_are_filtered_counted_and_cut_into_pages(gateway: Provider, berlin: str) -> None:
    customer = str(uuid4())
    rows = [
        {"name": f"page-{number}", "customer_id": customer, "subscriber_id": f"page-line-{number % 2}"}
        for number in range(5)
    ]
    bulk = ok(gateway.one.post("/peers/bulk", json={"server_id": berlin, "peers": rows}), 201)
    assert (bulk["created"], bulk["failed"], bulk["errors"]) == (5, 0, [])
    query = {"customer_id": customer, "limit": 2, "offset": 3}
    page = ok(gateway.one.get("/peers", params=query))
    assert (page["total"], page["limit"], page["offset"], len(page["peers"])) == (5, 2, 3, 2)
    bare = gateway.one.get("/peers", params=query, headers={"Accept": "application/json; envelope=false"})
    assert [peer["id"] for peer in ok(bare)] == [peer["id"] for peer in page["peers"]]
    assert bare.headers["X-Total-Count"] == "5"
    assert ok(gateway.one.get(f"/customers/{customer}/peers"))["total"] == 5
    assert ok(gateway.one.get("/subscribers/page-line-0/peers"))["total"] == 3
    both = {"customer_id": customer, "subscriber_id": "page-line-1", "server_id": berlin, "status": "active"}
    assert ok(gateway.one.get("/peers", params=both))["total"] == 2
    assert ok(gateway.one.get("/peers", params={"server_id": str(uuid4())}))["total"] == 0
    assert ok(gateway.one.get("/peers", params={"search": "PAGE-3"}))["total"] == 1
    ok(gateway.one.get("/peers", params={"status": "asleep"}), 422)
    ok(gateway.one.get("/peers", params={"limit": 1001}), 422)


def test_a_bulk_call_tells_of_each_row_by_itself(gateway: Provider, berlin: str) -> None:
    ok(gateway.one.post("/peers", json={"server_id": berlin, "name": "bulk-2"}), 201)
    answer = ok(gateway.one.post("/peers/bulk", json={"server_id": berlin, "count": 3, "name_prefix": "bulk-"}), 201)
    assert (answer["created"], answer["failed"]) == (2, 1)
    assert [(error["index"], error["peer_name"], error["status"]) for error in answer["errors"]] == [(1, "bulk-2", 409)]
    assert all(peer["programmed"] for peer in answer["peers"])
    rows = [{"name": "bulk-good"}, {"name": "bulk-bad", "allowed_ips": ["nonsense"]}, {}]
    answer = ok(gateway.one.post("/peers/bulk", json={"server_id": berlin, "peers": rows}), 201)
    assert [(error["index"], error["status"]) for error in answer["errors"]] == [(1, 422), (2, 422)]
    for body in ({"server_id": berlin, "count": 101, "name_prefix": "x"}, {"server_id": berlin}):
        ok(gateway.one.post("/peers/bulk", json=body), 422)


def test_a_subscriber_is_provisioned_on_a_server_that_the_operator_chooses(gateway: Provider, berlin: str) -> None:
    wanted = {"customer_id": str(uuid4()), "subscriber_id": "prov-1"}
    made = ok(gateway.one.post("/provision", json=wanted), 201)
    assert made["server"]["id"] == berlin
    assert made["peer"]["subscriber_id"] == "prov-1"
    assert made["peer"]["programmed"] is True
    assert "PrivateKey = " in made["config_file"]
    again = ok(gateway.one.post("/provision", json=wanted), 200)
    assert again["peer"]["id"] == made["peer"]["id"]
    assert "another customer" in ok(gateway.one.post("/provision", json=wanted | {"customer_id": "c"}), 409)["detail"]
    nowhere = {"subscriber_id": "prov-2", "location": "Atlantis"}
    assert "serverSelector matches none" in ok(gateway.one.post("/provision", json=nowhere), 503)["detail"]
    assert ok(gateway.one.get("/subscribers/prov-2/peers"))["total"] == 0
    ok(gateway.one.post("/provision", json={"subscriber_id": "p", "server_id": str(uuid4())}), 404)
