"""What the working parts of the controller share, made once at start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from ..kube.client import KubeClient
from .authority import Authority
from .cache import Cache
from .event_recorder import EventRecorder
from .placer import Placer
from .secret_store import SecretStore
from .settings import Settings
from .status_writer import StatusWriter


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
