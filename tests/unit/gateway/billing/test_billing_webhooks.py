"""Webhooks when things go wrong: what the sender is told, and that another try finds everything right."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from gateway_world import FakeApi, client_of, context_on, part_of_application

from wireguard_operator.gateway.app import PREFIX
from wireguard_operator.gateway.billing import webhooks
from wireguard_operator.kube.client import Object
from wireguard_operator.kube.errors import Conflict, Invalid, KubeError, NotFound, Unavailable
from wireguard_operator.kube.resources import PEERS, SECRETS, ResourceType

SECRET = "a secret of the tenant isp"
Trouble = Callable[[str, int], KubeError | None]


class PeerApi(FakeApi):
    """Holds peers and the shared secret; ``trouble_of`` may spoil the n-th write of a peer."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.peers = {name: body(name, version) for version, name in enumerate(names, 1)}
        self.reads = 0
        self.writes: dict[str, int] = dict.fromkeys(names, 0)
        self.trouble_of: Trouble = lambda name, number: None
        self.shared: dict[str, str] | None = {"secret": SECRET}

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        self.reads += 1
        if self.trouble is not None:
            raise self.trouble
        if kind is SECRETS:
            if namespace != "isp" or self.shared is None:
                raise NotFound("no such Secret", 404)
            return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in self.shared.items()}}
        assert kind is PEERS
        if name not in self.peers:
            raise NotFound("no such peer", 404)
        return copy.deepcopy(self.peers[name])

    async def merge_patch(self, kind: ResourceType, namespace: str, name: str, patch: Object) -> Object:
        self.writes[name] += 1
        if (error := self.trouble_of(name, self.writes[name])) is not None:
            raise error
        found = self.peers[name]
        assert patch["metadata"].pop("resourceVersion") == found["metadata"]["resourceVersion"]
        assert patch["metadata"].pop("uid") == found["metadata"]["uid"]
        found["metadata"]["annotations"] = found["metadata"].get("annotations", {}) | patch["metadata"]["annotations"]
        found["spec"] |= patch.get("spec", {})
        found["metadata"]["resourceVersion"] += "0"
        return copy.deepcopy(found)

    def locked(self) -> list[str]:
        return [name for name, peer in self.peers.items() if peer["spec"].get("suspensions")]


def body(name: str, version: int) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "isp",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"serverRef": {"name": "berlin"}, "subscriber": {"customerId": "c-1", "subscriberId": f"s-{name}"}},
    }


class World:
    """The application on that API, and a sender."""

    def __init__(self, api: PeerApi, **settings: Any) -> None:
        self.api = api
        context = context_on(api, **settings)
        context.cache.servers.replace(None, [])
        context.cache.peers.replace(None, list(api.peers.values()))
        self._app = part_of_application(context, webhooks.router(context), PREFIX)

    async def send(self, kind: str = "subscription.suspended", number: int = 1, **data: str) -> httpx.Response:
        at = datetime.now(UTC).replace(microsecond=number).isoformat()
        event = {"id": f"evt-{number}", "type": kind, "timestamp": at, "data": data or {"customer_id": "c-1"}}
        return await self.post(json.dumps(event).encode())

    async def post(self, text: bytes, signature: str | None = None) -> httpx.Response:
        mac = hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest() if signature is None else signature
        async with client_of(self._app, **{"X-Webhook-Signature": mac}) as client:
            return await client.post(f"{PREFIX}/webhooks/isp/platform", content=text)


async def test_all_peers_of_a_customer_are_suspended_and_the_same_event_asks_nothing_again() -> None:
    world = World(PeerApi("alice", "bob"))
    event = json.dumps(
        {
            "id": "e",
            "type": "subscription.suspended",
            "timestamp": datetime.now(UTC).isoformat(),
            "data": {"customer_id": "c-1"},
        }
    ).encode()
    answer = (await world.post(event)).json()
    assert [(peer["name"], peer["result"]) for peer in answer["peers"]] == [
        ("alice", "suspended"),
        ("bob", "suspended"),
    ]
    reads = world.api.reads
    assert (await world.post(event)).json()["result"] == "duplicate"
    assert world.api.reads == reads


async def test_while_the_api_server_is_away_the_sender_is_told_to_come_again() -> None:
    world = World(PeerApi("alice"))
    world.api.trouble = Unavailable("no answer")
    answer = await world.send()
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    world.api.trouble = None
    assert (await world.send()).json()["peers"][0]["result"] == "suspended"


async def test_before_all_peers_are_known_nobody_is_called_unknown() -> None:
    api = PeerApi("alice")
    context = context_on(api)
    app = part_of_application(context, webhooks.router(context), PREFIX)
    text = json.dumps(
        {"type": "invoice.paid", "timestamp": datetime.now(UTC).isoformat(), "data": {"customer_id": "c-1"}}
    ).encode()
    mac = hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    async with client_of(app, **{"X-Webhook-Signature": mac}) as client:
        answer = await client.post(f"{PREFIX}/webhooks/isp/platform", content=text)
    assert answer.status_code == 503


async def test_one_peer_that_cannot_be_written_does_not_spare_the_others_and_the_event_is_asked_for_again() -> None:
    world = World(PeerApi("alice", "bob"))
    world.api.trouble_of = lambda name, number: Unavailable("gone") if name == "alice" and number == 1 else None
    answer = await world.send()
    assert answer.status_code == 503
    assert world.api.locked() == ["bob"]
    again = (await world.send()).json()
    assert [(peer["name"], peer["result"]) for peer in again["peers"]] == [("alice", "suspended"), ("bob", "unchanged")]
    assert world.api.locked() == ["alice", "bob"]


async def test_a_peer_that_others_change_at_the_same_time_is_read_again() -> None:
    world = World(PeerApi("alice"))
    world.api.trouble_of = lambda name, number: Conflict("changed", 409) if number < 4 else None
    assert (await world.send()).json()["peers"][0]["result"] == "suspended"
    assert world.api.writes["alice"] == 4


async def test_a_peer_that_the_api_server_refuses_is_told_and_not_asked_for_again() -> None:
    world = World(PeerApi("alice", "bob"))
    world.api.trouble_of = lambda name, number: Invalid("spec.mtu is wrong", 422) if name == "alice" else None
    answer = await world.send()
    assert answer.status_code == 200
    assert answer.json()["peers"][0] == {"name": "alice", "result": "refused", "detail": "spec.mtu is wrong"}
    assert world.api.locked() == ["bob"]


async def test_a_peer_that_was_deleted_meanwhile_is_told() -> None:
    world = World(PeerApi("alice"))
    del world.api.peers["alice"]
    assert (await world.send()).json()["peers"][0]["result"] == "gone"


async def test_somebody_unknown_today_is_looked_for_again_tomorrow() -> None:
    world = World(PeerApi("alice"))
    first, again = [(await world.send(customer_id="c-2")).json() for _ in range(2)]
    assert (first["result"], again["result"]) == ("unknown-subscriber", "unknown-subscriber")


async def test_the_narrowest_name_that_is_known_counts() -> None:
    world = World(PeerApi("alice", "bob"))
    await world.send(subscription_id="s-bob", customer_id="c-1")
    assert world.api.locked() == ["bob"]
    await world.send("subscription.resumed", 2, subscription_id="s-nobody", customer_id="c-1")
    assert world.api.locked() == []


async def test_guesses_at_the_secret_run_out_and_are_few_questions_to_the_api_server() -> None:
    world = World(PeerApi("alice"), anonymous_rate=0.01, anonymous_burst=5)
    codes = [(await world.post(b"{}", "0" * 64)).status_code for _ in range(8)]
    assert codes == [401] * 5 + [429] * 3
    assert world.api.reads == 1


async def test_a_wave_of_right_webhooks_of_one_sender_is_not_held_up() -> None:
    world = World(PeerApi("alice"), anonymous_rate=0.01, anonymous_burst=2)
    answers = [await world.send("invoice.paid", number) for number in range(20)]
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("shared", [None, {}, {"secret": ""}, {"secret": "short"}])
async def test_a_tenant_without_a_usable_secret_takes_no_webhooks(shared: dict[str, str] | None) -> None:
    world = World(PeerApi("alice"))
    world.api.shared = shared
    assert (await world.send()).status_code == 401
    assert not world.api.locked()


async def test_the_former_secret_and_one_from_a_file_with_a_line_break_are_taken() -> None:
    world = World(PeerApi("alice"))
    world.api.shared = {"secret": "the new secret of isp", "previousSecret": SECRET + "\n"}
    assert (await world.send()).status_code == 200
