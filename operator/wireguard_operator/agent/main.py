"""``wireguard-operator agent``: the process around the service.

The tunnels outlive it. It starts by making the device what the disk says, and only then listens: a controller that
connects finds an agent that knows what it holds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import re
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from . import daemon, driver, forwarding, tls
from .bundle import Bundle, from_directory
from .device import DeviceError
from .duty import Duty
from .firewall.guard import Firewall
from .firewall.port import Port
from .protocol import Role
from .server import make_app
from .service import Service
from .store import Store, StoreError

logger = logging.getLogger(__name__)

STATE_DIRECTORY = Path("/var/lib/wireguard-operator")
RENEWAL_SECONDS = 60.0
"""Between looks at a mounted identity; the kubelet takes a minute or so, too."""
SHUTDOWN_SECONDS = 10.0
"""For requests that are being worked on when the agent is told to stop."""

_INTERFACE_NAME = re.compile(r"[A-Za-z0-9_=+.-]{1,15}")  # what `wg` takes


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
    parser.add_argument("--interface", default="wg0", type=_interface_name, help="default: %(default)s")
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
    identity = Path(args.bundle) if args.bundle and Path(args.bundle).is_dir() else None
    bundle = _load_bundle(args, identity, store)
    context = tls.server_context(bundle)
    if args.bundle and identity is None:
        store.save_bundle(bundle)
    listener = _listener(args.listen or bundle.listen)
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
    tasks: list[asyncio.Task[None]] = []
    try:
        await duty.begin()
        await service.restore(args.boot)
        tasks = [asyncio.create_task(work) for work in (service.supervise(), duty.attend())]
        for task in tasks:
            task.add_done_callback(lambda _: stop.set())
        renewal = asyncio.create_task(_renew(context, bundle, identity))
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=context).start()
        logger.info("agent of %s serves %s on %s", bundle.server, args.interface, listener.getsockname())
        await stop.wait()
        if not any(task.done() for task in tasks):
            await duty.relieved()
        logger.info("stopping; the tunnels %s", "stay" if args.on_exit == "keep" else "go")
        for task in (renewal, *tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        await runner.cleanup()
        await service.close(remove=args.on_exit == "remove")
        await duty.close(remove=args.on_exit == "remove")
        store.close()


async def _renew(context: ssl.SSLContext, bundle: Bundle, identity: Path | None) -> None:
    """Show the new certificate once the kubelet has brought it; a certificate that is no good is passed over."""
    while identity is not None:
        await asyncio.sleep(RENEWAL_SECONDS)
        try:
            found = from_directory(identity, bundle.server, bundle.listen)
            if found.certificate != bundle.certificate:
                tls.use(context, found)
                bundle = found
                logger.info("a new certificate is in use")
        except (OSError, tls.BundleError) as error:
            logger.warning("the identity in %s cannot be used: %s", identity, error)


def _load_bundle(args: argparse.Namespace, identity: Path | None, store: Store) -> Bundle:
    if args.bundle is None:
        bundle = store.load_bundle()
        if bundle is None:
            raise StartError("no bundle from an earlier start; make one with `wireguard-operator host-bundle`")
        return bundle
    try:
        if identity is not None:
            if not args.listen:
                raise StartError("--listen is needed with a directory as --bundle, e.g. --listen [::]:8443")
            return from_directory(identity, args.server, args.listen)
        return Bundle.model_validate_json(sys.stdin.read() if args.bundle == "-" else Path(args.bundle).read_text())
    except OSError as error:
        raise StartError(f"the bundle {args.bundle} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):  # their texts quote the bundle
        raise StartError("the bundle is not what `wireguard-operator host-bundle` writes, or cut off") from None


def _listener(where: str) -> socket.socket:
    try:
        if where.startswith("fd://"):
            listener = socket.socket(fileno=int(where.removeprefix("fd://")))
            listener.set_inheritable(False)  # else wireguard-go would keep the port when the agent is gone
            return listener
        host, _, port = where.rpartition(":")
        bare, family = host.strip("[]"), _family(host)
        # [::] means every address: a pod's may be of either family.
        both = family is socket.AF_INET6 and bare == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((bare, int(port)), family=family, backlog=128, dualstack_ipv6=both)
    except (OSError, ValueError, OverflowError) as error:
        raise StartError(f"cannot listen on {where!r}: {error}") from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _interface_name(text: str) -> str:
    if not _INTERFACE_NAME.fullmatch(text) or text in (".", ".."):
        raise argparse.ArgumentTypeError("an interface's name is 1 to 15 of the characters A-Z a-z 0-9 _ = + . -")
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """The agent as a program of its own."""
    parser = argparse.ArgumentParser(prog="wireguard-operator agent", description="Serve one WireGuard device.")
    add_arguments(parser)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
