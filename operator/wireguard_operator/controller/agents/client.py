"""The controller's side of the link to an agent."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import TypeVar

import aiohttp

from ...agent import protocol
from ...agent.protocol import Ack, AgentStatus, CountersPage, DeltaRequest, Snapshot
from ...api.reasons import Reason
from ...domain.certificates import Certificate

T = TypeVar("T")

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)


class AgentError(Exception):
    """The agent could not do what was asked; ``reason`` is a condition reason."""

    reason = Reason.AGENT_FAILED


class AgentUnreachable(AgentError):
    """No answer. The device goes on as it is: the agent keeps the tunnels without us."""

    reason = Reason.AGENT_UNREACHABLE


class AgentRefused(AgentError):
    """The other side is not the agent that the server's Secret names, or it does not trust us."""

    reason = Reason.AGENT_NOT_TRUSTED


class BaseMismatch(AgentError):
    """The agent does not hold the state that a delta starts from."""


def tls_context(own: Certificate, authority: str) -> ssl.SSLContext:
    """A context that shows ``own`` and trusts ``authority`` alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority)
    # The ssl module reads keys from files only; this one lives for a moment, readable by us alone.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "controller.pem")
        path.touch(mode=0o600)
        path.write_text(own.certificate + own.private_key)
        context.load_cert_chain(path)
    return context


class AgentClient:
    """One agent. Every method raises AgentError."""

    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext, url: str, name: str) -> None:
        self._session = session
        self._tls = tls
        self._url = url.rstrip("/")
        self._name = name

    async def status(self) -> AgentStatus:
        """Who the agent is and what it holds."""
        return await self._call(AgentStatus, "GET", protocol.STATUS_PATH)

    async def put_state(self, snapshot: Snapshot) -> Ack:
        """Make the device as the snapshot says."""
        return await self._call(Ack, "PUT", protocol.STATE_PATH, snapshot)

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        """Change the device. Raises BaseMismatch when the agent holds another state."""
        return await self._call(Ack, "POST", protocol.DELTA_PATH, delta)

    async def counters(self, cursor: str) -> CountersPage:
        """Counters that changed after ``cursor``; empty: all."""
        return await self._call(CountersPage, "GET", protocol.COUNTERS_PATH, query={"cursor": cursor})

    async def _call(
        self, kind: type[T], method: str, path: str, body: object = None, query: dict[str, str] | None = None
    ) -> T:
        try:
            async with self._session.request(
                method,
                self._url + path,
                params=query,
                data=None if body is None else protocol.encode(body),
                headers={"Content-Type": "application/json"},
                ssl=self._tls,
                server_hostname=self._name,
                timeout=TIMEOUT,
            ) as answer:
                data = await answer.read()
                if answer.status == 409:
                    raise BaseMismatch("the agent holds another state than the delta starts from")
                if answer.status == 403:
                    raise AgentRefused(f"the agent at {self._url} does not accept this controller's certificate")
                if answer.status != 200:
                    raise AgentError(f"the agent at {self._url} answered {answer.status} to {method} {path}")
        except aiohttp.ClientConnectorCertificateError as error:
            raise AgentRefused(
                f"the agent at {self._url} does not show a certificate for {self._name}; "
                f"give the host the present bundle (wireguard-operator host-bundle): {error.certificate_error}"
            ) from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise AgentRefused(f"no TLS with the agent at {self._url}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AgentUnreachable(
                f"no answer from the agent at {self._url}: {error or type(error).__name__}"
            ) from error
        try:
            return protocol.decode(kind, data)
        except ValueError:
            raise AgentError(f"the agent at {self._url} answered {method} {path} with something else") from None
