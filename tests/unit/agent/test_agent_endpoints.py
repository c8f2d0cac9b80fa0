"""Where peers were, for a device that does not know them."""

from __future__ import annotations

from wireguard_operator.agent.device import DumpedPeer
from wireguard_operator.agent.endpoints import LastEndpoints

NOW = 1_000_000.0
HERE, THERE = "192.0.2.1:9", "192.0.2.2:9"


def dumped(key: str, endpoint: str | None, seconds_ago: float | None = 0) -> dict[str, DumpedPeer]:
    handshake = int(NOW - seconds_ago) if seconds_ago is not None else 0
    return {key: DumpedPeer(key, endpoint=endpoint, last_handshake=handshake)}


def test_a_peer_is_where_its_last_session_was() -> None:
    endpoints = LastEndpoints()
    endpoints.observe(dumped("one", HERE, 179), NOW)
    assert endpoints.all() == {"one": HERE}
    endpoints.observe(dumped("one", THERE), NOW)
    assert endpoints.of(["one", "two"]) == {"one": THERE}
    endpoints.observe(dumped("one", THERE, 180), NOW)
    assert endpoints.all() == {}


def test_a_device_that_has_not_heard_a_peer_says_nothing_about_it() -> None:
    endpoints = LastEndpoints()
    endpoints.restore({"one": HERE, "two": HERE})
    endpoints.observe(dumped("one", None, None) | dumped("two", THERE, None), NOW)
    assert endpoints.all() == {"one": HERE, "two": HERE}


def test_who_is_put_back_in_time_is_where_it_was() -> None:
    endpoints = LastEndpoints()
    endpoints.restore({"one": HERE, "two": THERE})
    endpoints.take_off(["one", "two", "never seen"], NOW)
    assert endpoints.all() == {}
    endpoints.take_off([], NOW + 179)
    assert endpoints.put_back(["one", "three"]) == {"one": HERE}
    assert endpoints.put_back(["one"]) == {}
    endpoints.take_off([], NOW + 180)
    assert endpoints.put_back(["two"]) == {}


def test_only_what_is_not_on_disk_has_to_be_saved() -> None:
    endpoints = LastEndpoints()
    assert endpoints.unsaved() is None
    endpoints.restore({"one": HERE})
    assert endpoints.unsaved() is None
    endpoints.observe(dumped("one", THERE), NOW)
    assert endpoints.unsaved() == {"one": THERE}
    endpoints.on_disk = {"one": THERE}
    assert endpoints.unsaved() is None
    endpoints.take_off(["one"], NOW)
    endpoints.clear()
    assert endpoints.unsaved() == {}
    assert endpoints.put_back(["one"]) == {}
