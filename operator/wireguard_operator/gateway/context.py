"""What every part of the gateway works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from ..kube.client import KubeClient
from .audit import Audit
from .auth.reviews import Reviews
from .cache.store import Store
from .metrics import Metrics
from .portal.tickets import Tickets
from .portal.usage import UsageRecorder
from .ratelimit import RateLimit
from .settings import Settings


@dataclass(frozen=True)
class Context:
    """The parts that last as long as the process."""

    settings: Settings
    client: KubeClient
    cache: Store
    auth: Reviews
    audit: Audit
    metrics: Metrics
    anonymous: RateLimit
    """Of paths that have no caller, and of callers whose token was refused."""
    tickets: Tickets
    usage: UsageRecorder
    clock: Callable[[], datetime]


def context_of(request: Request) -> Context:
    """The context of the application that answers this request."""
    context: Context = request.app.state.context
    return context
