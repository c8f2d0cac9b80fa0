"""Totals that only grow, from counters that start over."""

from datetime import UTC, datetime

from wireguard_operator.domain.usage import accumulate, close, is_online

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_growth_within_a_session_is_added_once() -> None:
    traffic = accumulate(None, "s1", 100, 10, NOW)
    traffic = accumulate(traffic, "s1", 150, 10, NOW)
    traffic = accumulate(traffic, "s1", 150, 10, NOW)
    assert (traffic.rx_bytes, traffic.tx_bytes) == (150, 10)


def test_a_new_device_counts_from_zero_even_when_its_counter_is_higher() -> None:
    traffic = accumulate(accumulate(None, "s1", 100, 0, NOW), "s2", 500, 0, NOW)
    assert traffic.rx_bytes == 600


def test_a_smaller_counter_of_the_same_device_counts_from_zero() -> None:
    traffic = accumulate(accumulate(None, "s1", 100, 0, NOW), "s1", 30, 0, NOW)
    assert traffic.rx_bytes == 130


def test_after_leaving_the_device_the_next_counters_count_whole() -> None:
    traffic = accumulate(close(accumulate(None, "s1", 100, 0, NOW)), "s1", 120, 0, NOW)
    assert traffic.rx_bytes == 220


def test_online_ends_180_seconds_after_the_last_handshake() -> None:
    assert is_online(1000, 1179.9)
    assert not is_online(1000, 1180)
    assert not is_online(0, 10)
