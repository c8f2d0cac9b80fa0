"""A peer's keys: where they come from, what keeps them, and what a rotation does to those that work."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.client_configs import key
from tests.unit.domain.objects import NOW, client_keys, hours, peer, ring
from wireguard_operator.api.peer import PeerSpec
from wireguard_operator.api.reasons import Reason
from wireguard_operator.domain.conditions import Problem
from wireguard_operator.domain.key_ring import DEVICE, GENERATED, Imports, KeyRing, PreviousKeys, next_ring, source_of
from wireguard_operator.domain.keys import Hidden, pair_of

NO_PAIR = Problem(Reason.SECRET_NOT_FOUND, "no Secret with the pair")
NO_PRESHARED = Problem(Reason.KEY_INVALID, "no preshared key there")
IMPORTED_PAIR, IMPORTED_PRESHARED = pair_of(Hidden(key(40))), Hidden(key(41))
DEVICE_KEY = client_keys(50).public
IMPORT = {"privateKeySecretRef": {"name": "old-vpn"}}

# Every situation, decided by two tables. ---------------------------------------------------------------------------

SOURCES: dict[str, tuple[dict[str, Any], Any, str]] = {
    # the specification, what the import brings, and how a Secret remembers the source
    "generated": ({}, None, GENERATED),
    "device": ({"publicKey": DEVICE_KEY}, None, DEVICE),
    "imported": (IMPORT, IMPORTED_PAIR, "secret:old-vpn/privateKey"),
    "imported from nothing": (IMPORT, NO_PAIR, "secret:old-vpn/privateKey"),
}
PAIRS = {
    # the source: what comes of it while the Secret's keys are good, and when there are none or others are asked for
    "generated": ("kept", "fresh"),
    "device": ("specified", "specified"),
    "imported": ("imported", "imported"),
    "imported from nothing": ("kept", "problem"),
}
PRESHARED = {
    # policy, and the Secret to import from: the same for keys that are generated, and for others
    ("Auto", None): (("kept", "fresh"), ("none", "none")),
    ("Auto", "there"): (("imported", "imported"), ("imported", "imported")),
    ("Auto", "missing"): (("kept", "problem"), ("kept", "problem")),
    ("Always", None): (("kept", "fresh"), ("kept", "fresh")),
    ("Always", "there"): (("imported", "imported"), ("imported", "imported")),
    ("Always", "missing"): (("kept", "problem"), ("kept", "problem")),
    ("Never", None): (("none", "none"), ("none", "none")),
}
HELD = ("by the Secret", "from another source", "by nobody, never made", "by nobody, made before")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("policy", "secret"), PRESHARED)
def test_the_tables_decide(source: str, policy: str, secret: str | None) -> None:
    spec, imported, remembered = SOURCES[source]
    preshared = {"policy": policy} | ({"secretRef": {"name": "psk"}} if secret else {})
    brought = {"there": IMPORTED_PRESHARED, "missing": NO_PRESHARED, None: None}[secret]
    for held, raised in product(HELD, (False, True)):
        have = ring(10, 11, source=remembered, device_held=source == "device") if held == HELD[0] else None
        have = ring(20, 21, source="secret:other/key") if held == HELD[1] else have
        wanted = peer(**spec, presharedKey=preshared, keyGeneration=int(raised)).spec
        got = next_ring(wanted, have, Imports(imported, brought), 0 if held == HELD[3] else None, NOW)
        good = held == HELD[0] and not raised
        pair = PAIRS[source][not good]
        shared = PRESHARED[policy, secret][source != "generated"][not good]
        lost = held == HELD[3] and not raised and (source == "generated" or (policy, secret) == ("Always", None))
        where = f"{held}, raised: {raised}"
        if lost or "problem" in (pair, shared):
            expected = Reason.KEY_LOST if lost else (NO_PRESHARED if shared == "problem" else NO_PAIR).reason
            assert isinstance(got, Problem) and got.reason is expected, where
            continue
        assert isinstance(got, KeyRing), where
        assert (got.source, got.generation) == (remembered, int(raised)), where
        assert pair_word(got, have) == pair, where
        assert preshared_word(got, have) == shared, where
        rotated = source == "generated" and held == HELD[0] and raised
        assert (got.previous is not None) is rotated, where


def pair_word(got: KeyRing, have: KeyRing | None) -> str:
    current = got.current
    if current.public == DEVICE_KEY:
        assert current.private is None
        return "specified"
    assert current.private is not None and pair_of(current.private).public == current.public
    if current.private == IMPORTED_PAIR.private:
        return "imported"
    return "kept" if have is not None and current.private == have.current.private else "fresh"


def preshared_word(got: KeyRing, have: KeyRing | None) -> str:
    if got.current.preshared is None:
        return "none"
    if got.current.preshared == IMPORTED_PRESHARED:
        return "imported"
    return "kept" if have is not None and got.current.preshared == have.current.preshared else "fresh"


# Rotation. ---------------------------------------------------------------------------------------------------------


def spec(generation: int = 0, **more: Any) -> PeerSpec:
    return peer(keyGeneration=generation, **more).spec


def following(wanted: PeerSpec, have: KeyRing | None, imports: Imports | None = None, at: float = 0) -> KeyRing:
    got = next_ring(wanted, have, imports or Imports(), None, hours(at))
    assert isinstance(got, KeyRing)
    return got


def test_a_rotation_keeps_the_former_keys_for_the_overlap_and_lets_them_carry_the_addresses() -> None:
    have = ring(2, 3)
    new = following(spec(1), have)
    assert new.previous == PreviousKeys(have.current.public, have.current.preshared, hours(24))
    assert new.carrier == have.current.public != new.current.public
    assert new.current.preshared not in (None, have.current.preshared)
    assert following(spec(1, keyOverlapSeconds=3600), have).previous == replace(new.previous, until=hours(1))


def test_nothing_changes_when_it_is_looked_at_again_until_the_overlap_is_over() -> None:
    rotated = following(spec(1), ring())
    assert following(spec(1), rotated, at=23.99) == rotated
    over = following(spec(1), rotated, at=24)
    assert over == rotated.finished() == replace(rotated, previous=None)
    assert over.carrier == over.current.public
    assert following(spec(1), over, at=25) == over


def test_without_an_overlap_the_former_keys_stop_at_once() -> None:
    assert following(spec(1, keyOverlapSeconds=0), ring()).previous is None


def test_of_two_rotations_in_a_row_the_keys_that_the_device_uses_go_on_working() -> None:
    first = following(spec(1), ring(2, 3))
    second = following(spec(2), first, at=1)
    assert second.generation == 2 and second.current.public != first.current.public
    assert first.previous is not None
    assert second.previous == replace(first.previous, until=hours(25))


def test_after_an_overlap_that_ran_out_the_second_rotation_keeps_the_keys_of_the_first() -> None:
    first = following(spec(1), ring(2, 3))
    second = following(spec(2), first, at=24)
    assert second.previous == PreviousKeys(first.current.public, first.current.preshared, hours(48))


def test_a_second_rotation_without_an_overlap_ends_the_first_one() -> None:
    assert following(spec(2, keyOverlapSeconds=0), following(spec(1), ring())).previous is None


def test_a_change_of_the_policy_does_not_touch_the_keys_before_nor_the_pair() -> None:
    rotated = following(spec(1), ring(2, 3))
    without = following(spec(1, presharedKey={"policy": "Never"}), rotated, at=1)
    assert without == replace(rotated, current=replace(rotated.current, preshared=None))


def test_another_source_ends_a_rotation() -> None:
    rotated = following(spec(1), ring())
    assert following(spec(1, publicKey=DEVICE_KEY), rotated).previous is None


def test_a_device_that_names_another_key_has_it_at_once() -> None:
    have = ring(5, None, source=DEVICE, device_held=True)
    assert following(spec(publicKey=DEVICE_KEY), have).current.public == DEVICE_KEY


# Imports. ----------------------------------------------------------------------------------------------------------


def test_an_import_goes_on_working_without_its_source_and_follows_it_while_it_is_there() -> None:
    first = following(spec(**IMPORT), None, Imports(IMPORTED_PAIR))
    assert following(spec(**IMPORT), first, Imports(NO_PAIR)) == first
    other = pair_of(Hidden(key(60)))
    assert following(spec(**IMPORT), first, Imports(other)).current.public == other.public


def test_naming_another_secret_is_another_source() -> None:
    first = following(spec(**IMPORT), None, Imports(IMPORTED_PAIR))
    elsewhere = spec(privateKeySecretRef={"name": "old-vpn", "key": "wg.key"})
    assert source_of(elsewhere) == "secret:old-vpn/wg.key"
    assert next_ring(elsewhere, first, Imports(NO_PAIR), 0, NOW) == NO_PAIR


def test_what_was_not_read_is_a_problem_and_no_fresh_key() -> None:
    for wanted in (spec(**IMPORT), spec(presharedKey={"secretRef": {"name": "psk"}})):
        got = next_ring(wanted, None, Imports(), None, NOW)
        assert isinstance(got, Problem) and got.reason == "SecretNotFound"


def test_lost_keys_are_not_made_anew_behind_the_subscribers_back_but_when_that_is_asked_for() -> None:
    got = next_ring(spec(1), None, Imports(), 1, NOW)
    assert isinstance(got, Problem) and got.reason == "KeyLost"
    assert "Secret" in got.message and "spec.keyGeneration" in got.message
    asked = next_ring(spec(2), None, Imports(), 1, NOW)
    assert isinstance(asked, KeyRing) and asked.previous is None and asked.generation == 2


def test_generated_keys_are_never_the_same() -> None:
    first, second = following(spec(), None), following(spec(), None)
    assert first.current.public != second.current.public and first.current.preshared != second.current.preshared
