"""The controller's port for agents on hosts, as ``agent.joining`` describes it: HTTPS with the operator's own CA.

Only the controller that has the Lease opens it, so an agent that reaches another replica is refused and tries again.
A client certificate is asked for and, where one is shown, verified by TLS; who has none can do no more than read the CA
and enrol with a token.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from ...agent import frames, joining, protocol
from ...agent.joining import Enrolment, Renewal
from ...api.base import Key
from ...domain.certificates import Certificate, names_of
from .authority import Authority
from .client import use
from .dialled import Dialled, Link
from .enrolment import Enrolments, RefusedError

logger = logging.getLogger(__name__)

MOST_BYTES = 64 << 10
"""Of a request's body."""
CLOSE_SECONDS = 2.0
"""For an agent to say good-bye; a controller that has lost the Lease has no time for more."""
RENEWAL_SECONDS = 3600.0
"""Between looks at the life that the port's own certificate has left."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


class DialIn:
    """The port."""

    def __init__(
        self, authority: Authority, enrolments: Enrolments, dialled: Dialled, may_dial: Callable[[Key], bool]
    ) -> None:
        self._authority = authority
        self._enrolments = enrolments
        self._dialled = dialled
        self._may_dial = may_dial
        self._own = authority.issue_port()
        self._context = _context(self._own, authority.ca.certificate)
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[_refusals])
        app.router.add_get(joining.AUTHORITY_PATH, self._ca)
        app.router.add_post(joining.ENROLMENT_PATH, self._enrol)
        app.router.add_post(joining.CERTIFICATE_PATH, self._renew)
        app.router.add_get(joining.LINK_PATH, self._link)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        self._renewal: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve a listening socket."""
        await self._runner.setup()
        await web.SockSite(self._runner, listener, ssl_context=self._context).start()
        self._renewal = asyncio.create_task(self._keep())
        logger.info("agents can enrol and dial at %s", listener.getsockname())

    async def close(self) -> None:
        """Stop serving."""
        if self._renewal is not None:
            self._renewal.cancel()
        await self._dialled.close()
        await self._runner.cleanup()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            if not self._authority.accepts(self._own.certificate, protocol.CONTROLLER_NAME):
                self._own = self._authority.issue_port()
                use(self._context, self._own)

    async def _ca(self, _: web.Request) -> web.Response:
        return web.Response(text=self._authority.ca.certificate, content_type="application/x-pem-file")

    async def _enrol(self, request: web.Request) -> web.Response:
        enrolment = _decode(Enrolment, await request.read())
        return _reply(await self._enrolments.enrol(enrolment, str(request.remote)))

    async def _renew(self, request: web.Request) -> web.Response:
        key = _agent(request)
        return _reply(self._enrolments.renew(key, _decode(Renewal, await request.read()), str(request.remote)))

    async def _link(self, request: web.Request) -> web.StreamResponse:
        key = _agent(request)
        if not self._may_dial(key):
            raise RefusedError(f"there is no WireGuardServer {key} with dataPlane.host.dial: true")
        found = web.WebSocketResponse(
            heartbeat=joining.HEARTBEAT_SECONDS, timeout=CLOSE_SECONDS, max_msg_size=frames.MOST_BYTES, compress=False
        )
        await found.prepare(request)
        await self._dialled.hold(Link(key, found, str(request.remote)))
        return found


def _context(own: Certificate, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority)
    use(context, own)
    return context


def _agent(request: web.Request) -> Key:
    """Whose agent asks, by its certificate. Raises RefusedError."""
    session = request.transport.get_extra_info("ssl_object") if request.transport else None
    shown = session.getpeercert(binary_form=True) if session is not None else None
    for name in names_of(shown):
        if (found := protocol.server_of(name)) is not None:
            return Key(*found)
    raise RefusedError("this takes the certificate of an agent; enrol this host: wireguard-operator host-enroll")


def _decode(kind: type[T], data: bytes) -> T:
    try:
        return protocol.decode(kind, data)
    except ValueError:  # its text quotes the input
        raise RefusedError(
            f"this is no {kind.__name__.lower()}; agent and controller differ in version?", 400
        ) from None


def _reply(message: object) -> web.Response:
    return web.Response(body=protocol.encode(message), content_type="application/json")


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as error:
        headers = {joining.MESSAGE_HEADER: _line(str(error))}
        return web.json_response({"message": str(error)}, status=error.status, headers=headers)
    except web.HTTPException as error:
        return web.json_response({"message": error.reason}, status=error.status)


def _line(text: str) -> str:
    """For a header."""
    return " ".join(text.encode("ascii", "replace").decode().split())[:500]
