"""Objects brought to the API server: what is there stays, what is bad harms nobody else, and the next run goes on."""

from __future__ import annotations

import copy

import pytest
from import_cluster import Cluster, Name

from wireguard_operator.cli.cluster import CommandError
from wireguard_operator.cli.importing import apply
from wireguard_operator.cli.importing.apply import bring
from wireguard_operator.cli.importing.found import Device, Peer
from wireguard_operator.cli.importing.manifests import Body, Target, plan
from wireguard_operator.domain.keys import generate_pair, generate_preshared
from wireguard_operator.domain.secrets import imported
from wireguard_operator.kube.errors import Invalid, KubeError, Unavailable

SERVER: Name = ("WireGuardServer", "berlin")
ALICE: Name = ("WireGuardPeer", "alice")
BOB: Name = ("WireGuardPeer", "bob")


@pytest.fixture
def objects() -> tuple[Body, ...]:
    """A server, alice and bob, each with keys in a Secret."""
    peers = tuple(
        Peer(generate_pair().public, (f"10.8.0.{number}/32",), generate_preshared(), name)
        for number, name in ((2, "alice"), (3, "bob"))
    )
    device = Device(generate_pair().private, 51820, ("10.8.0.1/24",), peers)
    return plan(device, Target("berlin", "isp", "vpn.example.net")).objects


def name(body: Body) -> Name:
    return body["kind"], body["metadata"]["name"]


def refusing(cluster: Cluster, refused: Name, error: KubeError) -> None:
    def before(asked: Name) -> None:
        if asked == refused:
            raise error

    cluster.before = before


async def test_what_is_missing_is_made_keys_first_and_the_server_last(objects: tuple[Body, ...]) -> None:
    cluster, asked = Cluster(), list[Name]()
    cluster.before = asked.append
    outcome = await bring(cluster.client, objects)
    assert list(outcome.made) == list(objects) and not outcome.problems and not outcome.there
    assert [kind for kind, _ in asked] == ["Secret"] * 3 + ["WireGuardPeer"] * 2 + ["WireGuardServer"]


async def test_a_second_run_makes_nothing_whatever_others_have_added(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    await bring(cluster.client, objects)
    cluster.objects[ALICE]["spec"]["suspensions"] = [{"reason": "non-payment"}]
    before = copy.deepcopy(cluster.objects)
    outcome = await bring(cluster.client, objects)
    assert (outcome.made, outcome.there, outcome.problems) == ([], 6, [])
    assert cluster.objects == before


@pytest.mark.parametrize("at_once", [1, 32])
@pytest.mark.parametrize("kill", range(6))
async def test_after_a_kill_at_any_point_the_next_run_makes_the_rest(
    objects: tuple[Body, ...], kill: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    cluster = Cluster()

    def before(_: Name) -> None:
        if len(cluster.objects) == kill:
            raise Killed

    monkeypatch.setattr(apply, "AT_ONCE", at_once)
    cluster.before = before
    with pytest.raises(Killed):
        await bring(cluster.client, objects)
    assert len(cluster.objects) == kill and SERVER not in cluster.objects
    cluster.before = lambda _: None
    outcome = await bring(cluster.client, objects)
    assert (len(outcome.made), outcome.there, outcome.problems) == (6 - kill, kill, [])
    assert set(cluster.objects) == {name(body) for body in objects}


async def test_a_difference_is_named_and_stays_and_nothing_else_is_held_up(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    await bring(cluster.client, objects)
    cluster.objects[ALICE]["spec"] |= {"addresses": ["10.8.0.9"], "presharedKey": {"policy": "Never"}}
    before = copy.deepcopy(cluster.objects[ALICE])
    del cluster.objects[BOB]
    outcome = await bring(cluster.client, objects)
    assert outcome.problems == [
        "left as it is: WireGuardPeer alice is there with another spec.presharedKey, spec.addresses"
    ]
    assert [name(body) for body in outcome.made] == [BOB] and outcome.there == 4
    assert cluster.objects[ALICE] == before


async def test_nothing_is_made_for_a_server_that_is_another_one(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    there = copy.deepcopy(objects[-1])
    there["spec"]["networks"] = ["10.99.0.0/24"]
    cluster.objects[SERVER] = there
    with pytest.raises(CommandError, match=r"WireGuardServer berlin is there with another spec\.networks; nothing was"):
        await bring(cluster.client, objects)
    assert list(cluster.objects) == [SERVER], "its peers would be joined by those of this one"


async def test_a_peer_does_not_get_the_keys_of_another_secret_of_that_name(objects: tuple[Body, ...]) -> None:
    cluster, stranger = Cluster(), generate_preshared()
    there = cluster.objects["Secret", "alice-import"] = imported("alice-import", "isp", {"presharedKey": stranger})
    outcome = await bring(cluster.client, objects)
    assert outcome.problems == [
        "left as it is: Secret alice-import is there with another data.presharedKey",
        "not made: WireGuardPeer alice, which needs Secret alice-import",
        "not made: WireGuardServer berlin, which needs WireGuardPeer alice",
    ]
    assert ALICE not in cluster.objects and BOB in cluster.objects
    assert cluster.objects["Secret", "alice-import"] is there
    values = [value for body in (there, *objects) if body["kind"] == "Secret" for value in body["data"].values()]
    assert not [value for value in values if value in str(outcome.problems)]


async def test_of_what_is_there_already_only_the_difference_itself_is_told(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    await bring(cluster.client, objects)
    cluster.objects["Secret", "alice-import"]["data"] = {}
    outcome = await bring(cluster.client, objects)
    assert outcome.problems == ["left as it is: Secret alice-import is there with another data.presharedKey"]
    assert outcome.there == 5


async def test_a_peer_that_is_refused_harms_no_other_and_the_server_waits_for_it(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    refusing(cluster, ALICE, Invalid("spec.routes: a route to everything", 422))
    outcome = await bring(cluster.client, objects)
    assert outcome.problems == [
        "failed: WireGuardPeer alice: spec.routes: a route to everything",
        "not made: WireGuardServer berlin, which needs WireGuardPeer alice",
    ]
    assert BOB in cluster.objects and SERVER not in cluster.objects
    cluster.before = lambda _: None
    assert [name(body) for body in (await bring(cluster.client, objects)).made] == [ALICE, SERVER]


async def test_of_many_that_are_missing_one_is_named(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    for peer in ("alice", "bob"):
        cluster.objects["Secret", f"{peer}-import"] = imported(f"{peer}-import", "isp", {})
    outcome = await bring(cluster.client, objects)
    assert outcome.problems[-1] == "not made: WireGuardServer berlin, which needs WireGuardPeer alice and 1 more"


async def test_what_is_being_deleted_does_not_count_as_there(objects: tuple[Body, ...]) -> None:
    cluster = Cluster()
    await bring(cluster.client, objects)
    cluster.objects[ALICE]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    outcome = await bring(cluster.client, objects)
    assert outcome.problems == ["left as it is: WireGuardPeer alice is being deleted"]
    cluster.objects[SERVER]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    with pytest.raises(CommandError, match="WireGuardServer berlin is being deleted; nothing was made"):
        await bring(cluster.client, objects)


async def test_an_api_server_that_does_not_answer_is_not_asked_ten_thousand_times(
    objects: tuple[Body, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "AT_ONCE", 2)
    cluster, asked = Cluster(), list[Name]()

    def before(name: Name) -> None:
        asked.append(name)
        raise Unavailable("POST: no answer")

    cluster.before = before
    outcome = await bring(cluster.client, objects)
    assert (len(asked), len(outcome.problems), outcome.untried) == (2, 2, 4)
    # One that is not answered, or an answer that says no, is that object's own trouble.
    refusing(cluster, ("Secret", "berlin-import"), Unavailable("POST: no answer"))
    assert (await bring(cluster.client, objects)).untried == 0
