"""A failure nobody expected: the caller gets an answer, and neither answer nor log quotes what it was about."""

from __future__ import annotations

import pytest
from gateway_world import application, client_of


async def test_an_unexpected_failure_is_answered_and_its_text_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    app = application()

    async def broken() -> None:
        raise RuntimeError("PrivateKey = hunter2")

    app.add_api_route("/broken", broken)
    async with client_of(app) as client:
        answer = await client.get("/broken", headers={"X-Request-ID": "id-1"})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the gateway failed; its log has the request id"}
    assert answer.headers["x-request-id"] == "id-1"
    assert "RuntimeError" in caplog.text
    assert "in broken" in caplog.text
    assert "hunter2" not in answer.text + caplog.text.replace('raise RuntimeError("PrivateKey = hunter2")', "")
