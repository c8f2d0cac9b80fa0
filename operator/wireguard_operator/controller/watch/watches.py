"""kopf's watches: how it logs in, what it watches, and where what it is told goes."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from typing import Any, cast

import kopf

from ..settings import Settings, configure_kopf
from . import handlers
from .cache import Cache
from .sweep import Sweep


async def run(settings: Settings, cache: Cache, sweep: Sweep, stop: asyncio.Event) -> None:
    """Have the cache know what changes, until told to stop."""
    registry = kopf.OperatorRegistry()
    handlers.register(registry, cache, sweep.relisted)
    handlers.register_children(registry, cache)
    if not settings.watch_namespaces:
        handlers.register_namespaces(registry, cache)

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        if settings.kubeconfig is not None:
            os.environ["KUBECONFIG"] = settings.kubeconfig
        if (info := kopf.login_with_service_account(**kwargs)) is not None:
            # kopf goes by the name kubernetes.default.svc; the address works with the cluster's DNS away, too.
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            return replace(info, server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
        return kopf.login_with_kubeconfig(**kwargs)

    kopf_settings = kopf.OperatorSettings()
    configure_kopf(kopf_settings)
    await kopf.operator(
        # kopf would ask for the user's name, which a container need not have.
        identity=cast(Any, f"{os.getpid()}@{socket.gethostname()}"),
        registry=registry,
        settings=kopf_settings,
        stop_flag=stop,
        namespaces=settings.watch_namespaces,
        clusterwide=not settings.watch_namespaces,
    )
