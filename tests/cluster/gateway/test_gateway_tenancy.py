"""Two tenants: neither sees, touches or infers anything of the other one, on any route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from gateway_client import API, Provider, ok

METHODS = ("get", "post", "put", "patch", "delete")
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/peers"): {"server_id": "{server_id}", "name": "of-another"},
    ("post", "/stats/sync"): {"server_id": "{server_id}"},
    ("post", "/provision"): {"subscriber_id": "of-another", "server_id": "{server_id}"},
    ("patch", "/servers/{server_id}"): {"description": "touched"},
    ("patch", "/peers/{peer_id}"): {"notes": "touched"},
    ("post", "/peers/{peer_id}/provision-token"): {"expires_in_hours": 1},
}
"""What a body must have for a request to get as far as the object. Others may be empty."""


@pytest.fixture(scope="module")
def ids(gateway: Provider) -> dict[str, str]:
    """Ids of the first tenant, by the names that paths have for them."""
    server = ok(gateway.one.get("/servers"))["servers"][0]["id"]
    peer = ok(gateway.one.post("/peers", json={"server_id": server, "name": "mine", "subscriber_id": "line-1"}), 201)
    return {"server_id": server, "peer_id": peer["id"], "customer_id": "c-1", "subscriber_id": "line-1"}


def routes(gateway: Provider) -> Iterator[tuple[str, str]]:
    """Method and path, below the prefix, of everything that takes a token. The rest takes secrets of its own."""
    document = httpx.get(f"{gateway.process.url}/openapi.json", trust_env=False).json()
    for path, operations in document["paths"].items():
        if path.startswith(API):
            for method in METHODS:
                if operations.get(method, {}).get("security"):
                    yield method, path.removeprefix(API)


def ask(gateway: Provider, client: httpx.Client, method: str, path: str, ids: dict[str, str]) -> httpx.Response:
    filled = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], "any"), path)
    body = {key: value.format(**ids) if isinstance(value, str) else value for key, value in _body(method, path).items()}
    return client.request(method, filled, json=body if method in ("post", "put", "patch") else None)


def _body(method: str, path: str) -> dict[str, Any]:
    return BODIES.get((method, path), {})


def test_an_id_of_another_tenant_is_answered_as_one_that_does_not_exist(gateway: Provider, ids: dict[str, str]) -> None:
    nothing = {"server_id": str(uuid4()), "peer_id": str(uuid4()), "customer_id": "c-9", "subscriber_id": "line-9"}
    asked = 0
    for method, path in routes(gateway):
        if "_id" not in path + str(_body(method, path)):
            continue
        foreign, missing = (ask(gateway, gateway.other, method, path, which) for which in (ids, nothing))
        told = [_without_ids(answer, which) for answer, which in ((foreign, ids), (missing, nothing))]
        assert told[0] == told[1], f"{method} {path}"
        found_nothing = foreign.status_code == 404 or foreign.json().get("total") == 0
        assert found_nothing, f"{method} {path}: {foreign.status_code} {foreign.text}"
        asked += 1
    assert asked >= 22, "the routes were not found"
    mine = ok(gateway.one.get(f"/peers/{ids['peer_id']}"))
    assert (mine["notes"], mine["enabled"], mine["suspensions"]) == (None, True, [])
    assert ok(gateway.one.get(f"/servers/{ids['server_id']}"))["description"] is None


def _without_ids(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, str, dict[str, str]]:
    text = answer.text
    for value in ids.values():
        text = text.replace(value, "<id>")
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status_code, text, headers


def test_no_route_serves_a_tenant_that_rbac_does_not_allow(gateway: Provider, ids: dict[str, str]) -> None:
    """The header names the tenant, and only narrows; one that does not exist looks the same."""
    for method, path in routes(gateway):
        answers = []
        for tenant in (gateway.tenant, "isp-that-is-not-there"):
            with gateway.client(gateway.other_token, **{"X-Tenant-ID": tenant}) as client:
                answer = ask(gateway, client, method, path, ids)
                answers.append((answer.status_code, answer.text.replace(tenant, "<tenant>")))
        assert answers[0] == answers[1], f"{method} {path}"
        assert answers[0][0] == 403, f"{method} {path}: {answers[0]}"


def test_lists_hold_the_tenants_own_objects_only(gateway: Provider, ids: dict[str, str]) -> None:
    assert ok(gateway.other.get("/peers"))["peers"] == []
    assert ok(gateway.other.get("/servers"))["servers"] == []
    assert ids["peer_id"] in [peer["id"] for peer in ok(gateway.one.get("/peers"))["peers"]]


def test_the_same_external_id_in_two_tenants_is_two_peers(gateway: Provider, ids: dict[str, str]) -> None:
    body = f"""{{"apiVersion": "wireguard.dotmac.io/v1alpha1", "kind": "WireGuardPeer",
        "metadata": {{"name": "copy"}},
        "spec": {{"serverRef": {{"name": "berlin"}}, "subscriber": {{"externalId": "{ids["peer_id"]}"}}}}}}"""
    gateway.lab.kubectl("apply", "-f", "-", stdin=body, namespace=gateway.other_tenant)
    theirs = ok(gateway.other.get(f"/peers/{ids['peer_id']}"))
    assert (theirs["object_name"], theirs["tenant"]) == ("copy", gateway.other_tenant)
    assert ok(gateway.one.get(f"/peers/{ids['peer_id']}"))["object_name"] == "mine"
    ok(gateway.other.delete(f"/peers/{ids['peer_id']}"), 204)
    assert ok(gateway.one.get(f"/peers/{ids['peer_id']}"))["object_name"] == "mine"


def test_a_token_is_needed_and_one_that_is_made_for_the_gateway(gateway: Provider) -> None:
    api_token = gateway.lab.kubectl("create", "token", "billing").strip()
    for token in (None, "nonsense", api_token, f"{gateway.token[:-4]}AAAA"):
        with gateway.client(token) as client:
            answer = client.get("/peers")
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    with gateway.client(**{"X-API-Key": gateway.token}) as client:
        ok(client.get("/peers"))


def test_a_provider_names_the_tenant_in_a_header_or_in_the_query(gateway: Provider) -> None:
    token = gateway.process.token(gateway.tenant, "provider", [])
    gateway.process.allow(gateway.tenant, "provider", gateway.other_tenant)
    with gateway.client(token) as client:
        ok(client.get("/peers"), 403)
        assert ok(client.get("/peers", headers={"X-Tenant-ID": gateway.other_tenant}))["peers"] == []
        assert ok(client.get("/peers", params={"tenant": gateway.other_tenant}))["peers"] == []
        ok(client.get("/peers", headers={"X-Tenant-ID": "../kube-system"}), 400)


def test_ids_are_uuids(gateway: Provider, ids: dict[str, str]) -> None:
    assert all(UUID(ids[name]) for name in ("server_id", "peer_id"))
    ok(gateway.one.get("/peers/mine"), 422)
