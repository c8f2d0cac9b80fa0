"""``wireguard-operator gateway``: the process around the application."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import uvicorn
from kubernetes.aio.config import ConfigException
from prometheus_client import make_asgi_app

from ..kube.client import KubeClient
from ..kube.errors import KubeError
from . import garbage
from .app import make_app
from .audit import Audit
from .auth.reviews import Reviews
from .cache.store import Store
from .context import Context
from .metrics import Metrics
from .portal import upkeep
from .portal.pages import BrandError
from .portal.tickets import Tickets
from .portal.usage import UsageRecorder
from .ratelimit import RateLimit
from .requestid import LogFilter
from .settings import Settings

logger = logging.getLogger(__name__)
GRACE_SECONDS = 20
"""For requests under way when the process is told to stop."""
OPTIONS: tuple[tuple[str, str, str], ...] = (
    ("namespace", "NAME", "where the gateway keeps what is its own"),
    ("host", "ADDRESS", "address to listen on; empty: all"),
    ("port", "PORT", "port of the API, the portal and the probes"),
    ("metrics-port", "PORT", "port of /metrics; 0: none"),
    ("tls-certificate", "FILE", "certificate chain in PEM; empty: plain HTTP, for an Ingress in front"),
    ("tls-key", "FILE", "the certificate's key in PEM"),
    ("public-url", "URL", "how the gateway is reached from outside"),
    ("trusted-proxies", "NETWORKS", "whose X-Forwarded-For is believed, comma-separated"),
    ("audience", "NAME", "the audience that callers' tokens must be made for"),
    ("oidc-username-prefix", "PREFIX", "what the API server puts before the names of OIDC users"),
    ("create-wait", "SECONDS", "how long a creation waits for the peer to be on the device"),
    ("portal-brand", "FOLDER", "the provider's looks and words for the pages"),
    ("anonymous-rate", "RATE", "requests a second of one address on paths without a caller"),
    ("anonymous-burst", "NUMBER", "how many of them may come at once"),
)
LISTS = (
    ("watch-namespace", "watch_namespaces", "NAME", "serve this tenant only; may be given more than once"),
    ("oidc-issuer", "oidc_issuers", "URL", "take OIDC tokens of this issuer; may be given more than once"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the gateway; the environment's default for each is ``WIREGUARD_GATEWAY_<OPTION>``."""
    default = Settings()
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: the pod's service account, else as kubectl does")
    for option, name, metavar, text in LISTS:
        parser.add_argument(f"--{option}", dest=name, action="append", metavar=metavar, help=text)
    for option, metavar, text in OPTIONS:
        value = getattr(default, option.replace("-", "_"))
        shown = f"; default: {value}" if value else ""
        parser.add_argument(f"--{option}", type=type(value), metavar=metavar, help=text + shown)


def settings_of(args: argparse.Namespace) -> Settings:
    """Settings from the command line, then the environment, then the defaults."""
    chosen: dict[str, Any] = {}
    for field in fields(Settings):
        value = getattr(args, field.name, None)
        kind = type(getattr(Settings(), field.name))
        if value is None and (text := os.environ.get(f"WIREGUARD_GATEWAY_{field.name.upper()}")):
            value = text.split(",") if kind is tuple else text
        if value is not None:
            chosen[field.name] = kind(value) if kind in (float, int, tuple) else value
    return Settings(**chosen)


def run(args: argparse.Namespace) -> int:
    """Run the gateway until SIGTERM or SIGINT. Returns the exit code: 0, or 1 when it cannot start."""
    _configure_logging()
    try:
        asyncio.run(_main(settings_of(args)))
    except (KubeError, ConfigException, BrandError, OSError) as error:
        logger.error("%s", error)
        return 1
    return 0


def _configure_logging() -> None:
    handler = logging.StreamHandler()
    handler.addFilter(LogFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s]: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # They log bodies and URLs at their lower levels.
    for name in ("kubernetes", "aiohttp", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    records = logging.StreamHandler(sys.stdout)
    records.setFormatter(logging.Formatter("%(message)s"))
    audit = logging.getLogger("wireguard_operator.audit")
    audit.addHandler(records)
    audit.propagate = False


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        connection = await KubeClient.connect(settings.kubeconfig, observer=metrics.api_request)
        client = await stack.enter_async_context(connection)
        context = make_context(settings, client, metrics)
        servers = [_server(make_app(context), settings, settings.port, tls=True)]
        if settings.metrics_port:
            servers.append(_server(make_asgi_app(metrics.registry), settings, settings.metrics_port, tls=False))
        watching = asyncio.create_task(_work(context))
        serving = [asyncio.create_task(server.serve()) for server in servers]
        stopping = asyncio.create_task(stop.wait())
        logger.info("serving on port %d", settings.port)
        # Each of them ends only when something is wrong, but for the last.
        await asyncio.wait({watching, *serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for server in servers:
            server.should_exit = True
        for task in (watching, stopping):
            task.cancel()
        await asyncio.gather(*serving)
        (ended, _) = await asyncio.gather(watching, stopping, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended


async def _work(context: Context) -> None:
    """What goes on beside the requests."""
    async with asyncio.TaskGroup() as group:
        group.create_task(context.cache.run(context.client))
        group.create_task(upkeep.run(context))
        group.create_task(garbage.keep())


def make_context(settings: Settings, client: KubeClient, metrics: Metrics) -> Context:
    """The parts of a gateway, wired together."""
    return Context(
        settings=settings,
        client=client,
        cache=Store(metrics, settings.watch_namespaces),
        auth=Reviews(client, settings, metrics),
        audit=Audit(now),
        metrics=metrics,
        anonymous=RateLimit(settings.anonymous_rate, settings.anonymous_burst),
        tickets=Tickets(client, settings.namespace, now),
        usage=UsageRecorder(now()),
        clock=now,
    )


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: there are two of them here, and they stop together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _server(app: Any, settings: Settings, port: int, *, tls: bool) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or "",
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=settings.tls_certificate or None if tls else None,
            ssl_keyfile=settings.tls_key or None if tls else None,
        )
    )


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def main(argv: Sequence[str] | None = None) -> int:
    """The gateway as a program of its own."""
    parser = argparse.ArgumentParser(prog="wireguard-operator gateway", description="Serve the API and the portal.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
