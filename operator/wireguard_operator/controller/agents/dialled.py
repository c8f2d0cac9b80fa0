"""Links that agents have made to this controller, by server: what is asked on them is the protocol of all agents.

A host that comes back may do so before its former link is known to be dead, so the newest one counts. Two hosts with
one identity would take the server from each other by turns, which is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp
from aiohttp import web

from ...agent import frames
from ...api.base import Key
from ..metrics.process import Metrics
from .client import TIMEOUT, AgentClient, AgentError, AgentUnreachable

logger = logging.getLogger(__name__)


class Link:
    """One connection. Several questions may be under way."""

    def __init__(self, server: Key, socket: web.WebSocketResponse, remote: str) -> None:
        self.server = server
        self.remote = remote
        self._socket = socket
        self._numbers = 0
        self._waiting: dict[int, asyncio.Future[frames.Answer]] = {}

    async def serve(self) -> None:
        """Read answers until the link ends. Pings and pongs are answered by the way."""
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    continue
                try:
                    # The frame may be megabytes that have to be unpacked.
                    answer = await asyncio.to_thread(frames.read_answer, message.data)
                except frames.FrameError as error:
                    logger.warning("the agent of %s says what is not understood: %s", self.server, error)
                    break
                waiting = self._waiting.pop(answer.number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(AgentUnreachable(f"the link to the agent of {self.server} broke"))
            self._waiting.clear()

    async def ask(
        self, method: str, path: str, query: dict[str, str] | None, body: bytes, seconds: float | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer, which must come within ``seconds``. Raises AgentUnreachable."""
        seconds = seconds or TIMEOUT.total
        self._numbers += 1
        question = frames.Question(self._numbers, method, path, query or {}, body)
        waiting = self._waiting[question.number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._socket.send_bytes(frames.pack_question(question))
                answer = await waiting
        except TimeoutError:
            raise AgentUnreachable(f"the agent of {self.server} does not answer within {seconds:.0f} s") from None
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            raise AgentUnreachable(f"the link to the agent of {self.server} is broken: {error}") from None
        finally:
            self._waiting.pop(question.number, None)
        return answer.status, answer.body

    async def close(self, reason: str) -> None:
        """End the link."""
        await self._socket.close(message=reason.encode())


class DialledAgent(AgentClient):
    """An agent at the other end of a link that it made."""

    def __init__(self, link: Link, metrics: Metrics) -> None:
        self._link = link
        self._metrics = metrics
        self._url = f"{link.remote} (dialled)"

    async def _exchange(
        self, method: str, path: str, body: bytes, query: dict[str, str] | None, limit: aiohttp.ClientTimeout
    ) -> bytes:
        status, data = await self._link.ask(method, path, query, body, limit.total)
        self._check(status, data, f"{method} {path}")
        return data


class Dialled:
    """All links."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.is_open = is_open
        """Whether the controller has a port for them."""
        self.connected: Callable[[Key], None] = lambda _: None
        """Told of a server whose agent is there."""
        self._links: dict[Key, Link] = {}

    def agent(self, server: Key, metrics: Metrics) -> AgentClient:
        """The agent of a server. Raises AgentUnreachable."""
        link = self._links.get(server)
        if link is not None:
            return DialledAgent(link, metrics)
        if not self.is_open:
            raise AgentError(
                "dataPlane.host.dial is true, but this controller has no port that agents could dial; open one with"
                " --dial-in (in the chart: agents.enabled)"
            )
        raise AgentUnreachable(
            "the agent is not connected; it dials the controller, and the host's log says why it fails"
        )

    async def hold(self, link: Link) -> None:
        """Keep a link until it ends."""
        former = self._links.get(link.server)
        self._links[link.server] = link
        if former is not None:
            logger.warning("the agent of %s at %s takes the place of %s", link.server, link.remote, former.remote)
            closing = asyncio.create_task(former.close("another connection with the same certificate"))
            closing.add_done_callback(_ignore)
        else:
            logger.info("the agent of %s is connected from %s", link.server, link.remote)
        self.connected(link.server)
        try:
            await link.serve()
        finally:
            if self._links.get(link.server) is link:
                del self._links[link.server]
                logger.info("the agent of %s at %s is gone", link.server, link.remote)

    async def close(self) -> None:
        """End all links."""
        await asyncio.gather(*(link.close("the controller stops") for link in list(self._links.values())))


def _ignore(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
