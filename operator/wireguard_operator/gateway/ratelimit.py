"""A token bucket for each client address, so that nobody can try tokens and tickets by the thousand.

Memory is bounded: when there are too many addresses those that were idle longest are forgotten, and IPv6 addresses
count by their /64, which is what one subscriber has.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_ADDRESSES = 10_000


class RateLimit:
    """``rate`` requests a second in the long run, ``burst`` at once."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, float(burst), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: tokens left, and when that was counted. The longest idle is first."""

    def take(self, address: str) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        key, now = _bucket_of(address), self._clock()
        tokens, counted = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - counted) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[key] = (tokens if wait else tokens - 1, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return wait

    def left(self, address: str) -> bool:
        """Whether there is a token, without taking it."""
        key, now = _bucket_of(address), self._clock()
        tokens, counted = self._buckets.get(key, (self._burst, now))
        return tokens + (now - counted) * self._rate >= 1


def _bucket_of(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else address
