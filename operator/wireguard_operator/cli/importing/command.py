"""``wireguard-operator import``: print, or apply, the objects of a server that runs already.

Nothing is changed without ``--apply``. What is printed holds private keys, in Secrets, so it does not go to a terminal;
the summary on stderr holds none.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import yaml

from ...kube.client import KubeClient
from ...kube.errors import AlreadyExists, KubeError
from .. import cluster
from ..cluster import CommandError
from ..output import deliver
from . import live, wg_easy, wg_quick
from .found import Device
from .manifests import RESOURCES, Body, Plan, Target, plan

KINDS = {"WireGuardServer": "server", "WireGuardPeer": "peer", "Secret": "Secret"}
AT_ONCE = 32
"""Objects that are made at the same time."""


def add_import(parser: argparse.ArgumentParser) -> None:
    """``import``: one subcommand a source."""
    sources = parser.add_subparsers(required=True, metavar="SOURCE")
    text = "A wg0.conf of wg-quick."
    sub = sources.add_parser("wg-quick", help=text, description=text)
    sub.add_argument("file", type=Path, help="e.g. /etc/wireguard/wg0.conf")
    _add_target(sub)
    sub.set_defaults(run=lambda args: _run(args, lambda: wg_quick.read_file(args.file)))
    text = "A device that runs on this host, whatever set it up."
    sub = sources.add_parser("live", help=text, description=text)
    sub.add_argument("interface", help="e.g. wg0")
    sub.add_argument("--names", type=Path, metavar="FILE", help="take the peers' names from the comments of a wg0.conf")
    _add_target(sub)
    sub.set_defaults(run=lambda args: _run(args, lambda: _named(live.read(args.interface), args.names)))
    wg_easy.add_source(sources)


def _add_target(parser: argparse.ArgumentParser) -> None:
    cluster.add_arguments(parser)
    parser.add_argument("--server", required=True, metavar="NAME", help="name of the WireGuardServer to be")
    parser.add_argument("--endpoint", required=True, metavar="HOST", help="public name or address that clients know")
    parser.add_argument(
        "--network", action="append", default=[], metavar="CIDR", help="default: the networks of the device's addresses"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="where the controller reaches the agent, e.g. https://192.0.2.1:8443")
    where.add_argument("--dial", action="store_true", help="the agent dials the controller instead")
    parser.add_argument(
        "--apply", action="store_true", help="make the objects in the cluster; what exists is left alone"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write them there, readable by you alone")


def _named(device: Device, names: Path | None) -> Device:
    if names is None:
        return device
    known = {peer.public_key: peer.name for peer in wg_quick.read_file(names).peers}
    return replace(device, peers=tuple(replace(peer, name=known.get(peer.public_key, "")) for peer in device.peers))


def _run(args: argparse.Namespace, read: Callable[[], Device]) -> int:
    try:
        found = plan(read(), _target(args))
        for remark in found.remarks:
            print(f"note: {remark}", file=sys.stderr)
        if args.apply:
            return cluster.in_cluster(args, lambda client, _: _apply(client, found))
        if args.output is None and sys.stdout.isatty():
            raise CommandError("the objects hold private keys: add -o FILE, pipe them to kubectl, or add --apply")
        deliver(yaml.safe_dump_all(found.objects, sort_keys=False, explicit_start=True).encode(), args.output)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{_count(found.objects)}; nothing was changed", file=sys.stderr)
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


async def _apply(client: KubeClient, found: Plan) -> None:
    made: list[Body] = []
    rest = list(found.objects)
    while rest:
        # Keys, then peers, then the server; within a kind the order does not matter.
        kind = rest[0]["kind"]
        batch = [body for body in rest[:AT_ONCE] if body["kind"] == kind]
        done = await asyncio.gather(*(_create(client, body) for body in batch))
        made += [body for body, new in zip(batch, done, strict=True) if new]
        del rest[: len(batch)]
    left = len(found.objects) - len(made)
    print(f"made {_count(made)}; {left} objects were there and are left as they are", file=sys.stderr)


async def _create(client: KubeClient, body: Body) -> bool:
    meta = body["metadata"]
    try:
        await client.create(RESOURCES[body["kind"]], meta["namespace"], body)
    except AlreadyExists:
        return False
    except KubeError as error:
        raise CommandError(f"{body['kind']} {meta['namespace']}/{meta['name']}: {error}") from None
    return True


def _count(objects: Iterable[Body]) -> str:
    kinds = [body["kind"] for body in objects]
    counts = {name: kinds.count(kind) for kind, name in KINDS.items()}
    return ", ".join(f"{count} {name}{'s' if count != 1 else ''}" for name, count in counts.items())
