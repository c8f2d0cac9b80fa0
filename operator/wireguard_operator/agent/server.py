"""The agent's HTTPS interface, exactly as ``protocol`` describes it: who may ask, and HTTP around ``exchange``."""

from __future__ import annotations

import logging

from aiohttp import web

from . import protocol, tls
from .duty import Duty
from .exchange import Exchange, Reply, refusal
from .service import Service

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 << 20
"""65,536 peers (all that wireguard-go takes) at some 300 bytes each, three times over."""
EXCHANGE = web.AppKey("exchange", Exchange)
COMPRESSED_BYTES = 1024
"""Answers of that size are compressed."""


def make_app(service: Service, duty: Duty) -> web.Application:
    """The application; it must be served over ``tls.server_context``, or it answers 403 to everybody."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[EXCHANGE] = Exchange(service, duty)
    app.router.add_route("*", "/{path:.*}", _answer)
    return app


async def _answer(request: web.Request) -> web.Response:
    status, body = await _reply(request)
    response = web.Response(body=body, status=status, content_type="application/json")
    if len(body) > COMPRESSED_BYTES:
        response.enable_compression()
    return response


async def _reply(request: web.Request) -> Reply:
    if not _is_controller(request):
        logger.warning("refused %s: its certificate is not the controller's", request.remote)
        return refusal(403, f"only a client certificate for {protocol.CONTROLLER_NAME} may configure this agent")
    try:
        body = await request.read()
    except web.HTTPException as error:
        return refusal(error.status, error.reason)
    return await request.app[EXCHANGE].answer(request.method, request.path, request.query, body)


def _is_controller(request: web.Request) -> bool:
    session = request.transport.get_extra_info("ssl_object") if request.transport else None
    return session is not None and tls.is_controller(session.getpeercert(binary_form=True))
