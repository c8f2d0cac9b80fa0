"""The controller's picture of the cluster, fed by watches and by sweeps.

Events may come late, twice or, for deletions during a relist, never; so the cache takes only what is newer than
what it has, and says to its listener what that means for the work.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from ...api.base import Key, share_field_sets
from ...api.peer import PeerStatus, WireGuardPeer
from ...api.server import WireGuardServer
from ...domain import server_status, usage
from ...domain.peer_status import PeerFacts, recall
from ...kube.client import Object
from .children import Children
from .listener import Listener
from .records import PeerRecord, ServerRecord, pack_status, version_of

logger = logging.getLogger(__name__)

T = TypeVar("T", WireGuardServer, WireGuardPeer)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A tenant."""

    labels: Mapping[str, str]
    terminating: bool


STATISTICS = {"traffic", "online", "lastHandshakeTime", "endpoint", "peers", "dataPlane", "lastStatsTime"}
"""Parts of a status that follow the clock: two controllers would write them in turns for ever, if each insisted."""

NO_NAMESPACE = Namespace({}, terminating=False)


class Cache:
    """Servers and peers by key, what we made for them, and namespaces by name."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.servers: dict[Key, ServerRecord] = {}
        self.peers: dict[Key, PeerRecord] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.children = Children(self._owner_changed, self._pods_changed)
        self.unplaced: set[Key] = set()
        self.seats: dict[str, Key] = {}
        """Servers in whose address blocks a peer's UID stood at the start: there a choice has been made already."""
        self._peers_of: defaultdict[Key, set[Key]] = defaultdict(set)

    def peers_of(self, server: Key) -> frozenset[Key]:
        """Peers that name the server, or were placed there."""
        return frozenset(self._peers_of.get(server, ()))

    def count_of(self, server: Key) -> int:
        """How many peers name the server, or were placed there."""
        return len(self._peers_of.get(server, ()))

    def wanted_servers(self) -> frozenset[Key]:
        """Servers that peers name, whether they exist or not."""
        return frozenset(self._peers_of)

    def namespace(self, name: str) -> Namespace:
        """What is known of a namespace."""
        return self.namespaces.get(name, NO_NAMESPACE)

    def see_namespace(self, body: Object) -> None:
        """A namespace exists in this form."""
        meta = body["metadata"]
        new = Namespace(meta.get("labels") or {}, meta.get("deletionTimestamp") is not None)
        # Its peers may have been told of first, and were judged without its labels then.
        old = self.namespace(meta["name"])
        self.namespaces[meta["name"]] = new
        if old == new:
            return
        for key, record in self.peers.items():
            if key.namespace == meta["name"]:
                self._changed(record)
        for server in self.servers:
            if server.namespace == meta["name"]:
                self._listener.server_changed(server)

    def lose_namespace(self, name: str) -> None:
        """A namespace is gone."""
        self.namespaces.pop(name, None)

    def see_server(self, body: Object) -> None:
        """A server exists in this form."""
        server = _parse(WireGuardServer, body)
        if server is None:
            return
        old = self.servers.get(server.key)
        if _is_former(old, server.metadata.uid, body):
            return
        if old is None or old.uid != server.metadata.uid:
            if old is not None:
                old.is_former = True
            self.servers[server.key] = ServerRecord(
                server, body.get("status", {}), version_of(body), server_status.recall(server)
            )
            self._listener.server_changed(server.key)
        elif version_of(body) > old.version:
            before = old.server.metadata
            if version_of(body) < old.status_version:
                server = server.model_copy(update={"status": old.server.status})
            old.server, old.version = server, version_of(body)
            self._see_status(old, body)
            if (before.generation, before.deletion_timestamp, before.labels) != (
                server.metadata.generation,
                server.metadata.deletion_timestamp,
                server.metadata.labels,
            ):
                self._listener.server_changed(server.key)

    def lose_server(self, key: Key, uid: str | None = None) -> None:
        """A server is gone."""
        old = self.servers.get(key)
        if old is not None and uid in (None, old.uid):
            del self.servers[key]
            old.is_former = True
            self._listener.server_changed(key)

    def see_peer(self, body: Object) -> None:
        """A peer exists in this form."""
        if self._is_no_news(body):
            return
        peer = _parse(WireGuardPeer, body)
        if peer is None:
            return
        if peer.metadata.deletion_timestamp is not None:
            # Deletion is cut at once, even if somebody's finalizer keeps the object for a while.
            self.lose_peer(peer.key, peer.metadata.uid)
            return
        old = self.peers.get(peer.key)
        if _is_former(old, peer.metadata.uid, body):
            return
        if old is None or old.uid != peer.metadata.uid:
            if old is not None:
                self.lose_peer(peer.key)
            bound = _binding(peer.status)
            placed = bound or self.seats.get(peer.metadata.uid)
            record = PeerRecord(peer, pack_status(body.get("status", {})), version_of(body), recall(peer), placed)
            if bound not in (None, record.server_key):
                record.facts = _after_move(record.facts)  # what the status says is of the former server's device
            self._add(record)
        elif version_of(body) > old.version:
            self._update(old, peer, body)

    def _is_no_news(self, body: Object) -> bool:
        """Whether the watch tells of what is known, or of our own status write and nothing else, as it mostly does."""
        meta = body["metadata"]
        record = self.peers.get(Key(meta["namespace"], meta["name"]))
        if record is None or record.uid != meta["uid"] or "deletionTimestamp" in meta:
            return False
        version = version_of(body)
        if version <= record.version:
            return True
        if version != record.status_version or meta["generation"] != record.peer.metadata.generation:
            return False  # there may have been an event before this one, swallowed by this one
        record.version = version
        return True

    def _update(self, record: PeerRecord, peer: WireGuardPeer, body: Object) -> None:
        generation, server, bound = record.peer.metadata.generation, record.server_key, _binding(record.peer.status)
        if version_of(body) < record.status_version:
            peer = peer.model_copy(update={"status": record.peer.status})
        record.peer, record.version = peer, version_of(body)
        self._see_status(record, body)
        if peer.spec.server_ref is None and _binding(peer.status) not in (None, bound, record.left):
            # Another controller has placed the peer; the last word in the status counts. One of the server that the
            # peer was just moved away from is our own, written before the move.
            record.placed = _binding(peer.status)
        elif peer.spec.server_ref is None and record.placed is None:
            record.placed = server  # a peer that named its server stays there when it begins to select
        if record.server_key != server:
            self._move(record, server)
        elif generation != peer.metadata.generation:
            self._changed(record)

    def _see_status(self, record: PeerRecord | ServerRecord, body: Object) -> None:
        """Events that are older than our own last write say nothing new about the status."""
        if version_of(body) < record.status_version:
            return
        before, after = record.status, body.get("status", {})
        record.status = after
        if any(before.get(part) != after.get(part) for part in (before.keys() | after.keys()) - STATISTICS):
            self._listener.status_changed(record)

    def place(self, key: Key, server: Key | None) -> None:
        """A server was chosen for a peer with a selector; None: another one must be."""
        record = self.peers.get(key)
        if record is not None and record.server_key != server:
            before = record.server_key
            record.placed = server
            self._move(record, before)

    def _move(self, record: PeerRecord, before: Key | None) -> None:
        """Go on with a record of its own: the old server still has to take the peer off by the old one."""
        self._forget_membership(before, record.key)
        record.is_former = True
        facts = _after_move(record.facts)
        record.moved_with = facts.traffic
        after = PeerRecord(record.peer, record.packed_status, record.version, facts, record.placed)
        after.status_version, after.left = record.status_version, before
        self._add(after)
        if before is not None:
            self._listener.peer_changed(before, record.key)

    def _add(self, record: PeerRecord) -> None:
        self.peers[record.key] = record
        server = record.server_key
        if server is None:
            self.unplaced.add(record.key)
        else:
            self.unplaced.discard(record.key)
            self._peers_of[server].add(record.key)
        self._changed(record)

    def _changed(self, record: PeerRecord) -> None:
        server = record.server_key
        if server is None:
            self._listener.peer_unplaced(record.key)
        else:
            self._listener.peer_changed(server, record.key)

    def lose_peer(self, key: Key, uid: str | None = None) -> None:
        """A peer is gone."""
        old = self.peers.get(key)
        if old is not None and uid in (None, old.uid):
            del self.peers[key]
            old.is_former = True
            self.seats.pop(old.uid, None)
            self.unplaced.discard(key)
            server = old.server_key
            self._forget_membership(server, key)
            if server is not None:
                self._listener.peer_changed(server, key)

    def _owner_changed(self, kind: str, key: Key) -> None:
        if kind == "WireGuardServer" and key in self.servers:
            self._listener.server_changed(key)
        elif kind == "WireGuardPeer" and key in self.peers:
            self._changed(self.peers[key])

    def _pods_changed(self, server: Key) -> None:
        if server in self.servers:
            self._listener.pods_changed(server)

    def _forget_membership(self, server: Key | None, peer: Key) -> None:
        if server is None:
            return
        members = self._peers_of[server]
        members.discard(peer)
        if not members:
            del self._peers_of[server]


def _is_former(known: PeerRecord | ServerRecord | None, uid: str, body: Object) -> bool:
    """Whether this is a late word of an object whose name another one has taken since."""
    return known is not None and known.uid != uid and version_of(body) < known.version


def _after_move(facts: PeerFacts) -> PeerFacts:
    return PeerFacts(traffic=usage.close(facts.traffic), last_handshake=facts.last_handshake)


def _binding(status: PeerStatus) -> Key | None:
    ref = status.server_ref
    return ref.key if ref is not None else None


def _parse(kind: type[T], body: Object) -> T | None:
    try:
        parsed = kind.model_validate(body)
        share_field_sets(parsed)
        return parsed
    except (ValidationError, OverflowError) as error:
        # The CRD refuses such objects; one that is older than the CRD must not stop the others.
        meta = body.get("metadata", {})
        items = error.errors(include_input=False) if isinstance(error, ValidationError) else ()
        fields = ", ".join(".".join(map(str, item["loc"])) for item in items) or "a time is out of range"
        logger.error("%s/%s is not a valid %s: %s", meta.get("namespace"), meta.get("name"), kind.__name__, fields)
        return None
