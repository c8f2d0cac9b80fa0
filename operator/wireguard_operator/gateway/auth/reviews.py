"""TokenReview and SubjectAccessReview: the API server says who a caller is and what RBAC lets them do.

So there is no second place for credentials or rights, `kubectl auth can-i` explains every decision, and a token that
is revoked or a RoleBinding that is removed has its effect here within seconds. When the API server is away nobody is
let in: its errors go up and are answered with 503.

A ServiceAccount's token must be made for the gateway's audience, so that the API server does not accept it itself. OIDC
tokens are the exception, for the API server knows them by its own audience only: they are reviewed without one if
they come from an issuer that was named, and then only a user with the OIDC prefix is taken.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

from ...api.base import GROUP
from ...kube.client import KubeClient, Object
from ...kube.errors import Unavailable
from ...kube.resources import ACCESS_REVIEWS, TOKEN_REVIEWS, ResourceType
from ..memory import Memory
from ..metrics import Metrics
from ..settings import Settings
from .caller import Identity

TOKEN_SECONDS = 10.0
ACCESS_SECONDS = 5.0
KNOWN_SECONDS = 3600.0
REVIEW_SECONDS = 5.0
"""A review takes milliseconds, and a caller waits for it."""
MAX_TOKEN = 16384
"""Bytes; a header longer than that is no token."""
_NOBODY = Identity("")


class Reviews:
    """Asks the API server, and remembers its answers for a few seconds."""

    def __init__(self, client: KubeClient, settings: Settings, metrics: Metrics) -> None:
        self._client, self._settings, self._metrics = client, settings, metrics
        self._tokens: Memory[Identity] = Memory(TOKEN_SECONDS)
        self._access: Memory[bool] = Memory(ACCESS_SECONDS)
        self._known: Memory[bool] = Memory(KNOWN_SECONDS)

    async def authenticate(self, token: str) -> Identity | None:
        """Who a token for the REST API belongs to; None: nobody."""
        if not token or len(token) > MAX_TOKEN or not token.isascii():
            return None
        key = _key(token)
        found = self._tokens.get(key)
        self._metrics.review("token", found is not None)
        if found is None:
            found = await self._authenticate(token) or _NOBODY
            self._tokens.put(key, found)
            if found is not _NOBODY:
                self._known.put(key, True)
        return found if found is not _NOBODY else None

    def was_good(self, token: str) -> bool:
        """Whether the token was accepted within the last hour. It says nothing about now."""
        return self._known.get(_key(token)) is not None

    async def _authenticate(self, token: str) -> Identity | None:
        if _issuer(token) in self._settings.oidc_issuers:
            identity = await self.review(token, "")
            prefix = self._settings.oidc_username_prefix
            # Without an audience a ServiceAccount's token for the API server itself is accepted, too.
            ours = identity is not None and identity.username.startswith(prefix) and not identity.namespace
            return identity if ours else None
        return await self.review(token, self._settings.audience)

    async def review(self, token: str, audience: str) -> Identity | None:
        """One TokenReview, not remembered; with an audience the token must have been made for it."""
        spec: dict[str, Any] = {"token": token} | ({"audiences": [audience]} if audience else {})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = await self._ask(TOKEN_REVIEWS, body)
        if status.get("authenticated") is not True:
            return None
        # An authenticator that does not know audiences says yes without naming any.
        if audience and audience not in status.get("audiences", ()):
            return None
        user = status.get("user", {})
        username = user.get("username", "")
        if not username or username == "system:anonymous":
            return None
        return Identity(username, user.get("uid", ""), tuple(user.get("groups") or ()), user.get("extra") or {})

    async def permits(
        self, identity: Identity, verb: str, resource: str, subresource: str, namespace: str, name: str = ""
    ) -> bool:
        """Whether RBAC lets the user do this; an empty namespace asks about all of them."""
        key = (identity.username, identity.uid, identity.groups, verb, resource, subresource, namespace, name)
        found = self._access.get(key)
        self._metrics.review("access", found is not None)
        if found is None:
            attributes = {
                "group": GROUP,
                "version": "*",
                "verb": verb,
                "resource": resource,
                "subresource": subresource,
                "namespace": namespace,
                "name": name,
            }
            spec: dict[str, Any] = {"user": identity.username, "groups": list(identity.groups), "uid": identity.uid}
            spec |= {"extra": identity.extra, "resourceAttributes": attributes}
            body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
            status = await self._ask(ACCESS_REVIEWS, body)
            found = status.get("allowed") is True and status.get("denied") is not True
            self._access.put(key, found)
        return found

    async def _ask(self, kind: ResourceType, body: Object) -> Object:
        """The status of a review. An API server that hangs is away."""
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                status: Object = (await self._client.create(kind, "", body)).get("status", {})
                return status
        except TimeoutError:
            raise Unavailable(f"no answer to a review within {REVIEW_SECONDS:g} s") from None


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _issuer(token: str) -> str:
    """The issuer that the token names. Nothing is verified: it only decides which question the API server is asked."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims.get("iss", ""))
    except (IndexError, ValueError, AttributeError):
        return ""
