"""One JSON line for each write and each look at a key: who did what to which object, and what came of it.

The lines go to the logger ``wireguard_operator.audit``, which the process sends to stdout; what collects the logs of
pods keeps them. They never hold keys, tokens or configurations.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime

from ..api.base import GROUP, format_time
from . import requestid

LAST_CHANGED_BY = f"{GROUP}/last-changed-by"
"""Annotation on objects that the gateway wrote: the user name of the caller."""
logger = logging.getLogger("wireguard_operator.audit")


class Audit:
    """Writes the records."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def record(
        self, *, user: str, tenant: str, verb: str, resource: str, name: str = "", outcome: str = "done", **facts: str
    ) -> None:
        """One record. ``verb`` and ``resource`` are RBAC's words, e.g. create, wireguardpeers/suspend."""
        entry = {
            "time": format_time(self._clock()),
            "requestId": requestid.current(),
            "user": user,
            "tenant": tenant,
            "verb": verb,
            "resource": resource,
            "name": name,
            "outcome": outcome,
            **facts,
        }
        logger.info("%s", json.dumps(entry, ensure_ascii=False))
