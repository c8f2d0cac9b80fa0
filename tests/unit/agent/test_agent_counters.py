"""Which counters are new to whom."""

from __future__ import annotations

from dataclasses import replace

from wireguard_operator.agent.counters import ChangeLog, Counters
from wireguard_operator.agent.device import DeviceDump, DumpedPeer

ONE, TWO = DumpedPeer("one"), DumpedPeer("two", rx_bytes=5, endpoint="192.0.2.1:9")


def observe(log: ChangeLog, *peers: DumpedPeer) -> None:
    log.observe({peer.public_key: peer for peer in peers})


def changed(log: ChangeLog, cursor: str | None) -> set[str]:
    return {peer.public_key for peer in log.since(cursor, 99)[1]}


def test_only_what_changed_after_the_cursor_is_told() -> None:
    log = ChangeLog()
    observe(log, ONE, TWO)
    first, peers, _ = log.since(None, 99)
    assert {peer.public_key: peer.rx_bytes for peer in peers} == {"one": 0, "two": 5}
    observe(log, ONE, replace(TWO, tx_bytes=1))
    second, peers, _ = log.since(first, 99)
    assert [(peer.public_key, peer.tx_bytes) for peer in peers] == [("two", 1)]
    observe(log, ONE, replace(TWO, tx_bytes=1))
    assert changed(log, second) == set()
    assert changed(log, first) == {"two"}


def test_every_kind_of_change_counts_but_a_changed_setting_does_not() -> None:
    for change in ({"rx_bytes": 1}, {"tx_bytes": 1}, {"last_handshake": 1}, {"endpoint": "192.0.2.2:9"}):
        log = ChangeLog()
        observe(log, ONE)
        cursor, *_ = log.since(None, 99)
        observe(log, replace(ONE, allowed_ips=("10.0.0.1/32",)))
        assert changed(log, cursor) == set()
        observe(log, replace(ONE, **change))
        assert changed(log, cursor) == {"one"}


def test_two_readers_do_not_take_from_each_other() -> None:
    log = ChangeLog()
    observe(log, ONE)
    early, *_ = log.since(None, 99)
    observe(log, replace(ONE, rx_bytes=1))
    assert changed(log, early) == {"one"}
    assert changed(log, early) == {"one"}


def test_a_peer_that_is_gone_is_forgotten_and_new_when_it_comes_back() -> None:
    log = ChangeLog()
    observe(log, ONE, TWO)
    cursor, *_ = log.since(None, 99)
    observe(log, TWO)
    assert changed(log, None) == {"two"}
    observe(log, ONE, TWO)
    assert changed(log, cursor) == {"one"}


def test_a_cursor_of_another_life_or_nonsense_gets_everything() -> None:
    log, other = ChangeLog(), ChangeLog()
    observe(log, ONE, TWO)
    observe(other, ONE)
    cursor, *_ = other.since(None, 99)
    own, *_ = log.since(None, 99)
    for nonsense in (cursor, "", ".", "x.1", own + "²", own.partition(".")[0], own + "9" * 5000):
        assert changed(log, nonsense) == {"one", "two"}


def test_pages_follow_one_another_until_there_is_no_more() -> None:
    log, peers = ChangeLog(), [DumpedPeer(f"peer {i}") for i in range(25)]
    observe(log, *peers)
    told, cursor, more = [], "", True
    while more:
        cursor, page, more = log.since(cursor, 10)
        assert len(page) <= 10
        told += [peer.public_key for peer in page]
    assert sorted(told) == sorted(peer.public_key for peer in peers)
    assert log.since(cursor, 10) == (cursor, (), False)


def test_what_changes_between_two_pages_is_told_again_and_nothing_is_missed() -> None:
    log, peers = ChangeLog(), [DumpedPeer(f"peer {i}") for i in range(25)]
    observe(log, *peers)
    cursor, first, _ = log.since("", 10)
    again = first[0].public_key
    observe(log, *(replace(peer, rx_bytes=7) if peer.public_key == again else peer for peer in peers))
    cursor, second, more = log.since(cursor, 10)
    cursor, third, more = log.since(cursor, 10)
    assert not more
    assert {again: 7}.items() <= {peer.public_key: peer.rx_bytes for peer in third}.items()
    assert len({peer.public_key for peer in (*first, *second, *third)}) == 25


def test_the_same_counters_of_another_life_are_others() -> None:
    counters, peers = Counters(), {"one": ONE}
    assert not counters.are_known
    counters.observe(DeviceDump("life 1", None, 51820, peers))
    assert counters.are_known
    page = counters.page(None)
    assert page.device == "life 1"
    assert counters.page(page.cursor).peers == ()
    counters.observe(DeviceDump("life 2", None, 51820, peers))
    page = counters.page(page.cursor)
    assert (page.device, len(page.peers)) == ("life 2", 1)


def test_peers_that_are_put_on_anew_have_another_life_on_the_same_device() -> None:
    counters = Counters()
    counters.observe(DeviceDump("life 1", None, 51820, {"one": ONE}))
    counters.start_over()
    assert (counters.life("life 1"), counters.life("")) == ("life 1/1", "")
    page = counters.page(None)
    assert (page.device, page.peers) == ("life 1/1", ())
