"""``wireguard-operator controller``: the process around the pipelines."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import kopf

from ..agent import listening
from ..api.base import Key
from ..api.server import WireGuardServer
from ..domain.certificates import expiry_of
from ..kube.client import KubeClient
from ..kube.errors import KubeError
from . import memory
from .agents import authority
from .agents.dial_in import DialIn
from .agents.dialled import Dialled
from .agents.enrolment import Enrolments
from .health import Health
from .lease import Lease
from .metrics.exposition import Exposition
from .metrics.fleet import Fleet
from .metrics.peers import Peers
from .metrics.process import Metrics
from .options import add_arguments, settings_of
from .placer import Placer
from .server.finalizer import Finalizer
from .services import Services
from .settings import Settings
from .supervisor import Supervisor
from .watch import watches
from .watch.cache import Cache
from .watch.sweep import Sweep
from .writes.event_recorder import EventRecorder
from .writes.secret_store import SecretStore
from .writes.status_writer import StatusWriter

logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 10.0
"""The longest that the watches wait for the first look at all peers; 10,000 take three seconds."""


def run(args: argparse.Namespace) -> int:
    """Run the controller until SIGTERM or SIGINT. Returns the exit code: 0, or 1 when it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not args.verbose:
        logging.getLogger("kopf").setLevel(logging.WARNING)
        # It logs bodies of requests, Secrets among them, at its lowest level.
    logging.getLogger("kubernetes").setLevel(logging.WARNING)
    try:
        asyncio.run(_main(settings_of(args)))
    except (KubeError, kopf.LoginError, StartError, LeaseLost, OSError) as error:
        logger.error("%s", error)
        return 1
    except BaseExceptionGroup as group:
        if group.split(LeaseLost)[1] is not None:
            raise
        return 1
    return 0


class StartError(Exception):
    """The controller cannot start; the text says what to do."""


class LeaseLost(Exception):
    """Another replica may be working by now: this one ends at once and leaves everything as it is."""


async def _main(settings: Settings) -> None:
    memory.begin()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        connection = await KubeClient.connect(settings.kubeconfig, observer=metrics.api_request)
        client = await stack.enter_async_context(connection)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        supervisor = Supervisor()
        cache = Cache(supervisor)
        sweep = Sweep(client, cache, settings.watch_namespaces, supervisor.look_for_orphans, metrics)
        if settings.health_port:
            health = Health(lambda: not sweep.is_stalled)
            await health.start(settings.health_port)
            stack.push_async_callback(health.close)
        if settings.metrics_port:
            metrics.registry.register(Fleet(cache, metrics))
            exposition = Exposition(metrics, Peers(cache) if settings.peer_metrics else None)
            await exposition.start(settings.metrics_port)
            stack.push_async_callback(exposition.close)
        lease = Lease(client, settings.namespace, now) if settings.leader_elect else None
        keeping: asyncio.Task[None] | None = None
        if lease is not None:
            if not await _before(lease.acquire(), stop):
                return
            stack.push_async_callback(lease.give_back)
            # From now on: to read many objects takes longer than a Lease holds.
            keeping = asyncio.create_task(lease.keep())
            stack.callback(keeping.cancel)
        metrics.leads(True)
        events = EventRecorder(client, now, metrics)
        statuses = StatusWriter(client, events, now, metrics, settings.statistics_writes)
        ca = await authority.load(client, settings.namespace, now)
        metrics.authority_expires(_expiry(ca, settings.namespace))
        services = Services(
            settings=settings,
            client=client,
            http=http,
            cache=cache,
            secrets=SecretStore(client, cache),
            statuses=statuses,
            events=events,
            placer=Placer(cache, statuses, now),
            authority=ca,
            clock=now,
            metrics=metrics,
            dialled=Dialled(is_open=bool(settings.dial_in)),
        )
        if not await _before(sweep.fill(), stop):
            return
        if keeping is not None and keeping.done():
            raise LeaseLost("the Lease was lost before there was anything to do")
        supervisor.open(services)
        stack.push_async_callback(supervisor.close)
        if settings.dial_in:
            await _open_dial_in(services, supervisor, stack)
        logger.info("serving %d servers and %d peers", len(cache.servers), len(cache.peers))
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(services.statuses.work()) for _ in range(settings.status_workers)]
            work.append(group.create_task(events.work()))
            work.append(group.create_task(memory.keep()))
            work.append(group.create_task(services.placer.run()))
            work.append(group.create_task(sweep.repeat(settings.sweep_interval)))
            if keeping is not None:
                work.append(group.create_task(_end_with(keeping, supervisor)))
            # The watches list everything once more. What is known already comes first: it is what tunnels depend on.
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK_SECONDS):
                    await _before(supervisor.first_look(), stop)
            await watches.run(settings, cache, sweep, stop)
            for task in work:
                task.cancel()
        # Only after an orderly stop: who has lost the Lease must not undo what its successor does.
        await supervisor.close()
        await Finalizer(client).let_go(cache.servers.values())


async def _open_dial_in(services: Services, supervisor: Supervisor, stack: AsyncExitStack) -> None:
    def find(key: Key) -> WireGuardServer | None:
        record = services.cache.servers.get(key)
        return record.server if record is not None and record.server.spec.data_plane.host is not None else None

    def may_dial(key: Key) -> bool:
        server = find(key)
        host = server.spec.data_plane.host if server is not None else None
        return host is not None and host.dial

    try:
        listener = listening.listener(services.settings.dial_in)
    except ValueError as error:
        raise StartError(f"--dial-in: {error}") from None
    life = timedelta(seconds=services.settings.host_certificate_life)
    enrolments = Enrolments(services.client, find, services.authority, services.clock, life)
    services.dialled.connected = supervisor.server_changed
    port = DialIn(services.authority, enrolments, services.dialled, may_dial)
    stack.push_async_callback(port.close)
    await port.start(listener)


async def _before(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether the work was done before the process was told to stop."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    done, _ = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(done, Exception):
        raise done
    return not stop.is_set()


def _expiry(ca: authority.Authority, namespace: str) -> float:
    try:
        return expiry_of(ca.ca.certificate).timestamp()
    except ValueError:
        name = f"{namespace}/{authority.SECRET_NAME}"
        raise StartError(f"tls.crt of Secret {name} is not a certificate in PEM; restore it from a backup") from None


async def _end_with(keeping: asyncio.Task[None], supervisor: Supervisor) -> None:
    await keeping
    await supervisor.close()  # before all else, which may take its time
    raise LeaseLost


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def main(argv: Sequence[str] | None = None) -> int:
    """The controller as a program of its own."""
    parser = argparse.ArgumentParser(prog="wireguard-operator controller", description="Serve the kinds.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
