"""Questions of ``protocol`` and their answers, whatever connection they come by: a thin skin over the service.

Bodies hold private keys, so no body, and no message of pydantic that might quote one, gets into a log or a reply.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import TypeVar

from pydantic import ValidationError

from . import parts, protocol
from .device import DeviceError
from .duty import Duty, OutdatedOrderError
from .service import ConflictError, InvalidRequestError, Service
from .store import StoreError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Reply = tuple[int, bytes]
"""HTTP status and body."""


class Exchange:
    """Answers questions."""

    def __init__(self, service: Service, duty: Duty) -> None:
        self._service = service
        self._duty = duty
        self._assembly = parts.Assembly()
        self._answers = {
            ("GET", protocol.STATUS_PATH): self._status,
            ("PUT", protocol.STATE_PATH): self._state,
            ("POST", protocol.DELTA_PATH): self._delta,
            ("GET", protocol.COUNTERS_PATH): self._counters,
            ("GET", protocol.ENDPOINTS_PATH): self._endpoints,
            ("PUT", protocol.ENDPOINTS_PATH): self._expect,
            ("GET", protocol.ROLE_PATH): self._standing,
            ("PUT", protocol.ROLE_PATH): self._order,
            ("PUT", protocol.PAUSE_PATH): self._pause,
        }

    async def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """The reply, also to what cannot be done: an error is ``{"message": …}``."""
        try:
            if (found := self._answers.get((method, path))) is None:
                known = any(path == other for _, other in self._answers)
                return refusal(405, "Method Not Allowed") if known else refusal(404, "Not Found")
            return await found(query, body)
        except InvalidRequestError as error:
            return refusal(400, str(error))
        except (DeviceError, StoreError) as error:
            logger.error("%s %s: %s", method, path, error)
            return refusal(500, str(error))
        except Exception as error:
            # No text of an exception that nobody expected: it may quote what the request held.
            logger.error("%s %s: unexpected %s at %s", method, path, type(error).__name__, _place(error))
            return refusal(500, "internal error; the agent's log has the place")

    async def _status(self, _query: Mapping[str, str], _body: bytes) -> Reply:
        return 200, protocol.encode(await self._described())

    async def _described(self) -> protocol.AgentStatus:
        return replace(await self._service.status(), partial=self._assembly.partial())

    async def _state(self, _query: Mapping[str, str], body: bytes) -> Reply:
        assembly = self._assembly
        try:
            assembly.add(parts.read_part(body))
            if missing := assembly.missing():
                return 200, protocol.encode(protocol.PartReply(missing))
            content = assembly.content()
        except parts.PartsError as error:
            assembly.clear()
            raise InvalidRequestError(str(error)) from None
        assembly.clear()
        ack = await self._service.snapshot(_decode(protocol.Snapshot, content))
        return 200, protocol.encode(protocol.PartReply((), ack))

    async def _delta(self, _query: Mapping[str, str], body: bytes) -> Reply:
        try:
            return 200, protocol.encode(await self._service.delta(_decode(protocol.DeltaRequest, body)))
        except ConflictError:
            return 409, protocol.encode(await self._described())

    async def _counters(self, query: Mapping[str, str], _body: bytes) -> Reply:
        page = await self._service.counters(query.get("cursor"), more=query.get("more") == "true")
        return 200, protocol.encode(page)

    async def _endpoints(self, query: Mapping[str, str], _body: bytes) -> Reply:
        return 200, protocol.encode(await self._duty.endpoints(query.get("cursor", "")))

    async def _expect(self, _query: Mapping[str, str], body: bytes) -> Reply:
        return 200, protocol.encode(await self._duty.expect(_decode(protocol.Endpoints, body)))

    async def _standing(self, _query: Mapping[str, str], _body: bytes) -> Reply:
        return 200, protocol.encode(self._duty.standing())

    async def _order(self, _query: Mapping[str, str], body: bytes) -> Reply:
        return await self._obeyed(self._duty.order(_decode(protocol.RoleOrder, body)))

    async def _pause(self, _query: Mapping[str, str], body: bytes) -> Reply:
        return await self._obeyed(self._duty.pause(_decode(protocol.Pause, body).term))

    async def _obeyed(self, order: Awaitable[protocol.Standing]) -> Reply:
        try:
            return 200, protocol.encode(await order)
        except OutdatedOrderError:
            return 409, protocol.encode(self._duty.standing())


def refusal(status: int, message: str) -> Reply:
    """An error as a reply."""
    return status, json.dumps({"message": message}).encode()


def _decode(kind: type[T], data: bytes) -> T:
    try:
        return protocol.decode(kind, data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        # The type names the rule that was broken; pydantic's message for some rules repeats the value.
        texts = (f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['type']}" for problem in problems[:5])
        raise InvalidRequestError("; ".join(texts)) from None


def _place(error: BaseException) -> str:
    """Innermost source line of an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "nowhere"
