"""JSON over HTTPS to a foreign system, with what every one of them needs: verified TLS, deadlines, no redirects.

Each system has connections of its own, so that one that does not answer takes none from the others. A redirect is
never followed, since that of a login page would look like success.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from ..domain.keys import Hidden
from .errors import Denied, Rejected, Throttled, Uncertain, Unreachable, Unsuitable

READ_SECONDS = 20.0
WRITE_SECONDS = 90.0
"""wg-easy takes three seconds for a write on a busy machine, and many times that when several wait."""
CONNECT_SECONDS = 5.0
CHUNK_BYTES, MOST_BYTES = 64 << 10, 64 << 20
SENTENCE = 300
"""The most that is quoted of a system's own words."""
WORDS = ("message", "detail", "title", "error", "reason")
"""Where systems put their sentence."""
PATIENCE_SECONDS = 30.0
"""After an answer 429 without a time."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the Secret of a server says."""

    username: str = ""
    password: Hidden = field(default_factory=lambda: Hidden(""))
    token: Hidden = field(default_factory=lambda: Hidden(""))
    authority: str | None = None
    """Certificates in PEM that are trusted instead of the public authorities'."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any
    """JSON as it was read; None when there was none."""
    headers: dict[str, str]
    text: str = field(default="", repr=False)


class Web:
    """One system's API. Every method raises ``errors.SystemError``."""

    def __init__(self, url: str, authority: str | None, token: Hidden | None = None) -> None:
        """``token``: the bearer token of every request."""
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/json, application/problem+json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token.reveal()}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=2, ssl=_context(authority)),
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # systems are called by their addresses, too
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        """GET, within seconds."""
        return await self._ask("GET", path, None, READ_SECONDS, query)

    async def read_text(self, path: str) -> str:
        """A file of text."""
        answer = await self._ask("GET", path, None, READ_SECONDS, None)
        if answer.status != 200:
            raise Rejected(f"GET {path} was answered {answer.status}", answer.status)
        return answer.text

    async def write(self, method: str, path: str, body: Any = None) -> Answer:
        """Any other method. Uncertain when it may have been carried out, or when the system says that it failed."""
        return await self._ask(method, path, body, WRITE_SECONDS, None)

    async def _ask(self, method: str, path: str, body: Any, seconds: float, query: Mapping[str, str] | None) -> Answer:
        """One request; any answer below 500 but 429 is returned."""
        reads = method == "GET"
        try:
            async with self._session.request(
                method,
                self._url + path,
                params=query or None,
                json=body,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            ) as response:
                data = await _whole(response)
                answer = Answer(response.status, _parse(response.content_type, data), dict(response.headers))
                if response.content_type in ("text/plain", "text/config", "application/octet-stream"):
                    answer = replace(answer, text=data.decode(errors="replace"))
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError) as error:
            raise Denied(
                f"the certificate of {self._url} cannot be verified: {_short(error)};"
                " put the authority's certificate into ca.crt of the Secret with the credentials"
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"no answer from {self._url}: {_short(error)}") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            message = f"no answer from {self._url} to {method} {path}: {_short(error)}"
            raise (Unreachable(message) if reads else Uncertain(message, answered=False)) from None
        if answer.status == 429:
            raise Throttled(f"{self._url} asks for patience", _seconds(answer.headers.get("Retry-After")))
        if answer.status >= 500:
            kind = Unreachable if reads else Uncertain
            raise kind(f"{self._url} answered {answer.status} to {method} {path}: {said(answer)}")
        if 300 <= answer.status < 400:
            raise Unsuitable(f"{self._url} answered {method} {path} with a redirect; spec.dataPlane must name the API")
        return answer


def expect(answer: Answer, request: str, *fine: int) -> Any:
    """The body of an answer that is as hoped for. Raises Rejected."""
    if answer.status not in (fine or (200,)):
        raise Rejected(f"{request} was answered {answer.status}: {said(answer)}", answer.status)
    return answer.body


def said(answer: Answer) -> str:
    """What a system says of an error, in one short line."""
    body = answer.body if isinstance(answer.body, dict) else {}
    words = next((body[part] for part in WORDS if isinstance(body.get(part), str) and body[part]), "")
    details = body.get("validation_errors") or body.get("errors")
    sentence = ": ".join(part for part in (words, json.dumps(details) if details else "") if part)
    return " ".join(sentence.split())[:SENTENCE] or "without a reason"


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        data += chunk
        if len(data) > MOST_BYTES:
            raise ValueError(f"the answer is longer than {MOST_BYTES} bytes")
    return bytes(data)


def _parse(form: str, data: bytes) -> Any:
    if not data or not (form == "application/json" or form.endswith("+json")):
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None


def _context(authority: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError):
        raise Denied("ca.crt of the Secret with the credentials holds no certificate in PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdigit() else PATIENCE_SECONDS


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:SENTENCE]
