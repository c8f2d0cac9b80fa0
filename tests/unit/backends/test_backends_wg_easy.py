"""wg-easy as it is: no locks, answers that say nothing, people on its web page. A real controller, the double's API."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.doubles.https import Site, served
from tests.doubles.wg_easy import WGEasyDouble
from tests.unit.backends.places import LOGIN, foreign_server, log_in_with
from tests.unit.controller.world import NAMESPACE, World, until
from wireguard_operator.api.base import Key
from wireguard_operator.backends import connection, holds, web, writer
from wireguard_operator.controller.server import foreign
from wireguard_operator.controller.settings import Settings
from wireguard_operator.kube.resources import PEERS, SECRETS, SERVERS

SECONDS = 20.0


class Scene:
    """The double, and a world whose server berlin it carries."""

    def __init__(self, world: World, double: WGEasyDouble, url: str, site: Site) -> None:
        self.world, self.double, self.url, self.site = world, double, url, site

    async def begin(self, *peers: str, **spec: Any) -> None:
        """Server and peers, and a controller."""
        await log_in_with(self.world, self.site.authority, username=self.double.username, password=self.double.password)
        await foreign_server(self.world, self.plane, **spec)
        for name in peers:
            await self.world.peer(name)
        await self.world.start()
        for name in peers:
            await self.ready(name)

    @property
    def plane(self) -> dict[str, Any]:
        """The server's data plane."""
        return {"type": "WGEasy", "wgEasy": {"url": self.url}}

    async def ready(self, name: str = "alice", reason: str = "Ready") -> str:
        """Wait for that reason of Ready; the peer's key."""
        await until(lambda: self.world.reason(name) == reason, SECONDS)
        return str(self.world.status(name).get("publicKey"))

    def condition(self, name: str, kind: str, type_: str = "Ready") -> dict[str, Any]:
        """A condition of a server or a peer."""
        of = self.world.status(name, SERVERS if kind == "wgs" else PEERS).get("conditions", ())
        return next((c for c in of if c["type"] == type_), {})

    def client(self, name: str = "alice") -> dict[str, Any]:
        """The client of a peer."""
        uid = self.world.kube.objects[PEERS, Key(NAMESPACE, name)]["metadata"]["uid"]
        return self.double.named(f"k8s-{uid}")

    def is_on(self, name: str = "alice") -> bool:
        """Whether the peer's key is on the device."""
        return str(self.world.status(name).get("publicKey")) in self.double.on_device()


@pytest.fixture
async def scene(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(connection, "PAUSE_FIRST", 0.05)
    monkeypatch.setattr(connection, "PAUSE_LAST", 0.1)
    monkeypatch.setattr(holds, "HOLD_SECONDS", 0.3)
    monkeypatch.setattr(writer, "SETTLE_SECONDS", 0.5)
    monkeypatch.setattr(connection, "IDENTIFY_SECONDS", 0.1)
    world.settings = Settings(stats_interval=0.1, traffic_interval=0, cool_down=0.2)
    double, site = WGEasyDouble(), Site()
    async with served(double.app(), site) as url:
        yield Scene(world, double, url, site)
        await world.stop()


async def test_it_is_told_one_thing_at_a_time_however_much_there_is_to_do(scene: Scene) -> None:
    scene.double.write_seconds = 0.02
    names = [f"peer-{n}" for n in range(12)]
    await scene.begin(*names)
    for name in names[:6]:
        await scene.world.patch(PEERS, name, enabled=False)
    for name in names[:6]:
        await scene.ready(name, "Disabled")
    assert scene.double.most_at_once == 1
    assert sorted(scene.double.on_device()) == sorted(str(scene.world.status(n)["publicKey"]) for n in names[6:])
    held = {scene.client(name)["ipv4Address"] for name in names}
    assert held == {scene.world.status(name)["addresses"][0].removesuffix("/32") for name in names}


async def test_a_cut_overtakes_those_who_are_just_coming(scene: Scene) -> None:
    await scene.begin("alice")
    scene.double.write_seconds = 0.1
    for n in range(15):
        await scene.world.peer(f"peer-{n}")
    await until(lambda: len(scene.double.clients) > 3, SECONDS)
    before = len(scene.double.writes)
    await scene.world.patch(PEERS, "alice", enabled=False)
    await until(lambda: not scene.is_on(), SECONDS)
    cut = ("POST", f"/api/client/{scene.client()['id']}/disable")
    assert scene.double.writes.index(cut, before) - before <= 3
    assert len(scene.double.clients) < 15
    await scene.ready(reason="Disabled")


@pytest.mark.parametrize("after", [True, False], ids=["carried out all the same", "not carried out"])
async def test_a_500_means_look_and_write_once_more(scene: Scene, after: bool) -> None:
    await scene.begin("alice")
    (scene.double.answers if after else scene.double.refusals).append(500)
    before = len(scene.double.writes)
    await scene.world.patch(PEERS, "alice", enabled=False)
    await scene.ready(reason="Disabled")
    assert not scene.is_on()
    assert len(scene.double.writes) - before == (1 if after else 2)


async def test_a_creation_whose_answer_says_nothing_makes_one_client(scene: Scene) -> None:
    scene.double.answers = [500, 500, 500]
    await scene.begin("alice", "bob")
    assert len(scene.double.clients) == 2 and scene.is_on() and scene.is_on("bob")


async def test_a_creation_whose_answer_is_not_waited_for_makes_one_client(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "WRITE_SECONDS", 0.3)
    await scene.begin()
    scene.double.write_seconds = 0.5
    await scene.world.peer("alice")
    await until(lambda: len(scene.double.clients) == 1, SECONDS)
    scene.double.write_seconds = 0.0
    await scene.ready()
    assert len(scene.double.clients) == 1


async def test_a_burst_of_errors_ends_and_everybody_is_as_wanted(scene: Scene) -> None:
    await scene.begin(*"abcd")
    scene.double.refusals = [500] * 9
    for name in "abcd":
        await scene.world.patch(PEERS, name, enabled=False)
    for name in "abcd":
        await scene.ready(name, "Disabled")
    assert not scene.double.on_device()


async def test_who_is_lost_from_the_device_is_brought_back_and_it_is_said_while_that_does_not_work(
    scene: Scene,
) -> None:
    await scene.begin("alice", "bob")
    scene.double.lose = 1000
    scene.double.wipe()
    await until(lambda: scene.condition("berlin", "wgs", "Degraded").get("reason") == "SystemDrifted", SECONDS)
    assert "2 of its enabled clients are not on the device" in scene.condition("berlin", "wgs", "Degraded")["message"]
    await until(lambda: scene.world.reason() == "DeviceRefused", SECONDS)
    scene.double.lose = 0
    await until(lambda: scene.is_on() and scene.is_on("bob"), SECONDS)
    await until(lambda: not scene.condition("berlin", "wgs", "Degraded"), SECONDS)
    await scene.ready()
    await scene.ready("bob")


async def test_a_session_that_ended_is_renewed_and_nobody_notices(scene: Scene) -> None:
    await scene.begin("alice")
    logins = scene.double.logins
    scene.double.end_sessions()
    await scene.world.patch(PEERS, "alice", enabled=False)
    await scene.ready(reason="Disabled")
    assert scene.double.logins == logins + 1
    assert scene.world.reason("berlin", kind=SERVERS) == "Ready"


def _wrong_password(double: WGEasyDouble) -> None:
    double.password = "another one"


def _totp(double: WGEasyDouble) -> None:
    double.totp = True


def _no_passwords(double: WGEasyDouble) -> None:
    double.passwords_disabled = True


def _old(double: WGEasyDouble) -> None:
    double.release = "v14.0.0"


def _nothing_said(double: WGEasyDouble) -> None:
    double.host = ""


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        (_wrong_password, "SystemRefused", "does not accept username and password"),
        (_totp, "SystemRefused", "a user without TOTP"),
        (_no_passwords, "SystemRefused", "DISABLE_PASSWORD_AUTH"),
        (_old, "SystemUnsuitable", "works with version 15"),
        (_nothing_said, "EndpointPending", "set its host there, or spec.endpoint here"),
    ],
)
async def test_what_keeps_us_out_is_said_and_tried_again(
    scene: Scene, spoil: Callable[[WGEasyDouble], None], reason: str, words: str
) -> None:
    good = WGEasyDouble()
    await log_in_with(scene.world, scene.site.authority, username="admin", password=scene.double.password)
    spoil(scene.double)
    await foreign_server(scene.world, scene.plane)
    await scene.world.peer("alice")
    await scene.world.start()
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == reason, SECONDS)
    assert words in scene.condition("berlin", "wgs")["message"]
    assert scene.world.reason() == "ServerNotReady"
    for part in ("password", "totp", "passwords_disabled", "release", "host"):
        setattr(scene.double, part, getattr(good, part))
    await scene.ready()
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)


async def test_a_certificate_that_nobody_vouches_for_is_refused(scene: Scene) -> None:
    await log_in_with(scene.world, None, username="admin", password=scene.double.password)
    await foreign_server(scene.world, scene.plane)
    await scene.world.start()
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemRefused", SECONDS)
    assert "ca.crt of the Secret" in scene.condition("berlin", "wgs")["message"]
    assert scene.double.logins == 0


async def test_a_secret_that_is_missing_or_incomplete_is_named(scene: Scene) -> None:
    await foreign_server(scene.world, scene.plane)
    await scene.world.start()
    await until(lambda: "there is no Secret login" in scene.condition("berlin", "wgs").get("message", ""), SECONDS)
    await log_in_with(scene.world, scene.site.authority, username="admin")
    await until(lambda: "has no password" in scene.condition("berlin", "wgs").get("message", ""), SECONDS)
    await scene.world.delete(SECRETS, LOGIN)
    await log_in_with(scene.world, scene.site.authority, username="admin", password=scene.double.password)
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)


async def test_clients_that_people_made_are_left_alone_and_their_addresses_are_not_taken(scene: Scene) -> None:
    printer = scene.double.add("printer")  # has 10.8.0.2, the first address that the pool gives
    scene.double.add("k8s-of-another-cluster")
    before = {**printer}
    await scene.begin()
    await scene.world.peer("alice")
    await until(lambda: "10.8.0.2 belongs to a client" in scene.condition("alice", "wgp").get("message", ""), SECONDS)
    await scene.world.patch(SERVERS, "berlin", reserved=["10.8.0.2/31"])
    await scene.world.delete(PEERS, "alice")
    await until(lambda: len(scene.double.clients) == 2, SECONDS)
    await scene.world.peer("bob")
    await scene.ready("bob")
    assert scene.world.status("bob")["addresses"] == ["10.8.0.4/32"]
    assert printer == before and len(scene.double.on_device()) == 3


async def test_a_client_that_was_deleted_by_hand_is_missed_and_new_keys_bring_the_peer_back(scene: Scene) -> None:
    await scene.begin("alice")
    key = scene.world.status()["publicKey"]
    scene.double.clients.clear()
    scene.double.wipe()
    await scene.ready(reason="DeviceRefused")
    assert "raise spec.keyGeneration" in scene.condition("alice", "wgp")["message"]
    assert scene.world.status()["publicKey"] == key and not scene.double.clients
    await scene.world.patch(PEERS, "alice", keyGeneration=1)
    await until(lambda: scene.world.status()["publicKey"] != key, SECONDS)
    await scene.ready()
    assert scene.is_on()


async def test_a_secret_that_was_lost_is_restored_from_wg_easy(scene: Scene) -> None:
    await scene.begin("alice")
    before = scene.world.kube.objects[SECRETS, Key(NAMESPACE, "alice-wireguard")]["data"]
    await scene.world.stop()
    await scene.world.delete(SECRETS, "alice-wireguard")
    await scene.world.start()
    await until(lambda: (SECRETS, Key(NAMESPACE, "alice-wireguard")) in scene.world.kube.objects, SECONDS)
    assert scene.world.kube.objects[SECRETS, Key(NAMESPACE, "alice-wireguard")]["data"] == before
    await scene.ready()


async def test_what_people_change_on_the_web_page_is_changed_back(scene: Scene) -> None:
    await scene.begin("alice", "bob")
    client = scene.client()
    name, address = client["name"], client["ipv4Address"]
    client |= {
        "name": "Alice's phone", "enabled": False, "ipv4Address": "10.8.0.99", "serverAllowedIps": ["10.99.0.0/16"],
        "expiresAt": "2099-01-01T00:00:00.000Z",
    }  # fmt: skip
    scene.double._sync()
    await until(lambda: client["name"] == name, SECONDS)
    await until(scene.is_on, SECONDS)
    assert (client["enabled"], client["ipv4Address"], client["serverAllowedIps"]) == (True, address, [])
    assert client["expiresAt"] is None
    other = scene.client("bob")
    other["name"] = "Bob's phone"
    await scene.world.patch(PEERS, "bob", enabled=False)
    await scene.ready("bob", "Disabled")
    assert not other["enabled"]


async def test_two_peers_change_places(scene: Scene) -> None:
    await scene.begin()
    await scene.world.peer("alice", addresses=["10.8.0.10"])
    await scene.world.peer("bob", addresses=["10.8.0.11"])
    await scene.ready()
    await scene.ready("bob")
    one, other = scene.client(), scene.client("bob")
    one["ipv4Address"], other["ipv4Address"] = other["ipv4Address"], one["ipv4Address"]
    await until(lambda: (one["ipv4Address"], other["ipv4Address"]) == ("10.8.0.10", "10.8.0.11"), SECONDS)


async def test_two_servers_never_work_with_one_wg_easy(scene: Scene) -> None:
    await scene.begin("alice")
    await foreign_server(scene.world, scene.plane, "paris")
    await until(lambda: scene.world.reason("paris", kind=SERVERS) == "SystemInUse", SECONDS)
    await scene.world.peer("bob", serverRef={"name": "paris"})
    await scene.ready("bob", "ServerNotReady")
    assert scene.is_on() and len(scene.double.clients) == 1
    await scene.world.delete(PEERS, "alice")
    await scene.world.delete(SERVERS, "berlin")
    await scene.ready("bob")


async def test_networks_that_wg_easy_does_not_have_are_refused(scene: Scene) -> None:
    await scene.begin(networks=["10.9.0.0/24"])
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemUnsuitable", SECONDS)
    message = scene.condition("berlin", "wgs")["message"]
    assert "spec.networks has 10.9.0.0/24" in message and "10.8.0.0/24" in message


async def test_a_system_that_stops_answering_is_said_and_nobody_is_called_off(scene: Scene) -> None:
    await scene.begin("alice")
    scene.double.refusals = [500] * 10_000
    scene.double.end_sessions()
    scene.double.password = "changed"
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemRefused", SECONDS)
    assert scene.world.reason() == "Ready" and scene.is_on()
    await scene.world.patch(PEERS, "alice", enabled=False)
    await until(lambda: scene.condition("alice", "wgp", "Programmed").get("reason") == "Removing", SECONDS)
    scene.double.password, scene.double.refusals = "correct horse battery", []
    await scene.ready(reason="Disabled")
    assert not scene.is_on()


async def test_a_server_that_goes_takes_its_clients_along(scene: Scene) -> None:
    scene.double.add("printer", "10.8.0.200")
    await scene.begin("alice", "bob")
    await scene.world.delete(PEERS, "alice")
    await scene.world.delete(PEERS, "bob")
    await scene.world.delete(SERVERS, "berlin")
    await until(lambda: [c["name"] for c in scene.double.clients.values()] == ["printer"], SECONDS)


async def test_no_key_and_no_password_is_in_a_status_an_event_or_a_log(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    scene.double.refusals = [500, 400]
    await scene.begin("alice", "bob")
    scene.double.password = "changed since"
    scene.double.end_sessions()
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemRefused", SECONDS)
    hidden = {c[part] for c in scene.double.clients.values() for part in ("privateKey", "preSharedKey")}
    others = [body for (kind, _), body in scene.world.kube.objects.items() if kind != SECRETS]
    said = json.dumps(others) + caplog.text
    assert not [secret for secret in (*hidden, "correct horse battery") if secret in said]


async def test_a_crash_at_any_moment_makes_no_second_client(scene: Scene) -> None:
    scene.double.write_seconds = 0.05
    await scene.begin()
    for n in range(4):
        await scene.world.peer(f"peer-{n}")
    for pause in (0.03, 0.08, 0.13, 0.21, 0.34):
        await asyncio.sleep(pause)
        await scene.world.restart()
    for n in range(4):
        await scene.ready(f"peer-{n}")
    await until(lambda: len(scene.double.clients) == 4, SECONDS)
    keys = {str(scene.world.status(f"peer-{n}")["publicKey"]) for n in range(4)}
    await until(lambda: scene.double.on_device().keys() == keys, SECONDS)


async def test_the_whole_of_a_long_list_is_read(scene: Scene) -> None:
    for n in range(220):
        scene.double.add("x" * 200, f"10.8.0.{n + 20}")
    await scene.begin("alice")
    assert len(scene.double.on_device()) == 221


async def test_an_answer_that_nobody_thought_of_is_got_over(scene: Scene) -> None:
    await scene.begin("alice")
    client = scene.client()
    client["serverAllowedIps"] = 7
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemUnsuitable", SECONDS)
    assert "in another form than version 15" in scene.condition("berlin", "wgs")["message"]
    client["serverAllowedIps"] = []
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)


async def test_a_mistake_of_ours_ends_the_work_on_a_system_for_a_moment_only(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.begin("alice")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as context:
        context.setattr(writer.Writer, "look", fail)
        await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemFailed", SECONDS)
    await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)


async def test_a_server_that_names_another_address_of_its_system_goes_on_there(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.begin("alice")
    plane = scene.world.kube.objects[SERVERS, Key(NAMESPACE, "berlin")]["spec"]["dataPlane"]
    async with served(scene.double.app(), scene.site) as url:
        monkeypatch.setattr(connection, "PAUSE_LAST", 3600.0)
        monkeypatch.setattr(connection, "PAUSE_FIRST", 3600.0)
        nowhere = {**plane, "wgEasy": {"url": "https://127.0.0.1:1"}}
        await scene.world.patch(SERVERS, "berlin", dataPlane=nowhere)
        await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "SystemUnreachable", SECONDS)
        assert scene.is_on()
        await scene.world.patch(SERVERS, "berlin", dataPlane={**plane, "wgEasy": {"url": url}})
        await until(lambda: scene.world.reason("berlin", kind=SERVERS) == "Ready", SECONDS)
        await scene.world.patch(PEERS, "alice", enabled=False)
        await scene.ready(reason="Disabled")
        assert not scene.is_on()
        await scene.world.stop()


async def test_a_peer_that_moves_away_keeps_its_keys_and_leaves_no_client(scene: Scene) -> None:
    await scene.begin("alice")
    key = scene.world.status()["publicKey"]
    await scene.world.server("paris")
    await scene.world.patch(PEERS, "alice", serverRef={"name": "paris"})
    await until(lambda: scene.world.agent.allowed_ips.keys() == {key}, SECONDS)
    await until(lambda: not scene.double.clients, SECONDS)
    await scene.ready()


async def test_a_peer_that_comes_with_keys_that_wg_easy_cannot_take_is_told_so(scene: Scene) -> None:
    await scene.begin()
    await scene.world.server("paris")
    await scene.world.peer("bob", serverRef={"name": "paris"})
    await scene.ready("bob")
    await scene.world.patch(PEERS, "bob", serverRef={"name": "berlin"})
    await scene.ready("bob", "DeviceRefused")
    assert "none can be given it; raise spec.keyGeneration" in scene.condition("bob", "wgp")["message"]
    await scene.world.patch(PEERS, "bob", keyGeneration=1)
    await scene.ready("bob")
    assert scene.is_on("bob") and not scene.world.agent.allowed_ips


async def test_new_keys_without_an_overlap_are_told(scene: Scene) -> None:
    await scene.begin("alice")
    await scene.world.patch(PEERS, "alice", keyGeneration=1)
    await until(lambda: scene.condition("alice", "wgp", "Accepted").get("reason") == "Degraded", SECONDS)
    assert "without spec.keyOverlapSeconds" in scene.condition("alice", "wgp", "Accepted")["message"]
    await scene.ready()


async def test_a_controller_that_stops_leaves_no_write_under_way_to_the_next(scene: Scene) -> None:
    await scene.begin("alice", "bob")
    scene.double.write_seconds = 0.3
    for name in ("alice", "bob"):
        before = len(scene.double.writes)
        await scene.world.patch(PEERS, name, enabled=False)
        await until(lambda n=before: len(scene.double.writes) > n, SECONDS)
        await scene.world.restart()
    await scene.ready("alice", "Disabled")
    await scene.ready("bob", "Disabled")
    assert scene.double.most_at_once == 1 and not scene.double.on_device()


async def test_a_controller_that_is_stopped_does_not_wait_for_a_system_that_hangs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "REST_SECONDS", 0.2)
    await scene.begin("alice")
    scene.double.hangs = True
    await scene.world.patch(PEERS, "alice", enabled=False)
    await asyncio.sleep(0.2)
    async with asyncio.timeout(3):
        await scene.world.stop()
    scene.double.hangs = False
