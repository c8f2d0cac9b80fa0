"""``config`` and ``qr``: a peer's client configuration, as a file for computers and as a picture for phones.

Both come from the peer's Secret, so that they are what the operator made and nothing is rendered twice. They hold a
private key: files are readable by their owner alone, and pictures do not go to a terminal.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ..domain import qr, secrets
from ..kube.client import KubeClient
from ..kube.errors import NotFound
from ..kube.resources import PEERS, SECRETS
from . import cluster
from .cluster import CommandError
from .output import deliver

TEXT, PNG, SVG = "text", "png", "svg"


def add_config(parser: argparse.ArgumentParser) -> None:
    """``config``: a peer's wg0.conf."""
    _add_arguments(parser)
    parser.set_defaults(run=lambda args: cluster.in_cluster(args, _config))


def add_qr(parser: argparse.ArgumentParser) -> None:
    """``qr``: a peer's wg0.conf for a phone's camera."""
    _add_arguments(parser)
    parser.add_argument(
        "--format", choices=(TEXT, PNG, SVG), help=f"default: by the ending of FILE; {TEXT} without a FILE"
    )
    parser.set_defaults(run=lambda args: cluster.in_cluster(args, _qr))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    cluster.add_arguments(parser)
    parser.add_argument("peer", help="name of the WireGuardPeer")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write there, readable by you alone; default: stdout"
    )


async def _config(client: KubeClient, args: argparse.Namespace) -> None:
    config, _ = await _configuration(client, args)
    deliver(config.encode(), args.output)


async def _qr(client: KubeClient, args: argparse.Namespace) -> None:
    form = args.format or _format_of(args.output)
    to_terminal = args.output is None and sys.stdout.isatty()
    if form != TEXT and to_terminal:
        raise CommandError(f"a terminal does not show {form}: add -o {args.peer}.{form}, or leave --format out")
    config, complete = await _configuration(client, args)
    if not complete:
        raise CommandError(
            f"the device of peer {args.namespace}/{args.peer} keeps its private key to itself, and a QR code without"
            f" it is of no use; `wireguard-operator config {args.peer} -n {args.namespace}` prints the rest:"
            " put the PrivateKey in on the device"
        )
    data = _draw(form, config)
    if to_terminal:
        _check_width(data.decode())
    deliver(data, args.output)


async def _configuration(client: KubeClient, args: argparse.Namespace) -> tuple[str, bool]:
    """The peer's wg0.conf, and whether the private key is in it."""
    try:
        secret = await client.get(SECRETS, args.namespace, secrets.peer_secret_name(args.peer))
    except NotFound:
        secret = {}
    config = secrets.read(secret, secrets.CONFIG)
    if config is None:
        raise CommandError(await _why_none(client, args))
    return config, secrets.read(secret, secrets.PRIVATE_KEY) is not None


async def _why_none(client: KubeClient, args: argparse.Namespace) -> str:
    try:
        peer = await client.get(PEERS, args.namespace, args.peer)
    except NotFound:
        return f"there is no WireGuardPeer {args.namespace}/{args.peer}; see kubectl get wgp -n {args.namespace}"
    beginning = f"WireGuardPeer {args.namespace}/{args.peer} has no configuration yet"
    for condition in peer.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready":
            return f"{beginning}: {condition['reason']}: {condition.get('message', '')}".rstrip(": ")
    return f"{beginning}; the operator makes it: is it running?"


def _format_of(output: Path | None) -> str:
    ending = output.suffix.lower().removeprefix(".") if output is not None else ""
    return ending if ending in (PNG, SVG) else TEXT


def _draw(form: str, config: str) -> bytes:
    try:
        if form == PNG:
            return qr.png(config)
        return qr.svg(config) if form == SVG else qr.text(config).encode()
    except qr.ConfigTooLong as error:
        raise CommandError(f"{error}; or hand out the file that `wireguard-operator config` prints") from None


def _check_width(drawing: str) -> None:
    """A code whose lines wrap cannot be read, and would leave the key on the screen for nothing."""
    needed, there = len(drawing.partition("\n")[0]), os.get_terminal_size(sys.stdout.fileno()).columns
    # A terminal that does not know its size says 0.
    if 0 < there < needed:
        raise CommandError(
            f"the QR code is {needed} characters wide and the terminal {there}: make it wider or its font smaller,"
            " or write a picture with -o FILE.png"
        )
