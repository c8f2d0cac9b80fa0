"""The controller's picture of the cluster, fed by watches and by sweeps.

Events may come late, twice or, for deletions during a relist, never; so the cache takes only what is newer than
what it has, and says to its listener what that means for the work.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Protocol, TypeVar

from pydantic import ValidationError

from ..api.base import Key
from ..api.peer import WireGuardPeer
from ..api.server import WireGuardServer
from ..domain.peer_status import recall
from ..kube.client import Object
from .records import PeerRecord, ServerRecord, version_of

logger = logging.getLogger(__name__)

T = TypeVar("T", WireGuardServer, WireGuardPeer)


class Listener(Protocol):
    """Who does the work."""

    def server_changed(self, server: Key) -> None:
        """The server, its keys or its certificate is not as it was, or is gone."""
        ...

    def peer_changed(self, server: Key, peer: Key) -> None:
        """A peer of the server is new, not as it was, or gone."""
        ...

    def status_changed(self, record: PeerRecord | ServerRecord) -> None:
        """Somebody else wrote the status."""
        ...


class Cache:
    """Servers, peers and our Secrets by key."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.servers: dict[Key, ServerRecord] = {}
        self.peers: dict[Key, PeerRecord] = {}
        self.secrets: dict[Key, Object] = {}
        self._peers_of: defaultdict[Key, set[Key]] = defaultdict(set)

    def peers_of(self, server: Key) -> frozenset[Key]:
        """Peers that name the server."""
        return frozenset(self._peers_of.get(server, ()))

    def wanted_servers(self) -> frozenset[Key]:
        """Servers that peers name, whether they exist or not."""
        return frozenset(self._peers_of)

    def see_server(self, body: Object) -> None:
        """A server exists in this form."""
        server = _parse(WireGuardServer, body)
        if server is None:
            return
        old = self.servers.get(server.key)
        if old is None or old.uid != server.metadata.uid:
            self.servers[server.key] = ServerRecord(server, body.get("status", {}), version_of(body))
            self._listener.server_changed(server.key)
        elif version_of(body) > old.version:
            before = old.server.metadata
            old.server, old.version = server, version_of(body)
            if body.get("status", {}) != old.status:
                old.status = body.get("status", {})
                self._listener.status_changed(old)
            if (before.generation, before.deletion_timestamp) != (
                server.metadata.generation,
                server.metadata.deletion_timestamp,
            ):
                self._listener.server_changed(server.key)

    def lose_server(self, key: Key, uid: str | None = None) -> None:
        """A server is gone."""
        old = self.servers.get(key)
        if old is not None and uid in (None, old.uid):
            del self.servers[key]
            self._listener.server_changed(key)

    def see_peer(self, body: Object) -> None:
        """A peer exists in this form."""
        peer = _parse(WireGuardPeer, body)
        if peer is None:
            return
        if peer.metadata.deletion_timestamp is not None:
            # Deletion is cut at once, even if somebody's finalizer keeps the object for a while.
            self.lose_peer(peer.key, peer.metadata.uid)
            return
        old = self.peers.get(peer.key)
        if old is None or old.uid != peer.metadata.uid:
            if old is not None:
                self.lose_peer(peer.key)
            record = PeerRecord(peer, body.get("status", {}), version_of(body), recall(peer))
            self.peers[peer.key] = record
            self._peers_of[record.server_key].add(peer.key)
            self._listener.peer_changed(record.server_key, peer.key)
        elif version_of(body) > old.version:
            generation, server_key = old.peer.metadata.generation, old.server_key
            old.peer, old.version = peer, version_of(body)
            if body.get("status", {}) != old.status:
                old.status = body.get("status", {})
                self._listener.status_changed(old)
            if old.server_key != server_key:
                self._forget_membership(server_key, peer.key)
                self._peers_of[old.server_key].add(peer.key)
                self._listener.peer_changed(server_key, peer.key)
            if generation != peer.metadata.generation:
                self._listener.peer_changed(old.server_key, peer.key)

    def lose_peer(self, key: Key, uid: str | None = None) -> None:
        """A peer is gone."""
        old = self.peers.get(key)
        if old is not None and uid in (None, old.uid):
            del self.peers[key]
            self._forget_membership(old.server_key, key)
            self._listener.peer_changed(old.server_key, key)

    def see_secret(self, body: Object) -> None:
        """One of our Secrets exists in this form."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        old = self.secrets.get(key)
        if (
            old is not None
            and old["metadata"]["uid"] == body["metadata"]["uid"]
            and version_of(body) <= version_of(old)
        ):
            return
        self.secrets[key] = body
        if old is None or old.get("data") != body.get("data"):
            self._secret_changed(body)

    def lose_secret(self, key: Key, uid: str | None = None) -> None:
        """One of our Secrets is gone."""
        old = self.secrets.get(key)
        if old is not None and uid in (None, old["metadata"]["uid"]):
            del self.secrets[key]
            self._secret_changed(old)

    def _secret_changed(self, body: Object) -> None:
        namespace = body["metadata"]["namespace"]
        for owner in body["metadata"].get("ownerReferences", ()):
            key = Key(namespace, owner["name"])
            if owner["kind"] == "WireGuardServer" and key in self.servers:
                self._listener.server_changed(key)
            elif owner["kind"] == "WireGuardPeer" and key in self.peers:
                self._listener.peer_changed(self.peers[key].server_key, key)

    def _forget_membership(self, server: Key, peer: Key) -> None:
        members = self._peers_of[server]
        members.discard(peer)
        if not members:
            del self._peers_of[server]


def _parse(kind: type[T], body: Object) -> T | None:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        # The CRD refuses such objects; one that is older than the CRD must not stop the others.
        meta = body.get("metadata", {})
        fields = ", ".join(".".join(map(str, item["loc"])) for item in error.errors(include_input=False))
        logger.error("%s/%s is not a valid %s: %s", meta.get("namespace"), meta.get("name"), kind.__name__, fields)
        return None
