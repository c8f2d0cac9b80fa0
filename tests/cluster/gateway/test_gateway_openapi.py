"""The OpenAPI document against the gateway that it describes: requests are made up from it, answers held against it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from gateway_client import Provider
from gateway_peers import add_peer
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks

from wireguard_operator.gateway.cache.identity import server_id

EXAMPLES = {GenerationMode.POSITIVE: 8, GenerationMode.NEGATIVE: 5}
"""Requests of each operation that are as the document says, and that are not; so that all of them take a minute."""
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
SETTINGS: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}
PUBLIC = {"/webhooks/{tenant}/{sender}", "/register"}
NOBODY = "6b0f5a52-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def known(gateway: Provider) -> dict[str, str]:
    """Ids of objects that there are, so that not every made-up request ends with 404."""
    server = server_id(gateway.lab.get("wgs", "berlin"))
    return {
        "peer_id": add_peer(gateway, "guinea-pig", {"customerId": "c-1", "subscriberId": "s-1"}),
        "server_id": server,
    }


@pytest.fixture(scope="module")
def document(gateway: Provider, known: dict[str, str]) -> BaseSchema:
    """The document as the gateway serves it."""
    return schemathesis.openapi.from_url(f"{gateway.process.url}/openapi.json", config=SchemathesisConfig())


def test_every_answer_is_one_that_the_document_names(
    document: BaseSchema, gateway: Provider, known: dict[str, str], subtests: pytest.Subtests
) -> None:
    session = requests.Session()
    session.trust_env = False
    headers = {"Authorization": f"Bearer {gateway.token}"}
    tried = 0

    def check(case: Case) -> None:
        path = case.path_parameters or {}
        if case.method != "DELETE":
            case.path_parameters = path | {key: known[key] for key in known if is_uuid(path.get(key))}
        if case.meta.generation.mode is GenerationMode.POSITIVE:
            # Or nearly all would end with a tenant that the caller may not see.
            case.headers.pop("X-Tenant-ID", None)
            case.query.pop("tenant", None)
        case.call_and_validate(session=session, headers=headers, checks=CHECKS, timeout=30)

    for found in document.get_all_operations():
        operation = found.ok()
        for mode, examples in EXAMPLES.items():
            with subtests.test(f"{operation.label}, {mode.value}"):
                tried += 1
                settled = settings(max_examples=examples, **SETTINGS)
                settled(given(case=operation.as_strategy(generation_mode=mode))(check))()
    session.close()
    assert tried > 60


def is_uuid(text: Any) -> bool:
    try:
        return str(uuid.UUID(str(text))) == str(text)
    except ValueError:
        return False


def operations(gateway: Provider) -> Iterator[tuple[str, str]]:
    """Method and path of every operation, with ids that nobody has."""
    document = httpx.get(f"{gateway.process.url}/openapi.json", trust_env=False).json()
    for path, methods in document["paths"].items():
        for method in methods:
            yield method.upper(), path


def filled(path: str) -> str:
    return path.replace("{peer_id}", NOBODY).replace("{server_id}", NOBODY).replace("{", "").replace("}", "")


@pytest.mark.parametrize("token", [None, "no-token", "api server's own"])
def test_whoever_has_no_token_for_the_gateway_is_let_in_nowhere(gateway: Provider, token: str | None) -> None:
    if token == "api server's own":
        token = gateway.lab.kubectl("create", "token", "billing").strip()
    with gateway.client(token) as client:
        found = {
            (method, path): client.request(method, gateway.process.url + filled(path)).status_code
            for method, path in operations(gateway)
            if not any(path.endswith(end) for end in PUBLIC)
        }
    assert len(found) > 30
    assert {operation: status for operation, status in found.items() if status != 401} == {}


def test_who_may_do_nothing_is_told_so_everywhere_before_anything_else(gateway: Provider) -> None:
    with gateway.client(gateway.process.token(gateway.tenant, "nobody", [])) as client:
        found = {
            (method, path): client.request(method, gateway.process.url + filled(path), json={}).status_code
            for method, path in operations(gateway)
            if not any(path.endswith(end) for end in PUBLIC)
        }
    # What is wrong with a body is told before rights are looked at; it says nothing about the tenant.
    assert {operation: status for operation, status in found.items() if status not in (403, 422)} == {}
