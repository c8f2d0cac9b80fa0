"""Who is let in, what is remembered for how long, and what happens when the API server is away."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from gateway_world import FakeApi, application, client_of, context_on

from wireguard_operator.gateway.app import make_app
from wireguard_operator.gateway.memory import Memory
from wireguard_operator.kube.errors import Unavailable

AUDIENCE = "wireguard-gateway"
BILLING = "system:serviceaccount:isp:billing"
PEERS = "/api/v1/wireguard/peers"


def world(**settings: Any) -> tuple[FakeApi, Any]:
    """An API that knows the token ``good``, and an application that knows all objects: none."""
    api = FakeApi()
    api.tokens["good", AUDIENCE] = BILLING
    context = context_on(api, **settings)
    for namespace in context.settings.watch_namespaces or (None,):
        context.cache.servers.replace(namespace, [])
        context.cache.peers.replace(namespace, [])
    return api, make_app(context)


def jwt(issuer: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"iss": issuer}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


async def test_answers_of_the_api_server_are_remembered_and_asked_for_once() -> None:
    api, app = world()
    async with client_of(app, Authorization="Bearer good") as client:
        for _ in range(3):
            assert (await client.get(PEERS)).status_code == 200
    assert (api.number("tokenreviews"), api.number("subjectaccessreviews")) == (1, 1)
    assert api.asked[0][1]["audiences"] == [AUDIENCE]
    wanted = api.asked[1][1]["resourceAttributes"]
    assert (wanted["verb"], wanted["resource"], wanted["subresource"]) == ("list", "wireguardpeers", "")
    assert wanted["namespace"] == "isp"


def test_what_is_remembered_is_forgotten_in_time_and_beyond_its_number() -> None:
    now = 0.0
    memory: Memory[str] = Memory(10, size=2, clock=lambda: now)
    memory.put("a", "1")
    now = 9.9
    assert memory.get("a") == "1"
    memory.put("b", "2")
    memory.put("c", "3")
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (None, "2", "3")
    now = 19.9
    assert memory.get("b") is None


async def test_a_refused_token_is_remembered_too() -> None:
    api, app = world()
    async with client_of(app, Authorization="Bearer bad") as client:
        for _ in range(3):
            answer = await client.get(PEERS)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert api.number("tokenreviews") == 1


async def test_nobody_is_let_in_while_the_api_server_is_away() -> None:
    api, app = world()
    api.trouble = Unavailable("connection refused")
    async with client_of(app, Authorization="Bearer good") as client:
        answer = await client.get(PEERS)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "API server" in answer.json()["detail"]


async def test_what_rbac_does_not_allow_is_403_and_is_recorded(caplog: pytest.LogCaptureFixture) -> None:
    api, app = world()
    api.denied.add(("create", "isp"))
    with caplog.at_level("INFO", "wireguard_operator.audit"):
        async with client_of(app, Authorization="Bearer good") as client:
            answer = await client.post(PEERS, json={}, headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 403
    assert answer.json() == {"detail": f"{BILLING} may not create wireguardpeers in tenant isp"}
    record = json.loads(caplog.messages[-1])
    assert (record["outcome"], record["verb"], record["requestId"]) == ("forbidden", "create", "r-1")


async def test_a_tenant_that_is_not_served_looks_like_one_that_is_not_allowed() -> None:
    api, app = world(watch_namespaces=("isp",))
    api.denied.add(("list", "denied"))
    async with client_of(app, Authorization="Bearer good") as client:
        answers = [await client.get(PEERS, headers={"X-Tenant-ID": tenant}) for tenant in ("other", "denied")]
    assert [answer.status_code for answer in answers] == [403, 403]
    told = [
        answer.json()["detail"].replace(name, "") for answer, name in zip(answers, ("other", "denied"), strict=True)
    ]
    assert told[0] == told[1]


async def test_before_all_objects_are_known_nothing_is_answered() -> None:
    api = FakeApi()
    api.tokens["good", AUDIENCE] = BILLING
    async with client_of(application(api), Authorization="Bearer good") as client:
        assert (await client.get(PEERS)).status_code == 503
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("issuer", "user", "let_in"),
    [
        ("https://id.example.net", "oidc:jane", True),
        ("https://id.example.net", "jane", False),
        ("https://id.example.net", BILLING, False),
        ("https://evil.example.net", "oidc:jane", False),
    ],
)
async def test_oidc_users_are_taken_by_named_issuers_and_with_their_prefix_only(
    issuer: str, user: str, let_in: bool
) -> None:
    api, app = world(oidc_issuers=("https://id.example.net",))
    token = jwt(issuer)
    api.tokens[token, ""] = user
    async with client_of(app, Authorization=f"Bearer {token}") as client:
        answer = await client.get(PEERS, headers={"X-Tenant-ID": "isp"})
        assert answer.status_code == (200 if let_in else 401)
        if let_in:
            nameless = await client.get(PEERS)
            assert nameless.status_code == 400
            assert "X-Tenant-ID" in nameless.json()["detail"]


async def test_without_issuers_no_token_is_ever_reviewed_without_an_audience() -> None:
    api, app = world()
    api.tokens[jwt(""), ""] = "oidc:jane"
    for token in (jwt("https://id.example.net"), jwt(""), "no-jwt", "a..c", f"a.{'=' * 9}.c", "ä"):
        async with client_of(app) as client:
            headers = {b"authorization": f"Bearer {token}".encode()}
            assert (await client.get(PEERS, headers=headers)).status_code == 401
    assert all(spec.get("audiences") == [AUDIENCE] for _, spec in api.asked)


async def test_an_authenticator_that_does_not_know_audiences_is_not_believed() -> None:
    class Careless(FakeApi):
        async def create(self, kind: Any, namespace: str, body: Any) -> Any:
            return {"status": {"authenticated": True, "user": {"username": "jane"}}}

    context = context_on(Careless())
    assert await context.auth.authenticate("any") is None


async def test_wrong_tokens_by_the_dozen_are_slowed_down_and_a_good_one_is_not_locked_out() -> None:
    api, app = world(anonymous_rate=0.01, anonymous_burst=3)
    async with client_of(app) as client:
        assert (await client.get(PEERS, headers={"X-API-Key": "good"})).status_code == 200
        statuses = [(await client.get(PEERS, headers={"X-API-Key": f"guess-{n}"})).status_code for n in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        asked = api.number("tokenreviews")
        assert (await client.get(PEERS, headers={"X-API-Key": "good"})).status_code == 200
        assert api.number("tokenreviews") == asked
