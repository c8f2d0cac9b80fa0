"""What we made for servers and peers, as the API server has it: Secrets, Deployments, Services, pods and the like."""

from __future__ import annotations

from collections.abc import Callable

from ...api.base import Key
from ...domain.secrets import SERVER_LABEL
from ...kube.client import Object
from ...kube.resources import PODS, SECRETS, ResourceType
from .records import version_of

NEEDED_METADATA = ("namespace", "name", "uid", "resourceVersion", "labels", "annotations", "ownerReferences")
"""What is kept of a Secret's metadata."""


class Children:
    """Objects by kind and key. Late and repeated words of the watches are known by their version, and say nothing."""

    def __init__(self, owner_changed: Callable[[str, Key], None], pods_changed: Callable[[Key], None]) -> None:
        """``owner_changed``: told the owner's kind and key. ``pods_changed``: told the server of a pod."""
        self._owner_changed = owner_changed
        self._pods_changed = pods_changed
        self._objects: dict[ResourceType, dict[Key, Object]] = {}

    def get(self, kind: ResourceType, key: Key) -> Object | None:
        """The object as it was last seen."""
        return self._objects.get(kind, {}).get(key)

    def uids(self, kind: ResourceType) -> dict[Key, str]:
        """All objects of a kind."""
        return {key: str(body["metadata"]["uid"]) for key, body in self._objects.get(kind, {}).items()}

    def pods_of(self, server: Key) -> list[Object]:
        """The pods of a server."""
        return [body for body in self._objects.get(PODS, {}).values() if _server_of(body) == server]

    def see(self, kind: ResourceType, body: Object, *, written: bool = False) -> None:
        """An object exists in this form; ``written`` by the very work that it would be told to."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        old = self.get(kind, key)
        if old is not None and version_of(body) <= version_of(old):
            return
        self._objects.setdefault(kind, {})[key] = _slim(body) if kind == SECRETS else body
        if kind == PODS or (not written and (old is None or _differs(old, body))):
            self._tell(kind, body)

    def lose(self, kind: ResourceType, key: Key, uid: str | None = None) -> None:
        """An object is gone."""
        old = self.get(kind, key)
        if old is not None and uid in (None, old["metadata"]["uid"]):
            del self._objects[kind][key]
            self._tell(kind, old)

    def _tell(self, kind: ResourceType, body: Object) -> None:
        if kind == PODS:
            # A pod's owner is a ReplicaSet, which tells nothing.
            if (server := _server_of(body)) is not None:
                self._pods_changed(server)
            return
        for owner in body["metadata"].get("ownerReferences", ()):
            self._owner_changed(owner["kind"], Key(body["metadata"]["namespace"], owner["name"]))


def _server_of(pod: Object) -> Key | None:
    meta = pod["metadata"]
    name = (meta.get("labels") or {}).get(SERVER_LABEL)
    return Key(meta["namespace"], name) if name else None


def _slim(body: Object) -> Object:
    """A Secret without what nobody here asks for; the record of its managers alone is as large as the rest."""
    meta = body["metadata"]
    return {"metadata": {part: meta[part] for part in NEEDED_METADATA if part in meta}, "data": body.get("data") or {}}


def _differs(old: Object, new: Object) -> bool:
    return any((old.get(part) or {}) != (new.get(part) or {}) for part in ("spec", "status", "data"))
