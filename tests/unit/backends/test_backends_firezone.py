"""What is particular about the two Firezones, beside the life that all systems share. Against their doubles."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.backends.places import FirezoneLegacyPlace, FirezonePlace
from tests.unit.controller.world import NAMESPACE, World, until
from wireguard_operator.api.base import Key
from wireguard_operator.backends import connection, holds
from wireguard_operator.controller.settings import Settings
from wireguard_operator.domain.keys import generate_pair
from wireguard_operator.kube.resources import PEERS, SECRETS, SERVERS

SECONDS = 20.0


@pytest.fixture(autouse=True)
def hasty(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PAUSE_FIRST", 0.05)
    monkeypatch.setattr(connection, "PAUSE_LAST", 0.1)
    monkeypatch.setattr(holds, "HOLD_SECONDS", 0.3)
    monkeypatch.setattr(connection, "IDENTIFY_SECONDS", 0.1)
    world.settings = Settings(stats_interval=0.1, traffic_interval=0, cool_down=0.2)


@pytest.fixture
async def legacy(world: World) -> AsyncIterator[FirezoneLegacyPlace]:
    place = FirezoneLegacyPlace()
    async with place.ready(world):
        await world.start()
        yield place


@pytest.fixture
async def current(world: World) -> AsyncIterator[FirezonePlace]:
    place = FirezonePlace()
    async with place.ready(world):
        await world.start()
        yield place


async def ready(world: World, name: str = "alice", reason: str = "Ready") -> None:
    await until(lambda: world.reason(name) == reason, SECONDS)


def secret(world: World, name: str = "alice") -> dict[str, str]:
    data = world.kube.objects[SECRETS, Key(NAMESPACE, f"{name}-wireguard")]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def message(world: World, name: str = "berlin", kind: Any = SERVERS) -> str:
    conditions = world.status(name, kind).get("conditions", ())
    return next((str(c["message"]) for c in conditions if c["type"] == "Ready"), "")


async def test_the_server_s_key_is_learned_and_nothing_of_that_stays(world: World, legacy: FirezoneLegacyPlace) -> None:
    await until(lambda: world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)
    status = world.status("berlin", SERVERS)
    assert status["publicKey"] == legacy.double.pair.public
    assert status["endpoint"] == "firezone.example.net:51820"
    await until(lambda: not legacy.double.devices and not legacy.double.users, SECONDS)


async def test_a_device_has_the_preshared_key_that_the_client_s_configuration_says(
    world: World, legacy: FirezoneLegacyPlace
) -> None:
    pair = generate_pair()
    await world.peer("erik", publicKey=pair.public)  # by itself it would have none, and Firezone one of its own
    await ready(world, "erik")
    (device,) = legacy.double.devices.values()
    assert device["public_key"] == pair.public
    assert f"PresharedKey = {device['preshared_key']}\n" in secret(world, "erik")["wg0.conf"]
    device["preshared_key"] = generate_pair().public
    await until(
        lambda: [d["preshared_key"] for d in legacy.double.devices.values()] == [secret(world, "erik")["presharedKey"]],
        SECONDS,
    )


async def test_more_peers_than_firezone_allows_devices_to_a_user(world: World, legacy: FirezoneLegacyPlace) -> None:
    names = [f"peer-{n}" for n in range(14)]
    for name in names:
        await world.peer(name)
    for name in names:
        await ready(world, name)
    assert len(legacy.double.devices) == len(legacy.double.users) == 14


async def test_a_suspended_peer_has_no_device_and_comes_back_with_the_same(
    world: World, legacy: FirezoneLegacyPlace
) -> None:
    await world.peer()
    await ready(world)
    (before,) = legacy.double.devices.values()
    await world.patch(PEERS, "alice", suspensions=[{"reason": "non-payment"}])
    await ready(world, reason="Suspended")
    assert before["public_key"] not in {device["public_key"] for device in legacy.double.devices.values()}
    # Where there is no device, one that asks for the server's key comes for moments.
    await until(lambda: not legacy.double.devices and len(legacy.double.users) == 1, SECONDS)
    await world.patch(PEERS, "alice", suspensions=[])
    await ready(world)
    (after,) = legacy.double.devices.values()
    kept = ("public_key", "preshared_key", "ipv4", "name", "user_id")
    assert {part: after[part] for part in kept} == {part: before[part] for part in kept}
    await world.delete(PEERS, "alice")
    await until(lambda: not legacy.double.users, SECONDS)


async def test_devices_of_others_stay(world: World, legacy: FirezoneLegacyPlace) -> None:
    await until(lambda: world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)
    double = legacy.double
    double.users["u"] = {"id": "u", "email": "bob@example.net", "role": "admin"}
    double.devices["d"] = {
        "id": "d", "user_id": "u", "name": "phone", "public_key": generate_pair().public, "preshared_key": None,
        "ipv4": "10.8.0.2", "ipv6": "fd42:8::2", "server_public_key": double.pair.public, "rx_bytes": None,
        "tx_bytes": None, "latest_handshake": None, "remote_ip": None, "endpoint": double.endpoint,
    }  # fmt: skip
    await world.peer()
    await until(lambda: "10.8.0.2 belongs to a client that somebody made" in message(world, "alice", PEERS), SECONDS)
    await world.patch(PEERS, "alice", addresses=["10.8.0.9"])
    await ready(world)
    await world.delete(PEERS, "alice")
    await until(lambda: list(double.users) == ["u"] and list(double.devices) == ["d"], SECONDS)


async def test_the_secret_has_a_token_and_the_status_says_who_is_online(world: World, current: FirezonePlace) -> None:
    await world.peer()
    await ready(world)
    data, status = secret(world), world.status()
    actor = current.double.actors[data["actorId"]]
    assert actor["type"] == "service_account" and actor["name"].startswith("k8s-")
    assert current.double.tokens[actor["id"]] == {data["clientToken"]} and data.keys() == {"actorId", "clientToken"}
    assert "publicKey" not in status and not status["addresses"]
    assert current.double.members[current.group] == {actor["id"]}
    current.double.connect(actor["id"])
    await until(lambda: bool(world.status()["online"]), SECONDS)
    assert world.status()["phase"] == "Active" and world.status()["endpoint"] == "192.0.2.2"
    long_ago = (datetime.now(UTC) - timedelta(minutes=4)).isoformat()
    current.double.clients[actor["id"]] |= {"online": False, "last_seen_at": long_ago}
    await until(lambda: not world.status()["online"], SECONDS)


async def test_who_comes_back_after_a_suspension_has_a_token_that_works(world: World, current: FirezonePlace) -> None:
    await world.peer()
    await ready(world)
    actor, first = secret(world)["actorId"], secret(world)["clientToken"]
    for pause in (True, False):  # and whoever comes back in the very moment
        await world.patch(PEERS, "alice", enabled=False)
        if pause:
            await ready(world, reason="Disabled")
            assert not current.double.admitted()
        await world.patch(PEERS, "alice", enabled=True)
        await until(lambda: current.double.tokens[actor] == {secret(world)["clientToken"]}, SECONDS)
        await ready(world)
        assert current.double.admitted() == {actor}
    assert secret(world)["clientToken"] != first


async def test_a_creation_whose_answer_says_nothing_makes_one_account(world: World, current: FirezonePlace) -> None:
    current.double.answers = [500, 500, 500]
    await world.peer()
    await ready(world)
    assert len(current.double.actors) == 1
    assert current.double.tokens[secret(world)["actorId"]] == {secret(world)["clientToken"]}


async def test_a_system_that_asks_for_patience_is_left_alone_for_that_time(
    world: World, current: FirezonePlace
) -> None:
    await world.peer()
    await ready(world)
    current.double.throttled = 1
    await until(lambda: "asks for patience" in message(world), SECONDS)
    assert world.reason() == "Ready"
    await until(lambda: world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)


async def test_a_group_that_is_missing_is_named(world: World, current: FirezonePlace) -> None:
    await until(lambda: world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)
    current.double.groups.clear()
    await until(lambda: "no group Subscribers" in message(world), SECONDS)
    assert world.reason("berlin", kind=SERVERS) == "SystemUnsuitable"


@pytest.mark.parametrize(("edition", "reason"), [("Legacy", "SystemUnsuitable"), ("Current", "Ready")])
async def test_the_other_edition_is_told_apart(world: World, current: FirezonePlace, edition: str, reason: str) -> None:
    await until(lambda: world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)
    await world.stop()
    plane = world.kube.objects[SERVERS, Key(NAMESPACE, "berlin")]["spec"]["dataPlane"]
    await world.patch(SERVERS, "berlin", dataPlane={**plane, "firezone": {**plane["firezone"], "edition": edition}})
    await world.start()
    await until(lambda: world.reason("berlin", kind=SERVERS) == reason, SECONDS)


async def test_a_token_that_is_not_accepted_is_said_and_not_shown(world: World, current: FirezonePlace) -> None:
    await until(lambda: world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)
    refused, current.double.token = current.double.token, "another"
    await until(lambda: world.reason("berlin", kind=SERVERS) == "SystemRefused", SECONDS)
    assert refused not in json.dumps([b for (kind, _), b in world.kube.objects.items() if kind != SECRETS])


async def test_peers_move_between_tokens_and_keys(world: World, current: FirezonePlace) -> None:
    await world.server("paris")
    await world.peer("alice")
    await world.peer("bob", serverRef={"name": "paris"})
    await ready(world)
    await ready(world, "bob")
    await world.patch(PEERS, "alice", serverRef={"name": "paris"})
    await world.patch(PEERS, "bob", serverRef={"name": "berlin"})
    await until(lambda: "wg0.conf" in secret(world) and "clientToken" in secret(world, "bob"), SECONDS)
    await until(lambda: world.agent.allowed_ips.keys() == {world.status().get("publicKey")}, SECONDS)
    await until(lambda: current.double.admitted() == {secret(world, "bob")["actorId"]}, SECONDS)
    await ready(world)
    await ready(world, "bob")
    assert len(current.double.actors) == 1
