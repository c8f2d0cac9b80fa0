"""The process: probes, metrics, and how it starts and stops."""

from __future__ import annotations

import httpx
from gateway_client import Provider


def test_the_probes_and_the_description_of_the_api_need_no_token(gateway: Provider) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/swagger-ui-bundle.js"):
        answer = httpx.get(gateway.process.url + path, trust_env=False)
        assert answer.status_code == 200, f"{path}: {answer.text}"


def test_nothing_on_the_page_of_the_description_comes_from_third_parties(gateway: Provider) -> None:
    page = httpx.get(f"{gateway.process.url}/docs", trust_env=False).text
    assert "swagger-ui-bundle.js" in page
    assert "https://" not in page
    assert "http://" not in page
