"""Answers: their fields, what is told before the operator has acted, and what a tenant must not see."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.gateway.cache.records import METADATA
from wireguard_operator.gateway.cache.store import Store
from wireguard_operator.gateway.metrics import Metrics
from wireguard_operator.gateway.rest.answers import tenant_id
from wireguard_operator.gateway.rest.names import object_name
from wireguard_operator.gateway.rest.peer_answers import PeerAnswer, peer_answer
from wireguard_operator.gateway.rest.sentences import in_words_of_the_contract
from wireguard_operator.gateway.rest.server_answers import ServerAnswer, server_answer
from wireguard_operator.gateway.rest.server_health import health_of
from wireguard_operator.gateway.rest.server_requests import parse_endpoint, parse_network

NOW = "2030-06-01T00:00:00Z"


def meta(name: str, namespace: str = "isp", **annotations: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"{namespace}-{name}",
        "resourceVersion": "1",
        "generation": 2,
        "creationTimestamp": "2030-01-01T00:00:00Z",
        "managedFields": [{"time": "2030-02-02T00:00:00Z"}, {}],
        "annotations": annotations,
    }


def filled() -> Store:
    store = Store(Metrics())
    for namespace in ("isp", "other"):
        spec = {
            "networks": ["10.8.0.0/24", "fd00:8::/64"],
            "persistentKeepalive": 17,
            "clientAllowedIPs": ["10.0.0.0/8"],
        }
        body = {"metadata": meta("berlin", namespace), "spec": spec | {"location": {"city": "Berlin", "country": "DE"}}}
        store.servers.put(body)
    return store


def answer(store: Store, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> dict[str, Any]:
    body = {"metadata": meta("a"), "spec": {"serverRef": {"name": "berlin"}} | (spec or {}), "status": status or {}}
    store.peers.replace(None, [])
    found = Store(Metrics())
    found.servers = store.servers
    return peer_answer(found.peers.put(body), found, NOW)


def test_answers_have_all_fields_of_their_models_and_no_others() -> None:
    store = filled()
    assert answer(store).keys() == PeerAnswer.model_fields.keys()
    PeerAnswer.model_validate(answer(store))
    for server in store.servers.of("isp"):
        assert server_answer(server).keys() == ServerAnswer.model_fields.keys()
        ServerAnswer.model_validate(server_answer(server))


@pytest.mark.parametrize(
    ("spec", "phase", "status"),
    [
        ({}, "Active", "active"),
        ({}, "Inactive", "active"),
        ({}, "Pending", "inactive"),
        ({}, "Failed", "inactive"),
        ({}, "Disabled", "inactive"),
        ({"enabled": False}, "Active", "disabled"),
        ({"enabled": False, "expiresAt": "2030-01-01T00:00:00Z"}, "Active", "disabled"),
        ({"expiresAt": "2030-06-01T00:00:00Z"}, "Active", "expired"),
        ({"expiresAt": "2030-06-01T00:00:01Z"}, "Active", "active"),
        ({"suspensions": [{"reason": "abuse"}]}, "Active", "suspended"),
        ({"suspensions": [{"reason": "abuse", "until": "2030-05-01T00:00:00Z"}]}, "Active", "active"),
        ({"suspensions": [{"reason": "abuse", "since": "2030-07-01T00:00:00Z"}]}, "Active", "active"),
    ],
)
def test_the_status_is_what_is_asked_for_as_soon_as_it_is(spec: dict[str, Any], phase: str, status: str) -> None:
    found = answer(filled(), spec, {"phase": phase})
    assert found["status"] == status
    assert found["is_active"] == (status == "active")
    assert found["is_expired"] == ("expiresAt" in spec and spec["expiresAt"] <= NOW)


def test_a_status_about_an_older_specification_does_not_count_as_done() -> None:
    conditions = [{"type": "Programmed", "status": "True", "reason": "x"}]
    for generation, programmed in ((1, False), (2, True)):
        found = answer(filled(), {}, {"observedGeneration": generation, "conditions": conditions})
        assert found["programmed"] is programmed


def test_of_another_tenants_server_nothing_is_seen_before_it_has_admitted_the_peer() -> None:
    there, nowhere = ({"serverRef": {"name": name, "namespace": "other"}} for name in ("berlin", "paris"))
    seen = [answer(filled(), spec) for spec in (there, nowhere)]
    for field in ("server_id", "server_name"):
        seen[0].pop(field), seen[1].pop(field)
    assert seen[0] == seen[1]
    admitted = answer(filled(), there, {"addresses": ["10.8.0.2/32"]})
    assert (admitted["persistent_keepalive"], admitted["allowed_ips"]) == (17, ["10.0.0.0/8"])


def test_the_id_of_another_tenants_server_is_computed_whether_it_exists_or_not() -> None:
    store = filled()
    body = {
        "metadata": meta("paris", "other") | {"annotations": {"wireguard.dotmac.io/id": "x"}},
        "spec": {"networks": []},
    }
    before = answer(store, {"serverRef": {"name": "paris", "namespace": "other"}})["server_id"]
    body["metadata"]["annotations"]["wireguard.dotmac.io/id"] = "7d9ab1f2-3b9c-4d57-9d2a-6f8f3d6b1a11"
    store.servers.put(body)
    assert answer(store, {"serverRef": {"name": "paris", "namespace": "other"}})["server_id"] == before


def test_a_namespace_that_is_named_by_a_uuid_is_the_tenant_of_that_id() -> None:
    named = "7d9ab1f2-3b9c-4d57-9d2a-6f8f3d6b1a11"
    assert tenant_id(named) == named
    assert tenant_id("isp") == tenant_id("isp") != tenant_id("isp-2")


def test_metadata_that_was_spoilt_by_hand_is_empty() -> None:
    for text in ("{", "[1]", "3"):
        body = {"metadata": meta("berlin", **{METADATA: text}), "spec": {"networks": ["10.8.0.0/24"]}}
        record = Store(Metrics()).servers.put(body)
        assert server_answer(record)["metadata"] == {}


def test_a_server_says_its_own_address_and_place() -> None:
    found = server_answer(next(iter(filled().servers.of("isp"))))
    assert (found["server_ipv4"], found["server_ipv6"]) == ("10.8.0.1/24", "fd00:8::1/64")
    assert found["location"] == "Berlin, DE"
    assert found["updated_at"] == "2030-02-02T00:00:00Z"


def test_health_names_what_is_wrong_in_sentences() -> None:
    conditions = [
        {"type": "Programmed", "status": "False", "reason": "AgentUnreachable", "message": "no answer"},
        {"type": "Ready", "status": "False", "reason": "AgentUnreachable", "message": "no answer"},
        {"type": "Available", "status": "False", "reason": "Maintenance", "message": "x"},
        {"type": "Reconciling", "status": "True", "reason": "AgentUnreachable", "message": "x"},
    ]
    status = {"phase": "Degraded", "conditions": conditions}
    body = {"metadata": meta("s"), "spec": {"networks": ["10.8.0.0/24"]}, "status": status}
    found = health_of(Store(Metrics()).servers.put(body), datetime(2030, 1, 1, tzinfo=UTC))
    assert found["issues"] == ["AgentUnreachable: no answer"]
    assert (found["healthy"], found["status"], found["interface_status"]) == (False, "degraded", "down")


@given(st.text(min_size=1, max_size=255))
def test_every_name_makes_an_object_name_that_kubernetes_takes(title: str) -> None:
    name = object_name(title)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert object_name(title) == name


def test_names_that_read_alike_are_told_apart_and_plain_ones_stay() -> None:
    assert object_name("alice-phone") == "alice-phone"
    names = {object_name(title) for title in ("Alice Phone", "alice phone", "alice_phone", "Alice-Phone", "Älice", "ж")}
    assert len(names) == 6


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vpn.example.net:51820", {"host": "vpn.example.net", "port": 51820}),
        ("VPN.Example.net:1", {"host": "vpn.example.net", "port": 1}),
        ("[2001:db8::1]:51820", {"host": "2001:db8::1", "port": 51820}),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, found: dict[str, Any]) -> None:
    assert parse_endpoint(text) == found


@pytest.mark.parametrize("text", ["vpn", ":51820", "vpn:", "vpn:0", "vpn:65536", "vpn:x", "2001:db8::1:51820", "vpn:٣"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="public_endpoint: "):
        parse_endpoint(text)


@pytest.mark.parametrize("text", ["10.8.0.1", "10.8.0.2/24", "10.8.0.1/31", "fd00::1/64", "x", "10.8.0.1/33"])
def test_what_is_no_address_of_a_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="server_ipv4: "):
        parse_network("server_ipv4", text, 4)


def test_refusals_of_the_api_server_name_the_fields_of_the_contract() -> None:
    said = 'WireGuardPeer.wireguard.dotmac.io "a" is invalid: spec.client.allowedIPs[0]: Invalid value: "x": must be'
    assert in_words_of_the_contract(said) == 'allowed_ips[0]: Invalid value: "x": must be'
