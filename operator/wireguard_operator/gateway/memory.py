"""Answers that are remembered for a few seconds, at most so many of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Memory(Generic[V]):
    """A dictionary that forgets: each entry after ``seconds``, the oldest when there are more than ``size``."""

    def __init__(self, seconds: float, size: int = 4096, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._size, self._clock = seconds, size, clock
        self._entries: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()

    def get(self, key: Hashable) -> V | None:
        """What is remembered; None when nothing is."""
        found = self._entries.get(key)
        if found is None or self._clock() >= found[0]:
            return None
        return found[1]

    def put(self, key: Hashable, value: V) -> None:
        """Remember it from now on."""
        self._entries.pop(key, None)
        self._entries[key] = (self._clock() + self._seconds, value)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
