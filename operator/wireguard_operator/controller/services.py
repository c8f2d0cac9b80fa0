"""What the working parts of the controller share, made once at start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import aiohttp

from ..kube.client import KubeClient
from .agents.authority import Authority
from .agents.dialled import Dialled
from .metrics.process import Metrics
from .placer import Placer
from .settings import Settings
from .watch.cache import Cache
from .writes.event_recorder import EventRecorder
from .writes.secret_store import SecretStore
from .writes.status_writer import StatusWriter


@dataclass(frozen=True, slots=True)
class Services:
    """Connections, stores and settings."""

    settings: Settings
    client: KubeClient
    http: aiohttp.ClientSession
    """For the agents."""
    cache: Cache
    secrets: SecretStore
    statuses: StatusWriter
    events: EventRecorder
    placer: Placer
    authority: Authority
    clock: Callable[[], datetime]
    metrics: Metrics = field(default_factory=Metrics)
    dialled: Dialled = field(default_factory=Dialled)
    systems: dict[str, str] = field(default_factory=dict)
    """UID of the server that works with a foreign system, by its URL and by its key."""
    farewells: set[asyncio.Task[None]] = field(default_factory=set)
    """Under way to systems of servers that are gone."""
