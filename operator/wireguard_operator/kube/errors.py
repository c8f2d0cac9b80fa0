"""What the API server answers when it does not do as asked.

::

    KubeError
     ├── Unavailable      no answer, or 5xx: try again later
     ├── TooManyRequests  429: try again after ``retry_after`` seconds
     ├── NotFound         404
     ├── AlreadyExists    409 on create
     ├── Conflict         409: the object changed or is another one of the same name
     ├── Expired          410: a list's continue token is too old
     ├── Forbidden        401, 403
     └── Invalid          400, 422: the object is wrong, trying again does not help
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class KubeError(Exception):
    """A request failed; ``str()`` is the API server's own sentence."""

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Unavailable(KubeError):
    """No answer or a server error; the request may or may not have been carried out."""


class TooManyRequests(KubeError):
    """The API server asks for patience."""


class NotFound(KubeError):
    """No such object."""


class AlreadyExists(KubeError):
    """An object of that name exists."""


class Conflict(KubeError):
    """The object is not the one that was read."""


class Expired(KubeError):
    """The list must be started again."""


class Forbidden(KubeError):
    """RBAC or authentication says no."""


class Invalid(KubeError):
    """The object was refused."""


_BY_STATUS: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
}


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> KubeError:
    """The exception for an answer of status 400 or more."""
    try:
        answer: dict[str, Any] = json.loads(body)
        message = str(answer.get("message") or answer)
        reason = answer.get("reason")
    except (ValueError, AttributeError):
        message, reason = body.decode(errors="replace")[:300] or f"HTTP {status}", None
    kind = (
        AlreadyExists
        if reason == "AlreadyExists"
        else _BY_STATUS.get(status, Unavailable if status >= 500 else KubeError)
    )
    after = headers.get("Retry-After", "")
    return kind(message, status, float(after) if after.isdigit() else None)
