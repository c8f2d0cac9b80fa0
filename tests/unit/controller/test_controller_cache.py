"""The picture of the cluster: what a late word, a word of another, and a move do to it."""

from typing import Any

from wireguard_operator.api.base import Key
from wireguard_operator.controller.watch.cache import Cache
from wireguard_operator.controller.watch.records import PeerRecord, ServerRecord

ALICE, BERLIN, PARIS = Key("isp", "alice"), Key("isp", "berlin"), Key("isp", "paris")


class Silent:
    """A listener that keeps nothing."""

    def server_changed(self, server: Key) -> None: ...

    def peer_changed(self, server: Key, peer: Key) -> None: ...

    def peer_unplaced(self, peer: Key) -> None: ...

    def status_changed(self, record: PeerRecord | ServerRecord) -> None: ...


def peer(version: int, uid: str = "first", server: str | None = None, **spec: Any) -> dict[str, Any]:
    meta = {"name": "alice", "namespace": "isp", "uid": uid, "resourceVersion": str(version), "generation": version}
    status = {"serverRef": {"name": server, "namespace": "isp"}} if server else {}
    return {"metadata": meta, "spec": spec or {"serverSelector": {}}, "status": status}


def test_a_late_word_of_a_former_object_does_not_bring_it_back() -> None:
    cache = Cache(Silent())
    cache.see_peer(peer(10, "first", serverRef={"name": "berlin"}))
    cache.see_peer(peer(20, "second", serverRef={"name": "berlin"}))
    cache.see_peer(peer(15, "first", serverRef={"name": "berlin"}))
    cache.lose_peer(ALICE, "first")
    assert cache.peers[ALICE].uid == "second"


def test_our_own_word_from_before_a_move_does_not_take_the_peer_back() -> None:
    cache = Cache(Silent())
    cache.see_peer(peer(10))
    cache.place(ALICE, BERLIN)
    # The status is written; before its event is here, berlin is drained.
    cache.place(ALICE, PARIS)
    cache.see_peer(peer(11, server="berlin"))
    assert cache.peers[ALICE].server_key == PARIS
    cache.see_peer(peer(12, server="rome"))
    assert cache.peers[ALICE].server_key == Key("isp", "rome"), "another controller has chosen"
