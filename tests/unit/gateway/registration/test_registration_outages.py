"""A registration whose token is used up, while the API server comes and goes."""

from __future__ import annotations

import base64
import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from gateway_world import FakeApi, client_of, context_on, part_of_application

from tests.client_configs import PEER_PUBLIC, settings
from wireguard_operator.api.base import Key
from wireguard_operator.domain import tickets
from wireguard_operator.domain.tickets import Scope
from wireguard_operator.gateway.app import PROVISION
from wireguard_operator.gateway.registration import devices
from wireguard_operator.kube.client import Object
from wireguard_operator.kube.errors import KubeError, NotFound, Unavailable
from wireguard_operator.kube.resources import PEERS, SECRETS, TOKEN_REVIEWS, ResourceType

SYSTEM, NAME = "wireguard-system", "t-0123456789abcdef0123"


class DeviceApi(FakeApi):
    """A ticket, a peer, and the peer's Secret once its key is written."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        """Writes that get no answer."""
        ticket = tickets.build(SYSTEM, Scope.REGISTER, Key("isp", "alice"), "uid-alice", _later(), "ann")
        ticket["metadata"] |= {"name": NAME, "uid": "uid-ticket"}
        self.ticket: Object | None = ticket
        self.peer: Object = {
            "metadata": {
                "name": "alice",
                "namespace": "isp",
                "uid": "uid-alice",
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"serverRef": {"name": "berlin"}},
        }
        self.secret_text: str | None = None

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        if kind is PEERS:
            return copy.deepcopy(self.peer)
        assert kind is SECRETS
        if name == NAME and self.ticket is not None:
            return self.ticket
        if name == "alice-wireguard" and self.secret_text is not None:
            data = {"wg0.conf": base64.b64encode(self.secret_text.encode()).decode()}
            return {"metadata": {"ownerReferences": [{"uid": "uid-alice"}]}, "data": data}
        raise NotFound(f"no Secret {name}", 404)

    async def create(self, kind: ResourceType, namespace: str, body: Object) -> Object:
        assert kind is TOKEN_REVIEWS
        user = f"system:serviceaccount:{SYSTEM}:wg-portal"
        audiences = body["spec"]["audiences"]
        return {"status": {"authenticated": True, "audiences": audiences, "user": {"username": user}}}

    async def delete(self, kind: ResourceType, namespace: str, name: str, *, uid: str | None = None) -> None:
        if self.ticket is None:
            raise NotFound("gone", 404)
        assert uid == "uid-ticket"
        self.ticket = None

    async def merge_patch(self, kind: ResourceType, namespace: str, name: str, patch: dict[str, Any]) -> Object:
        assert self.ticket is None
        self.failures -= 1
        if self.failures >= 0:
            raise Unavailable("no answer")
        self.peer["spec"] |= patch["spec"]
        self.peer["metadata"] |= {"generation": 2, "resourceVersion": "2"}
        return copy.deepcopy(self.peer)


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "RETRY_PAUSES", (0.0,) * len(devices.RETRY_PAUSES))


async def register(api: DeviceApi) -> httpx.Response:
    context = context_on(api, create_wait=0.05)
    app = part_of_application(context, devices.public_router(context), PROVISION)
    async with client_of(app) as client:
        return await client.post(f"{PROVISION}/register", json={"token": f"{NAME}.jwt", "public_key": PEER_PUBLIC})


async def test_a_write_without_an_answer_is_tried_again_though_the_token_is_used_up() -> None:
    api = DeviceApi(failures=2)
    api.secret_text = settings(device_held=True).text
    answer = await register(api)
    assert answer.status_code == 200
    assert answer.json()["config_file"] == api.secret_text
    assert api.peer["spec"]["publicKey"] == PEER_PUBLIC


async def test_when_it_stays_away_the_device_is_told_to_ask_for_another_token() -> None:
    answer = await register(DeviceApi(failures=100))
    assert answer.status_code == 503
    assert "ask for another one" in answer.json()["detail"]


async def test_a_configuration_that_is_still_the_former_key_s_is_not_given_out() -> None:
    api = DeviceApi(failures=0)
    api.secret_text = settings().text
    answer = await register(api)
    assert answer.status_code == 202
    assert answer.json()["config_file"] is None
    assert "PrivateKey" not in answer.text


async def test_nothing_is_used_up_while_the_peer_cannot_be_read() -> None:
    api = DeviceApi(failures=0)

    async def unreadable(kind: ResourceType, namespace: str, name: str) -> Object:
        if kind is PEERS:
            raise KubeError("strange answer", 418)
        return await DeviceApi.get(api, kind, namespace, name)

    api.get = unreadable  # type: ignore[method-assign]
    assert (await register(api)).status_code == 500
    assert api.ticket is not None
