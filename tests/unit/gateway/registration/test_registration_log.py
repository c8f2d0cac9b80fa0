"""What the log of a peer says, from objects alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from wireguard_operator.gateway.registration.log import entries

PEER: dict[str, Any] = {
    "metadata": {"name": "alice", "creationTimestamp": "2026-06-01T08:00:00Z"},
    "spec": {"suspensions": [{"reason": "abuse", "by": "ann", "since": "2026-06-01T11:00:00Z"}, {"reason": "other"}]},
    "status": {
        "online": True,
        "lastHandshakeTime": "2026-06-01T10:00:00Z",
        "endpoint": "198.51.100.7:40000",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Ready",
                "message": "the server carries this peer",
                "lastTransitionTime": "2026-06-01T09:00:00Z",
            }
        ],
    },
}


def event(**fields: Any) -> dict[str, Any]:
    return {"reason": "Suspended", "note": "abuse by ann", "regarding": {"uid": "u"}} | fields


def test_what_is_known_comes_with_the_newest_first() -> None:
    found = entries(PEER, [event(eventTime="2026-06-01T11:00:01.500000Z")])
    assert [(entry.event_type, entry.source) for entry in found] == [
        ("Suspended", "event"),
        ("suspended", "object"),
        ("handshake", "object"),
        ("condition", "object"),
        ("created", "object"),
    ]


def test_the_handshake_says_from_where() -> None:
    (handshake,) = (entry for entry in entries(PEER, []) if entry.event_type == "handshake")
    assert handshake.endpoint == "198.51.100.7:40000"
    assert handshake.message == "last handshake; online"


def test_a_peer_that_nothing_has_happened_to_was_made() -> None:
    fresh = {"metadata": {"creationTimestamp": "2026-06-01T08:00:00Z"}, "spec": {}}
    assert [entry.event_type for entry in entries(fresh, [])] == ["created"]


def test_an_event_that_came_again_counts_and_is_as_new_as_its_last_time() -> None:
    again = event(
        eventTime="2026-06-01T11:00:00Z", series={"count": 3, "lastObservedTime": "2026-06-01T12:00:00.000000Z"}
    )
    newest = entries(PEER, [again])[0]
    assert (newest.count, newest.timestamp) == (3, datetime(2026, 6, 1, 12, tzinfo=UTC))


def test_events_of_the_older_kind_are_read_and_one_without_a_time_is_left_out() -> None:
    old = event(eventTime=None, deprecatedLastTimestamp="2026-06-01T12:00:00Z", deprecatedCount=2)
    found = [entry for entry in entries(PEER, [old, event()]) if entry.source == "event"]
    assert [entry.count for entry in found] == [2]
