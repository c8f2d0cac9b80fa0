"""Whose certificates the controller signs: hosts with a token, once, and hosts with a certificate, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from ...agent.joining import Enrolled, Enrolment, Renewal, Renewed
from ...agent.protocol import agent_name
from ...api.base import Key
from ...api.server import WireGuardServer
from ...domain import host_tokens, reach
from ...domain.certificates import RequestError
from ...kube.client import Object
from ...kube.errors import Conflict, KubeError, NotFound
from ...kube.resources import SECRETS, ResourceType
from .authority import Authority

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Enrolments that are looked at together; each asks the API server."""
PENALTY_SECONDS = 1.0
"""For which a refused one keeps its place: nobody tries tokens, or has the API server asked, faster than this."""


class RefusedError(Exception):
    """No certificate; the text is for the host and holds no secret."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class Objects(Protocol):
    """What is needed of the API server."""

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        """See ``KubeClient``."""
        ...

    async def delete(self, kind: ResourceType, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See ``KubeClient``."""
        ...


class Enrolments:
    """Signs."""

    def __init__(
        self,
        client: Objects,
        find: Callable[[Key], WireGuardServer | None],
        authority: Authority,
        clock: Callable[[], datetime],
        life: timedelta,
    ) -> None:
        self._client = client
        self._find = find
        self._authority = authority
        self._clock = clock
        self._life = life
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def enrol(self, enrolment: Enrolment, remote: str) -> Enrolled:
        """A certificate for a token, which is used up. Raises RefusedError."""
        key = Key(enrolment.namespace, enrolment.server)
        async with self._gate:
            try:
                enrolled = await self._enrol(key, enrolment)
            except RefusedError as error:
                logger.warning("enrolment of %s as the agent of %s is refused: %s", remote, key, error)
                await asyncio.sleep(PENALTY_SECONDS)
                raise
        logger.info("%s enrolled as the agent of %s with token %s", remote, key, enrolment.identifier)
        return enrolled

    async def _enrol(self, key: Key, enrolment: Enrolment) -> Enrolled:
        server = self._find(key)
        body = await self._token(key, enrolment.identifier) if server is not None else None
        problem = host_tokens.refusal(body, server, enrolment.secret, self._clock()) if server is not None else None
        if server is None or body is None or problem is not None:
            raise RefusedError(problem or f"the token is not known; {host_tokens.REMEDY}")
        # Signed first: a request that cannot be signed must not cost the token.
        certificate = self._sign(enrolment.request, key)
        meta = body["metadata"]
        try:
            # Of several who come with one token, one finds it.
            await self._client.delete(SECRETS, key.namespace, meta["name"], uid=meta["uid"])
        except (NotFound, Conflict):
            raise RefusedError(f"the token was used a moment ago; {host_tokens.REMEDY}") from None
        except KubeError as error:
            raise RefusedError(f"the token cannot be used up, so it is not used: {error}", 503) from None
        return Enrolled(certificate, listen_of(server))

    async def _token(self, key: Key, identifier: str) -> Mapping[str, Any] | None:
        if not identifier.isalnum() or not identifier.isascii():
            return None
        try:
            return await self._client.get(SECRETS, key.namespace, host_tokens.secret_name(key.name, identifier))
        except NotFound:
            return None
        except KubeError as error:
            raise RefusedError(f"the token cannot be looked up now: {error}", 503) from None

    def renew(self, key: Key, renewal: Renewal, remote: str) -> Renewed:
        """The next certificate of a host that has one. Raises RefusedError."""
        if self._find(key) is None:
            raise RefusedError(f"there is no WireGuardServer {key} with dataPlane.type: Host any more")
        certificate = self._sign(renewal.request, key)
        logger.info("%s, the agent of %s, has a new certificate", remote, key)
        return Renewed(certificate)

    def _sign(self, request: str, key: Key) -> str:
        try:
            return self._authority.sign_host(request, agent_name(key.namespace, key.name), self._life)
        except RequestError as error:
            raise RefusedError(f"the certificate request {error}", 400) from None


def listen_of(server: WireGuardServer) -> str:
    """Where an agent listens, from its server's URL; empty when it dials."""
    host = server.spec.data_plane.host
    return reach.listen_of(host.url) if host is not None and host.url is not None else ""
