"""Our Secrets on the API server: read from the cache, written only where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...api.base import Key, Resource
from ...api.keys import PresharedKeyRef, PrivateKeyRef
from ...api.reasons import Reason
from ...domain import secrets
from ...domain.conditions import Problem
from ...domain.keys import Hidden, KeyPair
from ...kube.client import KubeClient, Object
from ...kube.errors import AlreadyExists, Conflict, Forbidden, NotFound
from ...kube.resources import SECRETS
from ..watch.cache import Cache


class ForeignSecret(Exception):
    """A Secret of the name we need was made by somebody else; we never overwrite it."""


class SecretStore:
    """Secrets owned by servers and peers."""

    def __init__(self, client: KubeClient, cache: Cache) -> None:
        self._client = client
        self._cache = cache

    def find(self, owner: Resource[Any, Any], name: str) -> Object | None:
        """The owner's Secret of that name, if it is there and is the owner's."""
        body = self._cache.children.get(SECRETS, Key(owner.metadata.namespace, name))
        return body if body is not None and secrets.belongs_to(body, owner) else None

    async def import_pair(self, namespace: str, ref: PrivateKeyRef) -> KeyPair | Problem:
        """The key pair in somebody else's Secret. Raises KubeError when it cannot be told."""
        body = await self._read(namespace, ref.name)
        if isinstance(body, Problem):
            return body
        return secrets.read_pair(body, ref.key) or _no_key(ref.name, ref.key, "wg genkey")

    async def import_preshared(self, namespace: str, ref: PresharedKeyRef) -> Hidden | Problem:
        """The preshared key in somebody else's Secret. Raises KubeError when it cannot be told."""
        body = await self._read(namespace, ref.name)
        if isinstance(body, Problem):
            return body
        return secrets.read_preshared(body, ref.key) or _no_key(ref.name, ref.key, "wg genpsk")

    async def _read(self, namespace: str, name: str) -> Object | Problem:
        try:
            return await self._client.get(SECRETS, namespace, name)
        except NotFound:
            return Problem(Reason.SECRET_NOT_FOUND, f"there is no Secret {name} to import a key from")
        except Forbidden as error:
            return Problem(Reason.SECRET_REFUSED, f"the API server refuses Secret {name}: {error}")

    async def write(
        self, owner: Resource[Any, Any], kind: str, name: str, data: Mapping[str, str | bytes], form: str = "Opaque"
    ) -> Object:
        """Make the Secret so. Raises ForeignSecret and KubeError."""
        wanted = secrets.build(owner, kind, name, data, form)
        have = self.find(owner, name)
        if have is not None and have.get("data") == wanted["data"]:
            return have
        namespace = owner.metadata.namespace
        if have is None:
            answer = await self._create(owner, namespace, name, wanted)
        else:
            answer = await self._replace(namespace, name, wanted)
        self._cache.children.see(SECRETS, answer, written=True)
        return answer

    async def _replace(self, namespace: str, name: str, wanted: Object) -> Object:
        try:
            return await self._client.replace(SECRETS, namespace, name, wanted)
        except NotFound:
            return await self._client.create(SECRETS, namespace, wanted)

    async def _create(self, owner: Resource[Any, Any], namespace: str, name: str, wanted: Object) -> Object:
        try:
            return await self._client.create(SECRETS, namespace, wanted)
        except AlreadyExists:
            there = await self._client.get(SECRETS, namespace, name)
        if secrets.belongs_to(there, owner):
            # Somebody was quicker: another controller, or we ourselves before a crash. Their keys count.
            self._cache.children.see(SECRETS, there)
            raise Conflict(f"Secret {namespace}/{name} appeared meanwhile")
        if not secrets.is_ours(there):
            raise ForeignSecret(f"Secret {name} exists and was not made by the operator; rename or delete it")
        # Left over from an object of the same name that is gone; the garbage collector is not there yet.
        await self._client.delete(SECRETS, namespace, name, uid=there["metadata"]["uid"])
        return await self._client.create(SECRETS, namespace, wanted)


def _no_key(name: str, key: str, maker: str) -> Problem:
    return Problem(
        Reason.KEY_INVALID, f"Secret {name} has no WireGuard key under {key}; put there what `{maker}` prints"
    )
