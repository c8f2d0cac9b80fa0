"""The UUID by which the REST API knows an object. It lives in the object, so that it survives a restore elsewhere.

A peer's is ``spec.subscriber.externalId``, which cannot be changed, a server's the annotation below. Objects that were
made with kubectl and have neither get one computed from kind, namespace and name: the same for ever and everywhere.
"""

from __future__ import annotations

import uuid
from typing import Any

from ...api.base import GROUP, Key
from ...kube.client import Object

ID = f"{GROUP}/id"
"""Annotation of a server: its UUID."""
SPACE = uuid.uuid5(uuid.NAMESPACE_DNS, GROUP)
"""Of ids that are computed (RFC 9562 section 5.5)."""


def new_id() -> str:
    """The id of an object that is being made."""
    return str(uuid.uuid4())


def peer_id(body: Object) -> str:
    """The id of a WireGuardPeer."""
    subscriber = body["spec"].get("subscriber") or {}
    return _uuid(subscriber.get("externalId")) or computed("wireguardpeers", body["metadata"])


def server_id(body: Object) -> str:
    """The id of a WireGuardServer."""
    annotations = body["metadata"].get("annotations") or {}
    return _uuid(annotations.get(ID)) or computed("wireguardservers", body["metadata"])


def server_key_id(key: Key) -> str:
    """The computed id of a server that is not there (any more)."""
    return computed("wireguardservers", {"namespace": key.namespace, "name": key.name})


def computed(plural: str, metadata: dict[str, Any]) -> str:
    """The id of an object that does not carry one."""
    return str(uuid.uuid5(SPACE, f"{plural}/{metadata['namespace']}/{metadata['name']}"))


def _uuid(text: str | None) -> str | None:
    """The text as a UUID in its usual form; None when it is none."""
    try:
        return str(uuid.UUID(text)) if text else None
    except ValueError:
        return None
