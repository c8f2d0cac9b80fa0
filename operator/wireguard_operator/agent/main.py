"""``wireguard-operator agent``: the process around the service.

The tunnels outlive it. It starts by making the device what the disk says, and only then listens: a controller that
connects finds an agent that knows what it holds. A host without an address to listen on calls the controller instead.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from . import daemon, driver, forwarding, listening, notify, tls
from .bundle import Bundle, from_directory
from .device import DeviceError
from .dial import Dialer
from .duty import Duty
from .exchange import Exchange
from .firewall.guard import Firewall
from .firewall.port import Port
from .identity import Identity
from .names import interface_name
from .protocol import Role
from .server import make_app
from .service import Service
from .store import STATE_DIRECTORY, Store, StoreError

logger = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 10.0
"""For requests that are being worked on when the agent is told to stop."""


class StartError(Exception):
    """The agent cannot start; the text says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the agent."""
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        help="this agent's identity, - for stdin; kept, so the next start needs none. A directory with tls.crt, tls.key"
        " and ca.crt, as in pods, is read again when it changes",
    )
    parser.add_argument("--server", metavar="NAMESPACE/NAME", default="", help="with a directory: whose agent this is")
    parser.add_argument(
        "--boot", type=Path, metavar="DIR", help="what to serve at the first start, until the controller comes"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="default: what the bundle says; fd://N takes an open listening socket"
    )
    parser.add_argument("--interface", default="wg0", type=interface_name, help="default: %(default)s")
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help=f"holds keys; default: {STATE_DIRECTORY}/INTERFACE"
    )
    parser.add_argument(
        "--driver",
        choices=driver.DRIVERS,
        default=driver.AUTO,
        help="what carries the packets; userspace is wireguard-go, auto the kernel where it can; default: %(default)s",
    )
    parser.add_argument("--wireguard-go", type=Path, metavar="PATH", help="default: the one on PATH")
    parser.add_argument(
        "--uapi-dir",
        type=Path,
        metavar="DIR",
        default=daemon.UAPI_DIRECTORY,
        help="where this wireguard-go makes its sockets, a constant of its build; default: %(default)s",
    )
    parser.add_argument(
        "--role",
        choices=("none", *Role),
        default="none",
        help="in a pod: active serves at once, standby when the controller says so, as with several pods of one server;"
        " default: %(default)s",
    )
    parser.add_argument(
        "--on-exit", choices=("keep", "remove"), default="keep", help="the tunnels, on a clean stop; default: keep"
    )


def run(args: argparse.Namespace) -> int:
    """Run the agent until SIGTERM or SIGINT. Returns the exit code: 0, or 1 when it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # A line for every poll would drown what people look for.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        asyncio.run(_main(args))
    except (StartError, StoreError, DeviceError, tls.BundleError) as error:
        logger.error("%s", error)
        return 1
    return 0


async def _main(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    binary = args.wireguard_go or Path(shutil.which("wireguard-go") or "wireguard-go")
    directory = args.state_dir or STATE_DIRECTORY / args.interface
    device = await driver.make_device(
        args.driver,
        args.interface,
        binary=binary,
        uapi_directory=args.uapi_dir,
        crash_log=directory / "wireguard-go.log",
    )
    store = Store(directory)
    store.prepare()
    mounted = Path(args.bundle) if args.bundle and Path(args.bundle).is_dir() else None
    bundle = _load_bundle(args, mounted, store)
    identity = Identity(bundle, store, mounted)
    if args.bundle and mounted is None:
        store.save_bundle(bundle)
    listener = _listener(args.listen or bundle.listen) if args.listen or bundle.listen else None
    if listener is None and not bundle.controller:
        raise StartError("the bundle names neither where to listen nor a controller to dial; make a new one")
    warnings = forwarding.enable()
    port = Port(args.interface) if args.role != "none" else None
    service = Service(device, store, Firewall(args.interface), warnings, port)
    duty = Duty(service, store, port, Role(args.role) if port is not None else None)
    runner = web.AppRunner(
        make_app(service, duty),
        access_log_format='%a "%r" %s %b bytes %Tf s',
        handle_signals=False,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    remove = args.on_exit == "remove"
    try:
        await duty.begin()
        await service.restore(args.boot)
        work = [service.supervise(), duty.attend(), duty.keep(), identity.keep()]
        if listener is not None:
            await runner.setup()
            await web.SockSite(runner, listener, ssl_context=identity.context).start()
            logger.info("agent of %s serves %s on %s", bundle.server, args.interface, listener.getsockname())
        else:
            work.append(Dialer(identity, Exchange(service, duty)).run())
            logger.info("agent of %s serves %s and dials %s", bundle.server, args.interface, bundle.controller)
        needed = [asyncio.create_task(part) for part in work]
        for task in needed:  # none ends by itself unless something is wrong
            task.add_done_callback(lambda _: stop.set())
        tasks = [*needed, asyncio.create_task(notify.feed_watchdog())]
        notify.tell("READY=1")
        await stop.wait()
        notify.tell("STOPPING=1")
        if not any(task.done() for task in needed):
            await duty.relieved()
        # A part that failed is no reason to end the tunnels: the next process finds them.
        remove = args.on_exit == "remove" and not any(task.done() for task in needed)
        logger.info("stopping; the tunnels %s", "go" if remove else "stay")
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
    finally:
        await runner.cleanup()
        await service.close(remove=remove)
        await duty.close(remove=remove)
        store.close()


def _load_bundle(args: argparse.Namespace, mounted: Path | None, store: Store) -> Bundle:
    if args.bundle is None:
        bundle = store.load_bundle()
        if bundle is None:
            raise StartError(
                "this host has no identity: enrol it with `wireguard-operator host-enroll`, or give --bundle what"
                " `wireguard-operator host-bundle` prints"
            )
        return bundle
    try:
        if mounted is not None:
            if not args.listen:
                raise StartError("--listen is needed with a directory as --bundle, e.g. --listen [::]:8443")
            return from_directory(mounted, args.server, args.listen)
        return Bundle.model_validate_json(sys.stdin.read() if args.bundle == "-" else Path(args.bundle).read_text())
    except OSError as error:
        raise StartError(f"the bundle {args.bundle} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):  # their texts quote the bundle
        raise StartError("the bundle is not what `wireguard-operator host-bundle` writes, or cut off") from None


def _listener(where: str) -> socket.socket:
    try:
        return listening.listener(where)
    except ValueError as error:
        raise StartError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> int:
    """The agent as a program of its own."""
    parser = argparse.ArgumentParser(prog="wireguard-operator agent", description="Serve one WireGuard device.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
