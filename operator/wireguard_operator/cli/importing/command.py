"""``wireguard-operator import``: show, write or make the objects of a server that runs already, whatever the source.

Nothing is made without ``--apply``. The objects hold private keys, in Secrets. They are hidden in what is shown, and
written only to a file, or a pipe, that was asked for; all else that is said goes to stderr and holds none.
"""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import yaml

from ...kube.client import KubeClient
from .. import cluster
from ..cluster import CommandError
from ..output import deliver
from . import live, wg_easy, wg_quick, written
from .apply import bring
from .found import Device
from .manifests import HIDDEN, Body, Plan, Target, plan

STDOUT = Path("-")
KINDS = {"WireGuardServer": "server", "WireGuardPeer": "peer", "Secret": "Secret"}


def add_import(parser: argparse.ArgumentParser) -> None:
    """``import``: one subcommand a source."""
    sources = parser.add_subparsers(required=True, metavar="SOURCE")
    text = "A wg0.conf of wg-quick."
    sub = sources.add_parser("wg-quick", help=text, description=text)
    sub.add_argument("file", type=Path, help="e.g. /etc/wireguard/wg0.conf")
    _add_target(sub)
    _add_result(sub, lambda args: plan(wg_quick.read_file(args.file), _target(args)))
    text = "A device that runs on this host, whatever set it up."
    sub = sources.add_parser("live", help=text, description=text)
    sub.add_argument("interface", help="e.g. wg0")
    sub.add_argument("--names", type=Path, metavar="FILE", help="take the peers' names from the comments of a wg0.conf")
    _add_target(sub)
    _add_result(sub, lambda args: plan(_named(live.read(args.interface), args.names), _target(args)))
    text = f"wg-easy 15 or 14. Its password is read from the variable {wg_easy.PASSWORD}, or asked for."
    sub = sources.add_parser("wg-easy", help="wg-easy 15 or 14.", description=text)
    wg_easy.add_arguments(sub)
    _add_result(sub, wg_easy.read)
    text = "A file that `import -o` has written, e.g. on a host that has no way to the cluster."
    sub = sources.add_parser("file", help=text, description=text)
    sub.add_argument("file", type=Path, help="e.g. berlin.yaml; the namespace is the one that stands in it")
    _add_result(sub, lambda args: written.read(args.file))


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", required=True, metavar="NAME", help="name of the WireGuardServer to be")
    parser.add_argument("--endpoint", required=True, metavar="HOST", help="public name or address that clients know")
    parser.add_argument(
        "--network", action="append", default=[], metavar="CIDR", help="default: the networks of the device's addresses"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="where the controller reaches the agent, e.g. https://192.0.2.1:8443")
    where.add_argument("--dial", action="store_true", help="the agent dials the controller instead")


def _add_result(parser: argparse.ArgumentParser, read: Callable[[argparse.Namespace], Plan]) -> None:
    """What is done with the objects, which is the same for all sources."""
    cluster.add_arguments(parser)
    done = parser.add_mutually_exclusive_group()
    done.add_argument(
        "--apply",
        action="store_true",
        help="make the objects in the cluster; what is there is compared and left as it is; default: show them",
    )
    done.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write them there with the keys, readable by you alone; - is stdout, for a pipe",
    )
    parser.set_defaults(run=lambda args: _run(args, read))


def _named(device: Device, names: Path | None) -> Device:
    if names is None:
        return device
    known = {peer.public_key: peer.name for peer in wg_quick.read_file(names).peers}
    return replace(device, peers=tuple(replace(peer, name=known.get(peer.public_key, "")) for peer in device.peers))


def _run(args: argparse.Namespace, read: Callable[[argparse.Namespace], Plan]) -> int:
    try:
        found = read(args)
        for remark in found.remarks:
            print(f"note: {remark}", file=sys.stderr)
        if args.apply:
            return cluster.in_cluster(args, lambda client, _: _apply(client, found))
        _hand_out(found.objects, args.output)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _target(args: argparse.Namespace) -> Target:
    for network in args.network:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise CommandError(f"--network {network}: {error}; it must be like 10.8.0.0/24") from None
    host = {"url": args.url} if args.url else {"dial": True}
    plane = (("type", "Host"), ("host", host))
    return Target(args.server, args.namespace, args.endpoint, tuple(args.network), plane)


def _hand_out(objects: Iterable[Body], output: Path | None) -> None:
    shown = list(objects) if output is not None else [_redacted(body) for body in objects]
    if output == STDOUT and sys.stdout.isatty():
        raise CommandError("the objects hold private keys: name a file instead, or pipe them, e.g. to kubectl")
    data = yaml.safe_dump_all(shown, sort_keys=False, explicit_start=True).encode()
    deliver(data, None if output == STDOUT else output)
    hint = ": add --apply, or -o FILE for a file with the keys" if output is None else ""
    print(f"{_count(shown)}; nothing was made in the cluster{hint}", file=sys.stderr)


def _redacted(body: Body) -> Body:
    """An object for people's eyes: of a Secret the names of what is in it."""
    return {**body, "data": dict.fromkeys(body["data"], HIDDEN)} if body["kind"] == "Secret" else body


async def _apply(client: KubeClient, found: Plan) -> None:
    outcome = await bring(client, found.objects)
    for problem in outcome.problems:
        print(problem, file=sys.stderr)
    print(f"made {_count(outcome.made)}; there already: {outcome.there}", file=sys.stderr)
    total = f"{len(found.objects)} objects"
    if outcome.untried:
        raise CommandError(f"the API server does not answer; not tried: {outcome.untried} of {total}; try again later")
    if outcome.problems:
        raise CommandError(
            f"not there as it should be: {len(outcome.problems)} of {total}; correct what is said above and try again"
        )


def _count(objects: Iterable[Body]) -> str:
    kinds = [body["kind"] for body in objects]
    counts = {name: kinds.count(kind) for kind, name in KINDS.items()}
    return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for name, count in counts.items())
