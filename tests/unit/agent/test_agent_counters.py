"""Which counters are new to whom."""

from __future__ import annotations

from dataclasses import replace

from wireguard_operator.agent.counters import ChangeLog
from wireguard_operator.agent.device import DumpedPeer

ONE, TWO = DumpedPeer("one"), DumpedPeer("two", rx_bytes=5, endpoint="192.0.2.1:9")


def observe(log: ChangeLog, *peers: DumpedPeer) -> None:
    log.observe({peer.public_key: peer for peer in peers})


def changed(log: ChangeLog, cursor: str | None) -> set[str]:
    return {peer.public_key for peer in log.since(cursor)[1]}


def test_only_what_changed_after_the_cursor_is_told() -> None:
    log = ChangeLog()
    observe(log, ONE, TWO)
    first, peers = log.since(None)
    assert {peer.public_key: peer.rx_bytes for peer in peers} == {"one": 0, "two": 5}
    observe(log, ONE, replace(TWO, tx_bytes=1))
    second, peers = log.since(first)
    assert [(peer.public_key, peer.tx_bytes) for peer in peers] == [("two", 1)]
    observe(log, ONE, replace(TWO, tx_bytes=1))
    assert changed(log, second) == set()
    assert changed(log, first) == {"two"}


def test_every_kind_of_change_counts_but_a_changed_setting_does_not() -> None:
    for change in ({"rx_bytes": 1}, {"tx_bytes": 1}, {"last_handshake": 1}, {"endpoint": "192.0.2.2:9"}):
        log = ChangeLog()
        observe(log, ONE)
        cursor, _ = log.since(None)
        observe(log, replace(ONE, allowed_ips=("10.0.0.1/32",)))
        assert changed(log, cursor) == set()
        observe(log, replace(ONE, **change))
        assert changed(log, cursor) == {"one"}


def test_two_readers_do_not_take_from_each_other() -> None:
    log = ChangeLog()
    observe(log, ONE)
    early, _ = log.since(None)
    observe(log, replace(ONE, rx_bytes=1))
    assert changed(log, early) == {"one"}
    assert changed(log, early) == {"one"}


def test_a_peer_that_is_gone_is_forgotten_and_new_when_it_comes_back() -> None:
    log = ChangeLog()
    observe(log, ONE, TWO)
    cursor, _ = log.since(None)
    observe(log, TWO)
    assert changed(log, None) == {"two"}
    observe(log, ONE, TWO)
    assert changed(log, cursor) == {"one"}


def test_a_cursor_of_another_life_or_nonsense_gets_everything() -> None:
    log, other = ChangeLog(), ChangeLog()
    observe(log, ONE, TWO)
    observe(other, ONE)
    cursor, _ = other.since(None)
    own, _ = log.since(None)
    for nonsense in (cursor, "", ".", "x.1", own + "²", own.partition(".")[0], own + "9" * 5000):
        assert changed(log, nonsense) == {"one", "two"}
