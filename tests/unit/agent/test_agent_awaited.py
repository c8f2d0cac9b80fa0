"""Whom an agent calls after a take-over, when, and where."""

from __future__ import annotations

import itertools

from wireguard_operator.agent.awaited import OUTSTANDING, PAUSES, Awaited
from wireguard_operator.agent.device import DumpedPeer
from wireguard_operator.agent.firewall.port import Sender
from wireguard_operator.agent.places import Places
from wireguard_operator.agent.protocol import Seen

HOME, ELSEWHERE = "192.0.2.2:1000", "[2001:db8::2]:2000"


def test_who_is_not_heard_is_not_called() -> None:
    awaited = Awaited()
    awaited.take({"a": Seen(HOME, 100, (7,)), "b": Seen(ELSEWHERE, 100, (8,))})
    assert awaited.heard([], 0).endpoints == {}
    assert awaited.heard([Sender("192.0.2.9:9", 99)], 0).endpoints == {}


def test_a_peer_is_known_by_its_session_wherever_it_comes_from_and_else_by_its_endpoint() -> None:
    awaited = Awaited()
    awaited.take({"a": Seen(HOME, 100, (6, 7)), "b": Seen(ELSEWHERE, 100)})
    calls = awaited.heard([Sender("198.51.100.1:3", 7), Sender(ELSEWHERE, 55)], 0)
    assert calls.endpoints == {"a": "198.51.100.1:3", "b": ELSEWHERE}
    assert calls.again == frozenset()


def test_a_peer_that_goes_on_sending_is_called_again_after_ever_longer_pauses() -> None:
    awaited, now = Awaited(), 50.0
    awaited.take({"a": Seen(HOME, 100, (7,))})
    moments = []
    for _ in range(500):
        calls = awaited.heard([Sender(HOME, 7)], now)
        if calls.endpoints:
            moments.append(now)
            assert calls.again == (frozenset("a") if len(moments) > 1 else frozenset())
        now += 0.05
    pauses = [round(later - sooner, 1) for sooner, later in itertools.pairwise(moments)]
    assert pauses == [*PAUSES, PAUSES[-1]]


def test_the_most_recently_seen_peers_are_called_first_and_only_so_many_before_some_have_answered() -> None:
    awaited = Awaited()
    awaited.take({f"p{n}": Seen(f"192.0.2.2:{n}", n) for n in range(OUTSTANDING + 10)})
    first = awaited.all(0).endpoints
    assert list(first)[:2] == [f"p{OUTSTANDING + 9}", f"p{OUTSTANDING + 8}"]
    assert len(first) == OUTSTANDING
    assert awaited.all(0.1).endpoints == {}
    awaited.forget(list(first)[:4])
    assert len(awaited.all(0.2).endpoints) == 4


def test_who_was_heard_while_too_many_were_called_is_called_in_turn_without_being_heard_again() -> None:
    awaited = Awaited()
    awaited.take({f"p{n}": Seen(f"192.0.2.2:{n}", 100 + n, (n,)) for n in range(OUTSTANDING + 10)})
    first = awaited.heard([Sender("192.0.2.9:9", n) for n in range(OUTSTANDING + 10)], 0).endpoints
    assert awaited.waits
    awaited.forget([*list(first)[:4], "p9"])
    second = awaited.heard([], 0.02).endpoints
    assert second == dict.fromkeys(("p8", "p7", "p6", "p5"), "192.0.2.9:9")
    awaited.forget(first)
    assert len(awaited.heard([], 0.04).endpoints) == 5
    assert not awaited.waits


def test_a_port_that_is_another_clients_now_does_not_mislead_to_it() -> None:
    awaited = Awaited()
    awaited.take({"a": Seen(HOME, 100, (7,))})
    # The node gave a's former port to another client, who has a new session already.
    assert awaited.heard([Sender(HOME, 99)], 0).endpoints == {"a": HOME}
    senders = [Sender(HOME, 99), Sender("192.0.2.9:9", 7), Sender(HOME, 98)]
    calls = awaited.heard(senders, 0.1)
    assert (calls.endpoints, calls.again) == ({"a": "192.0.2.9:9"}, {"a"})
    assert awaited.heard(senders, 0.2).endpoints == {}


def test_of_two_places_of_one_session_the_one_that_did_not_answer_is_not_called_twice_in_a_row() -> None:
    for senders in itertools.permutations([Sender(HOME, 7), Sender("192.0.2.9:9", 7)]):
        awaited = Awaited()
        awaited.take({"a": Seen(ELSEWHERE, 100, (7,))})
        first, early, second = (awaited.heard(senders, now).endpoints for now in (0, 0.5, 1.1))
        assert (early, {first["a"], second["a"]}) == ({}, {HOME, "192.0.2.9:9"})


def test_who_was_heard_in_a_former_term_is_not_called_before_it_is_heard_in_this_one() -> None:
    awaited = Awaited()
    awaited.take({f"p{n}": Seen(f"192.0.2.2:{n}", 100, (n,)) for n in range(OUTSTANDING + 10)})
    first = awaited.heard([Sender("192.0.2.9:9", n) for n in range(OUTSTANDING + 10)], 0).endpoints
    awaited.forget(first)
    awaited.forget_heard()
    assert awaited.heard([], 0.02).endpoints == {}


def test_who_has_a_session_or_lost_it_long_ago_is_awaited_no_longer() -> None:
    awaited = Awaited()
    awaited.take({"a": Seen(HOME, 1000, (7,)), "b": Seen(ELSEWHERE, 900, (8,))})
    awaited.expire(1081)
    assert len(awaited) == 1
    awaited.forget(["a", "unknown"])
    assert not awaited
    assert awaited.heard([Sender(HOME, 7), Sender(ELSEWHERE, 8)], 0).endpoints == {}


def test_later_news_of_an_awaited_peer_moves_it_and_keeps_the_sessions_that_it_does_not_name() -> None:
    awaited = Awaited()
    awaited.take({"a": Seen(HOME, 100, (7,))})
    awaited.take({"a": Seen(ELSEWHERE, 130)})
    assert awaited.heard([Sender(HOME, 99)], 0).endpoints == {}
    assert awaited.heard([Sender("192.0.2.3:3", 7)], 0).endpoints == {"a": "192.0.2.3:3"}
    awaited.take({"a": Seen(ELSEWHERE, 140, (8,))})
    assert awaited.heard([Sender("192.0.2.3:3", 7)], 99).endpoints == {}


def test_who_was_called_by_somebody_else_is_called_again_only_after_a_pause() -> None:
    awaited = Awaited()
    awaited.take({"a": Seen(HOME, 100)})
    awaited.called(["a"], 10)
    assert awaited.all(10.9).endpoints == {}
    assert awaited.all(11.1).again == {"a"}


def dumped(key: str, endpoint: str | None, handshake: int) -> DumpedPeer:
    return DumpedPeer(key, endpoint=endpoint, last_handshake=handshake)


def test_places_tell_who_has_a_session_where_and_only_what_changed() -> None:
    places = Places()
    peers = {"a": dumped("a", HOME, 1000), "b": dumped("b", None, 0), "c": dumped("c", ELSEWHERE, 700)}
    places.observe(peers, [Sender(HOME, 7), Sender(HOME, 6), Sender("192.0.2.9:9", 5)], 1010)
    cursor, seen = places.since("")
    assert seen == {"a": Seen(HOME, 1000, (6, 7))}
    places.observe(peers, [], 1020)
    assert places.since(cursor) == (cursor, {}), "a silent peer keeps its session"
    places.observe({"a": dumped("a", HOME, 1015)}, [Sender(HOME, 9)], 1020)
    assert places.since(cursor)[1] == {"a": Seen(HOME, 1015, (9,))}
    assert places.since("nonsense.4")[1].keys() == {"a"}
    places.observe({"a": dumped("a", HOME, 1015)}, [], 1300)
    assert places.since("")[1] == {}
