"""One subscriber's life, told of everything that can carry a server. What a system cannot do it has to refuse."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.backends.places import PLACES, Place
from tests.unit.controller.world import NAMESPACE, World, until
from wireguard_operator.api.base import Key
from wireguard_operator.controller.settings import Settings
from wireguard_operator.domain.capabilities import WISHES, Capability, System, Wish
from wireguard_operator.domain.keys import generate_pair, generate_preshared
from wireguard_operator.kube.resources import PEERS, SECRETS, SERVERS

SECONDS = 60.0
"""A real instance takes three for each write."""
ROUTE = "192.168.77.0/24"
ASKING: dict[str, dict[str, Any]] = {
    "spec.publicKey": {"publicKey": generate_pair().public},
    "spec.privateKeySecretRef": {"privateKeySecretRef": {"name": "hers"}},
    "spec.presharedKey.secretRef": {"presharedKey": {"secretRef": {"name": "hers"}}},
    "spec.presharedKey.policy": {"presharedKey": {"policy": "Never"}},
    "spec.addresses": {"addresses": ["10.8.0.77"]},
    "spec.routes": {"routes": [ROUTE]},
    "spec.access": {"access": []},
    "spec.limits": {"limits": {"download": "10M"}},
    "spec.client": {"client": {"dns": ["9.9.9.9"]}},
}
"""What a peer writes to ask for each."""


@pytest.fixture(params=PLACES)
async def place(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A server in that place, and a controller at work."""
    place = PLACES[request.param]()
    world.settings = Settings(stats_interval=0.1, traffic_interval=0.01, cool_down=0.2)
    async with place.ready(world):
        await world.start()
        await until(lambda: world.reason("berlin", kind=SERVERS) in ("Ready", "AgentFailed"), SECONDS)
        yield place
        await world.stop()


def secret(world: World, name: str = "alice") -> dict[str, str]:
    """What is in the peer's Secret."""
    data = world.kube.objects[SECRETS, Key(NAMESPACE, f"{name}-wireguard")]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


async def ready(world: World, name: str = "alice") -> str:
    """Wait for the peer to be Ready as it is now; its key."""

    def is_ready() -> bool:
        generation = world.kube.objects[PEERS, Key(NAMESPACE, name)]["metadata"]["generation"]
        return world.reason(name) == "Ready" and world.status(name)["observedGeneration"] == generation

    await until(is_ready, SECONDS)
    return identity(world, name)


def identity(world: World, name: str = "alice") -> str:
    """By what the system knows the peer."""
    status = world.status(name)
    return str(status.get("publicKey") or secret(world, name).get("actorId", ""))


async def told(world: World, reason: str, name: str = "alice") -> None:
    """Wait for the peer to be Ready for that reason."""
    await until(lambda: world.reason(name) == reason, SECONDS)


async def test_a_new_peer_is_carried_with_the_address_and_the_keys_that_its_secret_says(
    world: World, place: Place
) -> None:
    await world.peer()
    key = await ready(world)
    assert key in await place.on_device(world)
    if Capability.CONFIGURATION in place.system.capabilities:
        status, data = world.status(), secret(world)
        assert (await place.on_device(world))[key] == set(status["addresses"])
        assert data["publicKey"] == key and f"PrivateKey = {data['privateKey']}\n" in data["wg0.conf"]
        assert f"Address = {status['addresses'][0]}\n" in data["wg0.conf"]
        server = world.status("berlin", SERVERS)
        assert f"PublicKey = {server['publicKey']}\n" in data["wg0.conf"]
        assert f"Endpoint = {server['endpoint']}\n" in data["wg0.conf"]
        assert f"PresharedKey = {data['presharedKey']}\n" in data["wg0.conf"]
    else:
        assert "wg0.conf" not in secret(world) and secret(world)["clientToken"]


async def test_disabled_suspended_and_expired_peers_are_off_and_come_back_as_they_were(
    world: World, place: Place
) -> None:
    await world.peer()
    key = await ready(world)
    before = (await place.on_device(world))[key]
    soon = (world.clock() + timedelta(hours=1)).isoformat()
    for off, reason, on in (
        ({"enabled": False}, "Disabled", {"enabled": True}),
        ({"suspensions": [{"reason": "non-payment"}]}, "Suspended", {"suspensions": []}),
        ({"expiresAt": soon}, "Expired", {"expiresAt": None}),
    ):
        await world.patch(PEERS, "alice", **off)
        if reason == "Expired":
            assert await ready(world) == key, "until then"
            world.late = timedelta(hours=2)
        await told(world, reason)
        assert key not in await place.on_device(world)
        await world.patch(PEERS, "alice", **on)
        assert await ready(world) == key
        assert (await place.on_device(world))[key] == before


async def test_a_peer_that_is_disabled_from_the_start_is_on_no_device(world: World, place: Place) -> None:
    await world.peer(enabled=False)
    await told(world, "Disabled")
    await world.settle(1)
    assert not await place.on_device(world)
    await world.patch(PEERS, "alice", enabled=True)
    assert await ready(world) in await place.on_device(world)


async def test_new_keys_take_the_place_of_the_old_ones_and_keep_the_address(world: World, place: Place) -> None:
    await world.peer(keyOverlapSeconds=0)
    old = await ready(world)
    addresses, credentials = world.status().get("addresses"), secret(world)
    await world.patch(PEERS, "alice", keyGeneration=1)
    new = await ready(world)
    await until(lambda: world.status().get("keyGeneration") == 1, SECONDS)
    assert secret(world) != credentials
    device = await place.on_device(world)
    assert new in device and len(device) == 1
    if Capability.CONFIGURATION in place.system.capabilities:
        assert new != old and device[new] == set(addresses or ())
        assert secret(world)["publicKey"] == new
    assert world.status().get("addresses") == addresses


async def test_totals_go_on_when_the_counters_begin_anew(world: World, place: Place) -> None:
    await world.peer()
    key = await ready(world)
    if Capability.COUNTERS not in place.system.capabilities or not place.plays:
        assert "traffic" not in world.status() or not world.status()["traffic"]["rxBytes"]
        return

    async def total(received: int, sent: int) -> None:
        await until(
            lambda: (t := world.status().get("traffic", {})).get("rxBytes") == received and t["txBytes"] == sent,
            SECONDS,
        )

    place.talk(world, key, 25_636, 40_000)
    await total(25_636, 40_000)
    place.restart(world)
    place.talk(world, key, 308, 500)
    await total(25_944, 40_500)
    await world.patch(PEERS, "alice", enabled=False)
    await told(world, "Disabled")
    await world.patch(PEERS, "alice", enabled=True)
    await ready(world)
    place.restart(world)
    place.talk(world, key, 400, 600)
    await total(26_344, 41_100)
    await world.delete(PEERS, "alice")
    await until(lambda: world.notes("FinalUsage") != [], SECONDS)
    assert world.notes("FinalUsage")[0].startswith("rxBytes=26344 txBytes=41100")


async def test_a_device_that_lost_its_peers_gets_them_back(world: World, place: Place) -> None:
    await world.peer()
    await world.peer("bob")
    keys = {await ready(world), await ready(world, "bob")}
    place.lose(world)
    for _ in range(200):
        if (await place.on_device(world)).keys() >= keys:
            break
        await world.settle(0.05)
    assert (await place.on_device(world)).keys() >= keys
    assert world.reason() == world.reason("bob") == "Ready"


async def test_a_deleted_peer_leaves_nothing_and_its_address_is_free_again(world: World, place: Place) -> None:
    await world.peer()
    key = await ready(world)
    held = world.held()
    await world.delete(PEERS, "alice")
    await until(lambda: not set(held.values()) & set(world.held().values()), SECONDS)
    assert key not in await place.on_device(world)


async def test_whatever_happened_with_the_controller_away_is_made_good(world: World, place: Place) -> None:
    for name in ("alice", "bob", "carol"):
        await world.peer(name)
    keys = {name: await ready(world, name) for name in ("alice", "bob", "carol")}
    await world.stop()
    await world.delete(PEERS, "alice")
    await world.patch(PEERS, "bob", enabled=False)
    await world.start()
    await told(world, "Disabled", "bob")
    await told(world, "Ready", "carol")
    for _ in range(200):
        if keys["alice"] not in await place.on_device(world):
            break
        await world.settle(0.05)
    assert set(await place.on_device(world)) == {keys["carol"]}


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: wish.field)
async def test_what_the_system_cannot_do_is_refused_by_the_field_s_name(world: World, place: Place, wish: Wish) -> None:
    pair = generate_pair()
    values = {"privateKey": pair.private.reveal(), "presharedKey": generate_preshared().reveal()}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    await world.kube.create(SECRETS, NAMESPACE, {"metadata": {"name": "hers"}, "data": data})
    await world.peer("bob")
    await world.peer("alice", **ASKING[wish.field])
    other = await ready(world, "bob")
    if wish.capability in place.system.capabilities:
        key = await ready(world)
        device = await place.on_device(world)
        assert ROUTE in device[key] if wish.field == "spec.routes" else key in device
        assert "10.8.0.77/32" in device[key] if wish.field == "spec.addresses" else True
        return
    await told(world, "NotSupported")
    accepted = next(c for c in world.status()["conditions"] if c["type"] == "Accepted")
    assert accepted["status"] == "False"
    assert wish.field in accepted["message"] and place.system.value in accepted["message"]
    assert world.status()["phase"] == "Failed"
    assert set(await place.on_device(world)) == {other}
    plane = world.kube.objects[SERVERS, Key(NAMESPACE, "berlin")]["spec"]["dataPlane"]
    if wish.feature is None:
        return
    await world.patch(SERVERS, "berlin", dataPlane={**plane, "degradations": [wish.feature.value]})
    key = await ready(world)
    accepted = next(c for c in world.status()["conditions"] if c["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("True", "Degraded")
    assert wish.field in accepted["message"]
    assert set(await place.on_device(world)) == {other, key}


def test_every_system_and_every_wish_takes_part() -> None:
    assert {place().system for place in PLACES.values()} == set(System)
    assert set(ASKING) == {wish.field for wish in WISHES}
