"""The agent's HTTPS interface, exactly as ``protocol`` describes it: a thin skin over the service.

Bodies hold private keys, so no body, and no message of pydantic that might quote one, gets into a log or a reply.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from . import parts, protocol, tls
from .device import DeviceError
from .duty import Duty, OutdatedOrderError
from .service import ConflictError, InvalidRequestError, Service
from .store import StoreError

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 << 20
"""65,536 peers (all that wireguard-go takes) at some 300 bytes each, three times over."""

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SERVICE = web.AppKey("service", Service)
DUTY = web.AppKey("duty", Duty)
ASSEMBLY = web.AppKey("assembly", parts.Assembly)
COMPRESSED_BYTES = 1024
"""Answers of that size are compressed."""


def make_app(service: Service, duty: Duty) -> web.Application:
    """The application; it must be served over ``tls.server_context``, or it answers 403 to everybody."""
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_errors, _controller_only])
    app[SERVICE] = service
    app[DUTY] = duty
    app[ASSEMBLY] = parts.Assembly()
    app.router.add_get(protocol.STATUS_PATH, _status)
    app.router.add_put(protocol.STATE_PATH, _state)
    app.router.add_post(protocol.DELTA_PATH, _delta)
    app.router.add_get(protocol.COUNTERS_PATH, _counters)
    app.router.add_get(protocol.ENDPOINTS_PATH, _endpoints)
    app.router.add_put(protocol.ENDPOINTS_PATH, _expect)
    app.router.add_get(protocol.ROLE_PATH, _standing)
    app.router.add_put(protocol.ROLE_PATH, _order)
    return app


async def _status(request: web.Request) -> web.Response:
    return _reply(await _described(request))


async def _described(request: web.Request) -> protocol.AgentStatus:
    return replace(await request.app[SERVICE].status(), partial=request.app[ASSEMBLY].partial())


async def _state(request: web.Request) -> web.Response:
    assembly = request.app[ASSEMBLY]
    try:
        assembly.add(parts.read_part(await request.read()))
        if missing := assembly.missing():
            return _reply(protocol.PartReply(missing))
        content = assembly.content()
    except parts.PartsError as error:
        assembly.clear()
        raise InvalidRequestError(str(error)) from None
    assembly.clear()
    return _reply(protocol.PartReply((), await request.app[SERVICE].snapshot(_decode(protocol.Snapshot, content))))


async def _delta(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    try:
        return _reply(await service.delta(_decode(protocol.DeltaRequest, await request.read())))
    except ConflictError:
        return _reply(await _described(request), status=409)


async def _counters(request: web.Request) -> web.Response:
    query = request.query
    page = await request.app[SERVICE].counters(query.get("cursor"), more=query.get("more") == "true")
    return _compressed(_reply(page))


async def _endpoints(request: web.Request) -> web.Response:
    return _compressed(_reply(await request.app[DUTY].endpoints(request.query.get("cursor", ""))))


async def _expect(request: web.Request) -> web.Response:
    return _reply(await request.app[DUTY].expect(_decode(protocol.Endpoints, await request.read())))


async def _standing(request: web.Request) -> web.Response:
    return _reply(request.app[DUTY].standing())


async def _order(request: web.Request) -> web.Response:
    duty = request.app[DUTY]
    try:
        return _reply(await duty.order(_decode(protocol.RoleOrder, await request.read())))
    except OutdatedOrderError:
        return _reply(duty.standing(), status=409)


def _compressed(response: web.Response) -> web.Response:
    if response.content_length and response.content_length > COMPRESSED_BYTES:
        response.enable_compression()
    return response


def _decode(kind: type[T], data: bytes) -> T:
    try:
        return protocol.decode(kind, data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        # The type names the rule that was broken; pydantic's message for some rules repeats the value.
        texts = (f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['type']}" for problem in problems[:5])
        raise InvalidRequestError("; ".join(texts)) from None


def _reply(message: object, status: int = 200) -> web.Response:
    return web.Response(body=protocol.encode(message), status=status, content_type="application/json")


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as ``{"message": …}``."""
    try:
        return await handler(request)
    except InvalidRequestError as error:
        return _refusal(400, str(error))
    except web.HTTPException as error:
        return _refusal(error.status, error.reason)
    except (DeviceError, StoreError) as error:
        logger.error("%s %s: %s", request.method, request.path, error)
        return _refusal(500, str(error))
    except Exception as error:
        # No text of an exception that nobody expected: it may quote what the request held.
        logger.error("%s %s: unexpected %s at %s", request.method, request.path, type(error).__name__, _place(error))
        return _refusal(500, "internal error; the agent's log has the place")


@web.middleware
async def _controller_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    transport = request.transport
    session = transport.get_extra_info("ssl_object") if transport else None
    if session is None or not tls.is_controller(session.getpeercert(binary_form=True)):
        logger.warning("refused %s: its certificate is not the controller's", request.remote)
        return _refusal(403, f"only a client certificate for {protocol.CONTROLLER_NAME} may configure this agent")
    return await handler(request)


def _place(error: BaseException) -> str:
    """Innermost source line of an exception."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "nowhere"
