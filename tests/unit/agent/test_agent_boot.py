"""What pods boot from: whole, of one state, small enough, or not at all."""

import random
from pathlib import Path

import pytest

from wireguard_operator.agent import boot
from wireguard_operator.agent.parts import PartsError
from wireguard_operator.agent.protocol import Snapshot
from wireguard_operator.domain.device import DesiredState, DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair, generate_preshared

INTERFACE = Interface(generate_pair().private.reveal(), 51820, 1420, ("10.8.0.1/16",), masquerade=True)


def state(count: int) -> DesiredState:
    return DesiredState(
        INTERFACE,
        [
            DevicePeer(generate_preshared().reveal(), (f"10.8.{i // 250}.{i % 250}/32",), generate_preshared().reveal())
            for i in range(count)
        ],
    )


def test_a_state_comes_back_as_it_was_from_parts_in_any_order() -> None:
    made = state(12_000)
    parts = boot.pack(Snapshot.of(7, made))
    assert len(parts) > 1 and all(len(part) < 760_000 for part in parts)
    random.Random(1).shuffle(parts)
    revision, found = boot.unpack(parts)
    assert revision == 7 and found.digest == made.digest


def test_equal_states_make_equal_parts_so_that_nothing_is_written_twice() -> None:
    made = state(20)
    again = DesiredState(made.interface, reversed(list(made.peers.values())))
    assert boot.pack(Snapshot.of(3, made)) == boot.pack(Snapshot.of(3, again))


def test_parts_of_a_former_larger_state_are_passed_over() -> None:
    old, new = boot.pack(Snapshot.of(1, state(12_000))), boot.pack(Snapshot.of(2, state(3)))
    assert len(boot.unpack([*new, *old[1:]])[1].peers) == 3


@pytest.mark.parametrize("spoil", ["missing", "mixed", "cut", "rubbish"])
def test_what_is_not_whole_is_refused_without_quoting_it(spoil: str) -> None:
    one, other = boot.pack(Snapshot.of(1, state(12_000))), boot.pack(Snapshot.of(2, state(12_000)))
    parts = {
        "missing": one[:-1],
        "mixed": [one[0], *other[1:]],
        "cut": [*one[:-1], one[-1][:-9]],
        "rubbish": [b"rubbish", *one],
    }[spoil]
    with pytest.raises(PartsError) as refusal:
        boot.unpack(parts)
    assert INTERFACE.private_key not in str(refusal.value)


def test_a_directory_without_anything_usable_is_as_good_as_none(tmp_path: Path) -> None:
    assert boot.read(tmp_path) is None
    (tmp_path / "part-0").write_bytes(b"rubbish")
    assert boot.read(tmp_path) is None
    for number, part in enumerate(boot.pack(Snapshot.of(1, state(2)))):
        (tmp_path / f"part-{number}").write_bytes(part)
    found = boot.read(tmp_path)
    assert found is not None and len(found[1].peers) == 2
