"""The agent calls the controller: for hosts behind NAT, which nobody can call.

One TLS connection leaves the host, with certificates on both sides. On it the parts are as ever: the controller asks
and the agent answers. A link that breaks is made again, at growing intervals that differ from host to host, so that a
thousand of them do not return to a controller together. The device does not notice any of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from . import frames, joining, protocol, tls
from .exchange import Exchange
from .identity import Identity

logger = logging.getLogger(__name__)

FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds between tries, doubled each time; half to all of it, by chance."""
STEADY_SECONDS = 60.0
"""A link that held for so long was a good one: the next try is prompt again."""
CONNECT_SECONDS = 15.0


class DialError(Exception):
    """There is no link; the text says why."""


class Dialer:
    """Keeps a link to the controller."""

    def __init__(self, identity: Identity, exchange: Exchange) -> None:
        self._identity = identity
        self._exchange = exchange
        self._complaint = ""

    async def run(self) -> None:
        """Call, and answer what is asked, until cancelled."""
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                async with self._link() as link:
                    began = loop.time()
                    self._complaint = ""
                    logger.info("connected to the controller at %s", self._identity.bundle.controller)
                    await self._serve(link)
                logger.info("the link to the controller ended")
            except (DialError, tls.BundleError) as error:
                self._complain(self._identity.complaint() or str(error))
            pause = FIRST_PAUSE if loop.time() - began > STEADY_SECONDS else min(LAST_PAUSE, pause * 2)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - to spread calls

    @asynccontextmanager
    async def _link(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = self._identity.bundle.controller + joining.LINK_PATH
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        context = self._identity.client_context()
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    link = await session.ws_connect(
                        url,
                        ssl=context,
                        server_hostname=protocol.CONTROLLER_NAME,
                        heartbeat=joining.HEARTBEAT_SECONDS,
                        max_msg_size=frames.MOST_BYTES,
                    )
            except aiohttp.WSServerHandshakeError as error:
                said = error.headers.get(joining.MESSAGE_HEADER) if error.headers else None
                raise DialError(f"{url}: refused with status {error.status}: {said or error.message}") from None
            except aiohttp.ClientConnectorCertificateError as error:
                raise DialError(
                    f"{url} does not show the controller's certificate: {error.certificate_error}"
                ) from None
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise DialError(f"no link to {url}: {error or type(error).__name__}") from None
            try:
                yield link
            finally:
                await link.close()

    async def _serve(self, link: aiohttp.ClientWebSocketResponse) -> None:
        # A device may take longer than a heartbeat does: while one question is worked on, the link is still read. Work
        # that has begun is not broken off with the link, either.
        answers = set[asyncio.Task[None]]()
        async for message in link:
            if message.type is not aiohttp.WSMsgType.BINARY:
                continue
            try:
                question = frames.read_question(message.data)
            except frames.FrameError as error:
                raise DialError(f"the controller says what is not understood: {error}") from None
            task = asyncio.create_task(self._answer(link, question))
            answers.add(task)
            task.add_done_callback(answers.discard)
        if answers:
            await asyncio.wait(answers)

    async def _answer(self, link: aiohttp.ClientWebSocketResponse, question: frames.Question) -> None:
        status, body = await self._exchange.answer(question.method, question.path, question.query, question.body)
        try:
            await link.send_bytes(frames.pack_answer(frames.Answer(question.number, status, body)))
        except (aiohttp.ClientError, ConnectionError) as error:
            logger.info("an answer did not reach the controller, who will ask again: %s", error)

    def _complain(self, text: str) -> None:
        # Hours of the same trouble are one line.
        if text != self._complaint:
            logger.warning("%s", text)
        self._complaint = text
