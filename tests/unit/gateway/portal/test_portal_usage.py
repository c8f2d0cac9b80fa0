"""Usage in half hours: what is counted, what is forgotten, and what is not known."""

from datetime import UTC, datetime, timedelta

from wireguard_operator.gateway.portal.usage import STEPS, UsageRecorder

BEGAN = datetime(2026, 6, 1, 12, 10, tzinfo=UTC)
OLD, YOUNG = "2026-05-01T00:00:00Z", "2026-06-01T12:20:00Z"


def at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def test_what_an_older_peer_used_before_is_not_counted() -> None:
    usage = UsageRecorder(BEGAN)
    usage.see("alice", 1000, 5000, OLD, at(1))
    assert sum(usage.of("alice", at(1)).download) == 0
    usage.see("alice", 1010, 5500, OLD, at(2))
    found = usage.of("alice", at(2))
    assert (found.upload[-1], found.download[-1]) == (10, 500)
    assert (sum(found.upload), sum(found.download)) == (10, 500)


def test_all_that_a_younger_peer_used_is_counted() -> None:
    usage = UsageRecorder(BEGAN)
    usage.see("bob", 7, 70, YOUNG, at(15))
    found = usage.of("bob", at(15))
    assert (found.upload[-1], found.download[-1]) == (7, 70)


def test_each_half_hour_has_its_own_bar_and_silence_is_an_empty_one() -> None:
    usage = UsageRecorder(BEGAN)
    for minutes, total in ((0, 0), (5, 100), (25, 300), (115, 1000)):
        usage.see("alice", 0, total, OLD, at(minutes))
    # 12:15, 12:35 and 14:05.
    found = usage.of("alice", at(115))
    assert found.download[-5:] == [100, 200, 0, 0, 700]
    assert found.start == datetime(2026, 5, 31, 14, 30, tzinfo=UTC)
    assert len(found.download) == len(found.upload) == STEPS


def test_after_a_day_it_is_forgotten_whether_anything_came_since_or_not() -> None:
    usage = UsageRecorder(BEGAN)
    usage.see("alice", 0, 0, OLD, at(0))
    usage.see("alice", 50, 100, OLD, at(1))
    last = BEGAN.replace(minute=0) + timedelta(minutes=30 * STEPS - 1)
    assert sum(usage.of("alice", last).download) == 100
    assert sum(usage.of("alice", last + timedelta(minutes=1)).download) == 0
    usage.see("alice", 51, 101, OLD, last + timedelta(days=3))
    found = usage.of("alice", last + timedelta(days=3))
    assert (sum(found.download), sum(found.upload)) == (1, 1)


def test_totals_that_shrink_count_from_there_on() -> None:
    usage = UsageRecorder(BEGAN)
    for total in (0, 500, 100, 130):
        usage.see("alice", 0, total, OLD, at(1))
    assert sum(usage.of("alice", at(1)).download) == 530


def test_a_peer_that_used_nothing_has_bars_of_nothing_and_the_beginning_is_told() -> None:
    found = UsageRecorder(BEGAN).of("nobody", at(3))
    assert found.download == found.upload == [0] * STEPS
    assert found.recording_since == BEGAN


def test_peers_that_are_gone_are_forgotten() -> None:
    usage = UsageRecorder(BEGAN)
    for name in ("alice", "bob"):
        usage.see(name, 0, 9, YOUNG, at(20))
    usage.keep(["bob"])
    assert sum(usage.of("alice", at(20)).download) == 0
    assert sum(usage.of("bob", at(20)).download) == 9
    usage.see("carl", 0, 4, OLD, at(20))
    usage.keep([])
    usage.see("carl", 0, 6, OLD, at(20))
    assert sum(usage.of("carl", at(20)).download) == 0
