"""Young garbage goes, old objects are left alone."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from wireguard_operator.controller import memory


class Ring:
    """A cycle, as a finished task with its exception is one."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.unfreeze()  # of what the tests froze
    yield
    gc.set_threshold(*before)
    gc.freeze()


def test_young_cycles_are_collected_and_nothing_old_is_looked_at_again() -> None:
    memory.begin()
    gone = weakref.ref(Ring())
    kept = [object() for _ in range(100)]
    memory.settle()
    assert gone() is None and kept
    assert gc.get_freeze_count() > 0
    assert len(gc.get_objects(generation=2)) == 0


def test_an_old_object_without_a_cycle_goes_with_its_last_reference() -> None:
    class Plain:
        pass

    plain = Plain()
    gone = weakref.ref(plain)
    memory.settle()
    del plain
    assert gone() is None
