"""The watch cache: what is kept of objects, how it is found, and what late or broken events do."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.api.base import Key
from wireguard_operator.gateway.cache.identity import ID, peer_id, server_id
from wireguard_operator.gateway.cache.records import METADATA, NOTES, TITLE, peer_record, server_record
from wireguard_operator.gateway.cache.store import Store
from wireguard_operator.gateway.metrics import Metrics

U1, U2 = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("one", "two"))


def peer(name: str, version: int = 1, namespace: str = "isp", uid: str = "", created: int = 0, **spec: Any) -> Any:
    meta = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    meta["creationTimestamp"] = f"2030-01-01T00:00:{created:02}Z"
    return {"metadata": meta, "spec": {"serverRef": {"name": "berlin"}} | spec}


def owned(name: str, customer: str, id_: str = "", **more: Any) -> Any:
    subscriber = {"customerId": customer, "subscriberId": f"line-{name}"} | ({"externalId": id_} if id_ else {})
    return peer(name, subscriber=subscriber, **more)


def store() -> Store:
    return Store(Metrics())


def test_peers_are_found_by_id_customer_subscriber_and_server() -> None:
    shelf = store().peers
    shelf.replace(None, [owned("a", "c1", U1), owned("b", "c1", created=1), owned("c", "c2", namespace="other")])
    found = shelf.by_id("isp", U1.upper())
    assert found is not None
    assert found.key == Key("isp", "a")
    assert shelf.by_id("other", U1) is None
    assert [record.key.name for record in shelf.having("isp", "customer", "c1")] == ["a", "b"]
    assert [record.key.name for record in shelf.having("isp", "subscriber", "line-b")] == ["b"]
    assert [record.key.name for record in shelf.having("isp", "server", "isp/berlin")] == ["a", "b"]
    assert shelf.having("isp", "customer", "c2") == []


def test_of_two_peers_with_one_id_the_older_has_it() -> None:
    shelf = store().peers
    shelf.replace(None, [owned("young", "c", U1, created=9), owned("old", "c", U1, created=1)])
    found = shelf.by_id("isp", U1)
    assert found is not None
    assert found.key.name == "old"


def test_ids_survive_a_restore_and_do_not_depend_on_the_uid() -> None:
    made_by_hand = peer("a")
    restored = peer("a", uid="another", created=30)
    assert peer_id(made_by_hand) == peer_id(restored)
    assert peer_id(peer("a", namespace="other")) != peer_id(made_by_hand)
    assert peer_id(owned("a", "c", U1.upper())) == U1
    assert uuid.UUID(peer_id(owned("a", "c", "not a uuid")))
    body = {"metadata": {"name": "s", "namespace": "isp", "annotations": {ID: U2}}, "spec": {}}
    assert server_id(body) == U2


def test_an_older_version_changes_nothing_and_a_newer_one_moves_the_index() -> None:
    shelf = store().peers
    shelf.put(owned("a", "c2", version=5))
    shelf.put(owned("a", "c1", version=4))
    assert shelf.having("isp", "customer", "c1") == []
    shelf.put(owned("a", "c3", version=10))
    assert shelf.having("isp", "customer", "c2") == []
    assert len(shelf.having("isp", "customer", "c3")) == 1


def test_a_late_event_does_not_bring_a_deleted_object_back() -> None:
    shelf = store().peers
    shelf.put(peer("a", 1))
    shelf.remove(Key("isp", "a"), "uid-a")
    shelf.put(peer("a", 2))
    assert shelf.get(Key("isp", "a")) is None
    shelf.put(peer("a", 3, uid="uid-new"))
    shelf.remove(Key("isp", "a"), "uid-a")
    found = shelf.get(Key("isp", "a"))
    assert found is not None
    assert found.uid == "uid-new"


def test_a_list_drops_what_is_not_on_it_in_its_namespace_only() -> None:
    both = Store(Metrics(), ("isp", "other"))
    both.peers.replace("isp", [peer("a"), peer("b")])
    assert not both.peers.complete
    both.peers.replace("other", [peer("c", namespace="other")])
    assert both.peers.complete
    assert not both.complete
    both.peers.replace("isp", [peer("b")])
    assert [record.key.name for record in both.peers.of("isp")] == ["b"]
    assert len(both.peers) == 2


def test_one_object_that_cannot_be_read_harms_no_other_one(caplog: pytest.LogCaptureFixture) -> None:
    shelf = store().peers
    broken = peer("broken", expiresAt="one day")
    shelf.replace(None, [peer("a"), broken, {"metadata": {}}, peer("b")])
    assert [record.key.name for record in shelf.of("isp")] == ["a", "b"]
    assert "isp/broken is left out" in caplog.text


def test_times_are_kept_in_one_form_so_that_they_compare() -> None:
    found = peer_record(peer("a", expiresAt="2030-01-01T02:00:00.7+02:00"))
    assert found.expires_at == "2030-01-01T00:00:00Z"


def test_what_foreign_systems_said_is_in_annotations() -> None:
    body = peer("a")
    body["metadata"]["annotations"] = {TITLE: "Alice's phone", NOTES: "n", METADATA: '{"a":1}'}
    found = peer_record(body)
    assert (found.title, found.notes, found.metadata) == ("Alice's phone", "n", '{"a":1}')
    assert peer_record(peer("a")).title == "a"


def test_a_bare_server_has_a_record() -> None:
    body = peer("s")
    body["spec"] = {"networks": ["10.8.0.0/24"], "endpoint": {"host": "2001:db8::1"}}
    found = server_record(body)
    assert (found.public_endpoint, found.phase, found.peers) == ("[2001:db8::1]:51820", "Inactive", 0)


async def test_whoever_waits_is_told_at_once_and_in_vain_only_so_long() -> None:
    shelf = store().peers
    shelf.put(peer("a", 1))
    key = Key("isp", "a")
    waiting = asyncio.create_task(shelf.until(key, lambda now: now is not None and now.version == 3, 30))
    await asyncio.sleep(0)
    shelf.put(peer("a", 2))
    await asyncio.sleep(0)
    shelf.put(peer("a", 3))
    found = await asyncio.wait_for(waiting, 5)
    assert found is not None
    assert found.version == 3
    assert (await shelf.until(key, lambda now: now is None, 0.01)) is found
    assert shelf._waiters == {}


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 20),
        st.sampled_from(["put", "remove"]),
        st.sampled_from(["c1", "c2"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@given(STEPS)
def test_the_indexes_say_what_the_records_say(steps: list[tuple[str, int, str, str, int]]) -> None:
    shelf = store().peers
    for name, version, what, customer, created in steps:
        if what == "put":
            shelf.put(owned(name, customer, version=version, uid=f"{name}{created}", created=created))
        else:
            shelf.remove(Key("isp", name), f"{name}{created}")
        records = list(shelf.of("isp"))
        assert sorted(records, key=lambda r: (r.created_at, r.key.name)) == records
        assert {r.key for r in records} == set(shelf._all)
        for value in ("c1", "c2"):
            assert {r.key for r in shelf.having("isp", "customer", value)} == {
                r.key for r in records if r.customer_id == value
            }
        assert sum(map(len, shelf._index.values())) == sum(len(list(shelf._facets(r))) for r in records)
