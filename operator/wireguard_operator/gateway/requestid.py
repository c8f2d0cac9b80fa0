"""The id by which one request is found again in logs, audit records and the caller's own logs.

The caller's ``X-Request-ID`` is taken if it is short and plain; a log must not be written by strangers.
"""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def begin(given: str | None) -> str:
    """Choose the id of the request that this task answers."""
    chosen = given if given is not None and _SANE.fullmatch(given) else uuid.uuid4().hex
    _current.set(chosen)
    return chosen


def current() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _current.get()


class LogFilter(logging.Filter):
    """Gives each log record the attribute ``request_id``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        record.request_id = current() or "-"
        return True
