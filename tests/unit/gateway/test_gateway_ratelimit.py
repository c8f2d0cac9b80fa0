"""The token bucket."""

from __future__ import annotations

from wireguard_operator.gateway import ratelimit
from wireguard_operator.gateway.ratelimit import RateLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_the_rate_counts() -> None:
    clock = Clock()
    limit = RateLimit(2.0, 3, clock)
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert not limit.left("192.0.2.1")
    clock.now += 0.5
    assert limit.left("192.0.2.1")
    assert [limit.take("192.0.2.1") for _ in range(2)] == [0.0, 0.5]
    assert limit.take("192.0.2.2") == 0.0


def test_an_ipv6_subscriber_has_one_bucket_however_many_addresses() -> None:
    limit = RateLimit(1.0, 1, Clock())
    assert limit.take("2001:db8::1") == 0.0
    assert limit.take("2001:db8::2") > 0
    assert limit.take("2001:db8:0:1::1") == 0.0


def test_addresses_without_number_do_not_fill_the_memory() -> None:
    limit = RateLimit(1.0, 1, Clock())
    for number in range(ratelimit.MAX_ADDRESSES + 50):
        limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limit._buckets) == ratelimit.MAX_ADDRESSES
    assert limit.take("not an address") == 0.0
