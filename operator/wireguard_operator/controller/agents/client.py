"""The controller's side of the link to an agent."""

from __future__ import annotations

import gzip
import json
import ssl
import tempfile
import time
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

import aiohttp

from ...agent import protocol
from ...agent.protocol import (
    Ack,
    AgentStatus,
    CountersPage,
    DeltaRequest,
    Endpoints,
    PartReply,
    Pause,
    RoleOrder,
    Standing,
)
from ...api.reasons import Reason
from ...domain.certificates import Certificate
from ..metrics.process import AgentOutcome, Metrics, Operation

T = TypeVar("T")

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
QUICK = aiohttp.ClientTimeout(total=1.0)
"""For what an agent answers at once, if it is there."""
PAUSE = aiohttp.ClientTimeout(total=3.0)
"""For an agent that may have to end a change of its device first."""
ORDER = aiohttp.ClientTimeout(total=5.0)
"""For an order, which changes the packet filter."""
COMPRESSED_BYTES = 1024
"""Deltas of that size are compressed; snapshots are as they come."""
MESSAGE_LENGTH = 500
"""The most that is quoted of an agent's message."""


class AgentError(Exception):
    """The agent could not do what was asked; ``reason`` is a condition reason."""

    reason = Reason.AGENT_FAILED
    outcome: ClassVar[AgentOutcome] = "failed"
    """In the metrics."""


class AgentUnreachable(AgentError):
    """No answer. The device goes on as it is: the agent keeps the tunnels without us."""

    reason = Reason.AGENT_UNREACHABLE
    outcome: ClassVar[AgentOutcome] = "unreachable"


class AgentReplaced(AgentUnreachable):
    """No answer is waited for any more: another agent speaks for the device now, and has to be asked instead."""

    def __init__(self) -> None:
        super().__init__("another agent speaks for the device now")


class AgentRefused(AgentError):
    """The other side is not the agent that the server's Secret names, or it does not trust us."""

    reason = Reason.AGENT_NOT_TRUSTED
    outcome: ClassVar[AgentOutcome] = "refused"


class BaseMismatch(AgentError):
    """The agent does not hold the state that a delta starts from."""

    outcome: ClassVar[AgentOutcome] = "mismatch"


def tls_context(own: Certificate, authority: str) -> ssl.SSLContext:
    """A context that shows ``own`` and trusts ``authority`` alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    use(context, own)
    return context


def use(context: ssl.SSLContext, own: Certificate) -> None:
    """Show ``own`` on every connection from now on."""
    # The ssl module reads keys from files only; this one lives for a moment, readable by us alone.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "controller.pem")
        path.touch(mode=0o600)
        path.write_text(own.certificate + own.private_key)
        context.load_cert_chain(path)


def _message(data: bytes) -> str:
    """What an agent says of an error (``agent.protocol``): it holds no secret, and is for people."""
    try:
        said = json.loads(data)["message"]
    except (ValueError, TypeError, KeyError):
        return ""
    return str(said)[:MESSAGE_LENGTH]


class Agent(Protocol):
    """Whoever has a device and does as it is told. Every method raises AgentError."""

    async def status(self) -> AgentStatus:
        """Who the agent is and what it holds."""
        ...

    async def put_part(self, part: bytes) -> PartReply:
        """Send a part of a snapshot; with the last one the device is made so."""
        ...

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        """Change the device. Raises BaseMismatch when the agent holds another state."""
        ...

    async def counters(self, cursor: str, *, more: bool = False) -> CountersPage:
        """A page of counters that changed after ``cursor``; empty: all. ``more``: without a new look at the device."""
        ...


class AgentClient:
    """One agent. Every method raises AgentError."""

    def __init__(
        self, session: aiohttp.ClientSession, tls: ssl.SSLContext, url: str, name: str, metrics: Metrics | None = None
    ) -> None:
        self._session = session
        self._metrics = metrics or Metrics()
        self._tls = tls
        self._url = url.rstrip("/")
        self._name = name

    async def status(self) -> AgentStatus:
        """Who the agent is and what it holds."""
        return await self._call("status", AgentStatus, "GET", protocol.STATUS_PATH)

    async def put_part(self, part: bytes) -> PartReply:
        """Send a part of a snapshot; with the last one the device is made so."""
        return await self._call("snapshot", PartReply, "PUT", protocol.STATE_PATH, part)

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        """Change the device. Raises BaseMismatch when the agent holds another state."""
        return await self._call("delta", Ack, "POST", protocol.DELTA_PATH, protocol.encode(delta))

    async def counters(self, cursor: str, *, more: bool = False) -> CountersPage:
        """A page of counters that changed after ``cursor``; empty: all. ``more``: without a new look at the device."""
        query = {"cursor": cursor} | ({"more": "true"} if more else {})
        return await self._call("counters", CountersPage, "GET", protocol.COUNTERS_PATH, query=query)

    async def endpoints(self, cursor: str) -> Endpoints:
        """Where peers with a session are, as far as it changed after ``cursor``; empty: all."""
        return await self._call("endpoints", Endpoints, "GET", protocol.ENDPOINTS_PATH, query={"cursor": cursor})

    async def expect(self, endpoints: Endpoints) -> Standing:
        """Tell where peers were that had a session elsewhere."""
        body = protocol.encode(endpoints)
        return await self._call("endpoints", Standing, "PUT", protocol.ENDPOINTS_PATH, body)

    async def standing(self) -> Standing:
        """Where the agent stands. Unreachable when it does not answer within a second."""
        return await self._call("role", Standing, "GET", protocol.ROLE_PATH, limit=QUICK)

    async def order(self, order: RoleOrder) -> Standing:
        """Have the agent be that. Raises BaseMismatch when a later order came first."""
        body = protocol.encode(order)
        return await self._call("role", Standing, "PUT", protocol.ROLE_PATH, body, limit=ORDER)

    async def pause(self, term: int) -> Standing:
        """Have the agent be silent, since another one is about to serve. Raises BaseMismatch as ``order`` does."""
        body = protocol.encode(Pause(term))
        return await self._call("role", Standing, "PUT", protocol.PAUSE_PATH, body, limit=PAUSE)

    async def _call(
        self,
        operation: Operation,
        kind: type[T],
        method: str,
        path: str,
        body: bytes = b"",
        query: dict[str, str] | None = None,
        limit: aiohttp.ClientTimeout = TIMEOUT,
    ) -> T:
        began, data = time.monotonic(), b""
        outcome: AgentOutcome = "failed"
        try:
            data = await self._exchange(method, path, body, query, limit)
            answer = self._understand(kind, data, f"{method} {path}")
        except AgentError as error:
            outcome = error.outcome
            raise
        else:
            outcome = "ok"
            return answer
        finally:
            seconds = time.monotonic() - began
            self._metrics.agent_request(operation, outcome, seconds, len(body) + len(data))

    async def _exchange(
        self, method: str, path: str, body: bytes, query: dict[str, str] | None, limit: aiohttp.ClientTimeout
    ) -> bytes:
        headers = {"Content-Type": "application/octet-stream" if path == protocol.STATE_PATH else "application/json"}
        if len(body) > COMPRESSED_BYTES and path != protocol.STATE_PATH:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        try:
            async with self._session.request(
                method,
                self._url + path,
                params=query,
                data=body or None,
                headers=headers,
                ssl=self._tls,
                server_hostname=self._name,
                timeout=limit,
            ) as answer:
                data = await answer.read()
                self._check(answer.status, data, f"{method} {path}")
        except aiohttp.ClientConnectorCertificateError as error:
            raise AgentRefused(
                f"the agent at {self._url} does not show a certificate for {self._name}; "
                "enrol the host again, or give it the present bundle (wireguard-operator host-bundle): "
                f"{error.certificate_error}"
            ) from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise AgentRefused(f"no TLS with the agent at {self._url}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AgentUnreachable(
                f"no answer from the agent at {self._url}: {error or type(error).__name__}"
            ) from error
        return data

    def _check(self, status: int, data: bytes, request: str) -> None:
        if status == 409:
            raise BaseMismatch("the agent holds another state, or a later order, than the request starts from")
        if status == 403:
            raise AgentRefused(f"the agent at {self._url} does not accept this controller's certificate")
        if status != 200:
            said = _message(data) or f"answered {status} to {request}"
            raise AgentError(f"the agent at {self._url}: {said}")

    def _understand(self, kind: type[T], data: bytes, request: str) -> T:
        try:
            return protocol.decode(kind, data)
        except ValueError:
            raise AgentError(f"the agent at {self._url} answered {request} with something else") from None
