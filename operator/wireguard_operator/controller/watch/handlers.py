"""What kopf is told: which objects to watch and whom to tell.

Event handlers need no finalizer, no annotation and no write of kopf's own; see docs/architecture.md for what the
other kinds of handlers cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from ...api.base import GROUP, VERSION, Key
from ...domain.secrets import MANAGED_BY, MANAGER
from ...kube.resources import NAMESPACES, OBSERVED, PEERS, SECRETS, SERVERS, ResourceType
from .cache import Cache

DELETED = "DELETED"
LISTED = None
"""kopf's type for objects of a list, at the start of a watch and whenever it has to begin anew."""


def register(registry: kopf.OperatorRegistry, cache: Cache, relisted: Callable[[], None]) -> None:
    """Have ``cache`` told of servers, peers and our Secrets; ``relisted`` is called when a watch lists them anew."""

    @kopf.on.event(GROUP, VERSION, SERVERS.plural, registry=registry)
    async def server(event: Any, **_: Any) -> None:
        if event["type"] is LISTED:
            relisted()
        if event["type"] == DELETED:
            cache.lose_server(*_identity(event["object"]))
        else:
            cache.see_server(event["object"])

    @kopf.on.event(GROUP, VERSION, PEERS.plural, registry=registry)
    async def peer(event: Any, **_: Any) -> None:
        if event["type"] is LISTED:
            relisted()
        if event["type"] == DELETED:
            cache.lose_peer(*_identity(event["object"]))
        else:
            cache.see_peer(event["object"])

    @kopf.on.event("", "v1", SECRETS.plural, labels={MANAGED_BY: MANAGER}, registry=registry)
    async def secret(event: Any, **_: Any) -> None:
        if event["type"] is LISTED:
            relisted()
        if event["type"] == DELETED:
            cache.children.lose(SECRETS, *_identity(event["object"]))
        else:
            cache.children.see(SECRETS, event["object"])


def register_children(registry: kopf.OperatorRegistry, cache: Cache) -> None:
    """Have ``cache`` told of the objects that we make for servers' pods, so that drift is seen at once."""
    for kind in OBSERVED:
        _register_child(registry, cache, kind)


def _register_child(registry: kopf.OperatorRegistry, cache: Cache, kind: ResourceType) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, labels={MANAGED_BY: MANAGER}, registry=registry)
    async def child(event: Any, **_: Any) -> None:
        if event["type"] == DELETED:
            cache.children.lose(kind, *_identity(event["object"]))
        else:
            cache.children.see(kind, event["object"])


def register_namespaces(registry: kopf.OperatorRegistry, cache: Cache) -> None:
    """Have ``cache`` told of namespaces, which takes a right on the whole cluster."""

    @kopf.on.event("", "v1", NAMESPACES.plural, registry=registry)
    async def namespace(event: Any, **_: Any) -> None:
        if event["type"] == DELETED:
            cache.lose_namespace(event["object"]["metadata"]["name"])
        else:
            cache.see_namespace(event["object"])


def _identity(body: Any) -> tuple[Key, str]:
    meta = body["metadata"]
    return Key(meta["namespace"], meta["name"]), meta["uid"]
