"""Secrets: what is written is read back, what is spoilt does no harm, and nothing secret shows anywhere else."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client_configs import key
from tests.unit.domain.objects import NOW, client_keys, hours, peer, ring, server
from wireguard_operator.domain.conditions import Problem
from wireguard_operator.domain.device import Delta, DesiredState, DevicePeer, Interface
from wireguard_operator.domain.key_ring import DEVICE, GENERATED, ClientKeys, Imports, KeyRing, PreviousKeys, next_ring
from wireguard_operator.domain.keys import Hidden, KeyPair, generate_pair, pair_of
from wireguard_operator.domain.peer_status import PeerFacts
from wireguard_operator.domain.secrets import (
    belongs_to,
    build,
    imported,
    is_ours,
    peer_data,
    read,
    read_generation,
    read_pair,
    read_preshared,
    read_ring,
    server_data,
)

ALICE = peer()


def secret(data: dict[str, str]) -> dict[str, Any]:
    return build(ALICE, "WireGuardPeer", "alice-wireguard", data)


# There and back. ---------------------------------------------------------------------------------------------------

some_keys = st.binary(min_size=32, max_size=32).filter(any).map(lambda raw: Hidden(base64.b64encode(raw).decode()))
some_pairs = some_keys.map(pair_of)
some_times = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)).flatmap(
    lambda naive: st.integers(-12, 12).map(lambda offset: naive.replace(tzinfo=timezone(timedelta(hours=offset))))
)
some_sources = st.one_of(
    st.just(GENERATED), st.from_regex(r"secret:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._a-zA-Z0-9]+", fullmatch=True)
)
some_previous = st.builds(
    PreviousKeys, public=some_pairs.map(lambda pair: pair.public), preshared=st.none() | some_keys, until=some_times
)
own_pairs = st.builds(
    lambda pair, preshared: ClientKeys(pair.public, pair.private, preshared), some_pairs, st.none() | some_keys
)
generations = st.integers(0, 2**31 - 1)
some_rings = st.one_of(
    st.builds(KeyRing, own_pairs, generations, some_sources, st.none() | some_previous),
    st.builds(KeyRing, own_pairs.map(lambda keys: replace(keys, private=None)), generations, st.just(DEVICE)),
)


@given(some_rings, st.text(max_size=20))
@settings(max_examples=100, deadline=None)
def test_a_ring_is_read_back_as_it_was_written_and_so_is_the_configuration(wanted: KeyRing, config: str) -> None:
    body = secret(peer_data(wanted, config))
    assert read_ring(body) == wanted
    assert read(body, "wg0.conf") == config
    assert peer_data(read_ring(body) or ring(), config) == peer_data(wanted, config)


@given(some_pairs, generations)
@settings(max_examples=50, deadline=None)
def test_a_servers_keys_are_read_back(pair: KeyPair, generation: int) -> None:
    body = secret(server_data(pair, generation))
    assert (read_pair(body), read_generation(body)) == (pair, generation)


def test_imported_keys_are_read_back_from_a_secret_that_is_not_the_operator_s() -> None:
    pair, preshared = generate_pair(), key(3)
    body = imported("alice-import", "isp", {"privateKey": pair.private, "presharedKey": Hidden(preshared)})
    assert read_pair(body) == pair and read(body, "presharedKey") == preshared
    assert not is_ours(body) and not belongs_to(body, ALICE)


def test_plain_keys_make_a_secret_without_anything_to_explain() -> None:
    assert set(peer_data(ring(), "")) == {"privateKey", "publicKey", "presharedKey", "wg0.conf"}
    assert set(peer_data(ring(preshared=None, source=DEVICE, device_held=True), "")) == {
        "publicKey",
        "keySource",
        "wg0.conf",
    }
    assert set(server_data(generate_pair(), 0)) == {"privateKey", "publicKey"}


# What somebody else put there. -------------------------------------------------------------------------------------

WRITTEN = peer_data(ring(4, 3, previous=2, until=hours(24), generation=5), "config")
KEPT = ring(4, 3, previous=2, until=hours(24), generation=5)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"privateKey": "rubbish"}, None),
        ({"privateKey": None}, None),
        ({"privateKey": key(0)}, None),
        ({"publicKey": None}, KEPT),  # it follows from the private key
        ({"publicKey": "somebody else's"}, KEPT),
        ({"privateKey": f"{client_keys(4).private.reveal()}\n"}, KEPT),  # type: ignore[union-attr]
        ({"presharedKey": "rubbish"}, replace(KEPT, current=replace(KEPT.current, preshared=None))),
        ({"presharedKey": f" {key(3)}\n"}, KEPT),
        ({"keyGeneration": "rubbish"}, replace(KEPT, generation=0)),
        ({"keyGeneration": "-1"}, replace(KEPT, generation=0)),
        ({"keyGeneration": "9" * 5000}, replace(KEPT, generation=0)),  # more digits than Python converts
        ({"keySource": ""}, KEPT),
        ({"keySource": "device", "privateKey": None}, replace(
            KEPT, current=replace(KEPT.current, private=None), source=DEVICE)),
        ({"keySource": "device", "privateKey": None, "publicKey": None}, None),
        ({"previousPublicKey": None}, KEPT.finished()),
        ({"previousPublicKey": "rubbish"}, KEPT.finished()),
        ({"previousKeyUntil": None}, KEPT.finished()),
        ({"previousKeyUntil": "tomorrow"}, KEPT.finished()),
        ({"previousKeyUntil": "2026-06-02T12:00:00"}, KEPT),  # without a time zone it is UTC
        ({"previousKeyUntil": "2026-06-02T14:00:00+02:00"}, KEPT),
    ],
)  # fmt: skip
def test_what_is_spoilt_is_left_out_and_the_rest_goes_on_working(
    change: dict[str, str | None], expected: KeyRing | None
) -> None:
    data = {name: text for name, text in (WRITTEN | change).items() if text is not None}
    found = read_ring(secret(data))
    assert found == expected
    if found is not None:
        assert isinstance(next_ring(peer(keyGeneration=5).spec, found, Imports(), 5, NOW), KeyRing)


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {}}, {"data": {"privateKey": "%%%"}},
                                  {"data": {"privateKey": base64.b64encode(b"\xff\xfe").decode()}}])  # fmt: skip
def test_a_secret_without_anything_usable_holds_no_ring(body: dict[str, Any]) -> None:
    assert (read_ring(body), read_pair(body), read_preshared(body), read_generation(body)) == (None, None, None, 0)


def test_times_without_a_zone_can_be_compared() -> None:
    found = read_ring(secret(WRITTEN | {"previousKeyUntil": "2026-06-02T12:00:00"}))
    assert found is not None and found.previous is not None and found.previous.until.tzinfo is UTC


def test_a_secret_belongs_to_the_very_object_it_was_made_for() -> None:
    body = secret({})
    assert belongs_to(body, ALICE) and is_ours(body)
    assert not belongs_to(body, peer("bob"))
    assert not belongs_to({"metadata": {}}, ALICE) and not is_ours({"metadata": {}})
    assert body["metadata"]["ownerReferences"][0]["kind"] == "WireGuardPeer"
    assert build(server(), "WireGuardServer", "s", {})["metadata"]["namespace"] == "isp"


# What shows. -------------------------------------------------------------------------------------------------------


def test_nothing_secret_is_in_the_text_of_any_object() -> None:
    keys = ring(4, 3, previous=2, until=hours(24))
    assert keys.current.private is not None and keys.current.preshared is not None and keys.previous is not None
    pair = KeyPair(keys.current.private, keys.current.public)
    device_peer = DevicePeer("K", (), keys.current.preshared.reveal())
    interface = Interface(keys.current.private.reveal(), 1, 1420, ())
    hiding = [
        keys,
        keys.current,
        keys.previous,
        pair,
        Imports(pair, keys.current.preshared),
        PeerFacts(ring=keys),
        interface,
        device_peer,
        Delta(interface, (device_peer,)),
        DesiredState(interface, (device_peer,)),
        next_ring(peer().spec, None, Imports(), 0, NOW),
        next_ring(peer(presharedKey={"policy": "Always"}, publicKey=keys.current.public).spec, None, Imports(), 0, NOW),
    ]
    assert [isinstance(item, Problem) for item in hiding[-2:]] == [True, True]
    secrets = {key(3), key(102), keys.current.private.reveal()}
    for item in hiding:
        for text in (repr(item), str(item), f"{item}", repr([item]), repr({"key": item})):
            assert not [one for one in secrets if one in text], type(item).__name__
