"""The controller's port for agents (``joining``), from the host's side: enrol, and renew a certificate.

The private key is made here, goes to the disk here and nowhere else. Before a host has the CA, it reads it from the
port itself and compares it with the fingerprint in its token; only then does the token leave the host.
"""

from __future__ import annotations

import json
import ssl
from typing import TypeVar

import aiohttp

from ..domain import certificates
from ..domain.host_tokens import HostToken
from . import joining, protocol, tls
from .bundle import Bundle

TIMEOUT = aiohttp.ClientTimeout(total=30)
MOST_BYTES = 64 << 10
"""Of an answer."""

T = TypeVar("T")


class PortError(Exception):
    """It did not work this time, or (``is_final``) will not before somebody does something. No secret in the text."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


async def enrol(url: str, token: HostToken) -> Bundle:
    """A host's identity, for a token. Raises PortError."""
    url = url.rstrip("/")
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        # Whom this is read from does not matter: nothing is said, and what is heard is checked.
        authority = (await _call(session, "GET", url + joining.AUTHORITY_PATH, _trusting_nobody())).decode(
            "ascii", "replace"
        )
        if _fingerprint(authority) != token.authority:
            raise PortError(
                f"{url} is not the controller that the token was made for: its CA is {_fingerprint(authority)},"
                f" the token says {token.authority}; somebody may be in between",
                is_final=True,
            )
        own = certificates.request(protocol.agent_name(token.server.namespace, token.server.name))
        enrolment = joining.Enrolment(
            token.server.namespace, token.server.name, token.identifier, token.secret, own.certificate
        )
        context = tls.trusting(authority)
        answer = await _call(session, "POST", url + joining.ENROLMENT_PATH, context, protocol.encode(enrolment))
    enrolled = _decode(joining.Enrolled, answer, url)
    return Bundle(
        server=str(token.server),
        listen=enrolled.listen,
        certificate=enrolled.certificate,
        private_key=own.private_key,
        ca=authority,
        controller=url,
    )


async def renew(bundle: Bundle) -> Bundle:
    """The identity with its next certificate, for a new key. Raises PortError."""
    namespace, _, server = bundle.server.partition("/")
    own = certificates.request(protocol.agent_name(namespace, server))
    url = bundle.controller + joining.CERTIFICATE_PATH
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        body = protocol.encode(joining.Renewal(own.certificate))
        answer = await _call(session, "POST", url, tls.client_context(bundle), body)
    renewed = _decode(joining.Renewed, answer, bundle.controller)
    return bundle.model_copy(update={"certificate": renewed.certificate, "private_key": own.private_key})


async def _call(
    session: aiohttp.ClientSession, method: str, url: str, context: ssl.SSLContext, body: bytes = b""
) -> bytes:
    try:
        async with session.request(
            method, url, data=body or None, ssl=context, server_hostname=protocol.CONTROLLER_NAME, allow_redirects=False
        ) as answer:
            data = await answer.content.read(MOST_BYTES)
            status = answer.status
    except aiohttp.ClientConnectorCertificateError as error:
        raise PortError(f"{url} does not show the controller's certificate: {error.certificate_error}") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise PortError(f"no answer from {url}: {error or type(error).__name__}") from None
    if status != 200:
        raise PortError(f"{url}: {message_of(data) or f'status {status}'}", is_final=status in (400, 403))
    return data


def message_of(data: bytes) -> str:
    """What an error says."""
    try:
        return str(json.loads(data)["message"])[:500]
    except (ValueError, TypeError, KeyError):
        return ""


def _decode(kind: type[T], data: bytes, url: str) -> T:
    try:
        return protocol.decode(kind, data)
    except ValueError:
        raise PortError(f"{url} answers something else than a controller does") from None


def _fingerprint(authority: str) -> str:
    try:
        return certificates.fingerprint(authority)
    except ValueError:
        return "no certificate"


def _trusting_nobody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
