"""``import wg-easy``: carry the clients of an instance of wg-easy on, with their keys, addresses and endpoint.

Without ``--apply`` or ``-o`` nothing is made: what would be is printed, with Secrets named and not shown. What is there
already is compared and never overwritten, so that the command can be given again after anything.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...backends.errors import SystemError
from ...backends.migration import Move, Source, moves, redacted
from ...backends.web import Credentials
from ...backends.wg_easy_export import read_all
from ...domain.keys import Hidden, InvalidKeyError, pair_of
from ...kube.client import KubeClient
from ...kube.errors import AlreadyExists, KubeError
from ...kube.resources import SECRETS
from .. import cluster
from ..cluster import CommandError
from ..output import deliver
from .manifests import RESOURCES

PASSWORD = "WG_EASY_PASSWORD"  # noqa: S105 - the name of a variable


def add_source(sources: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """``import wg-easy``."""
    text = "wg-easy 15 or 14. Its password is read from the variable WG_EASY_PASSWORD, or asked for."
    easy = sources.add_parser("wg-easy", help="wg-easy 15 or 14", description=f"Import from {text}")
    cluster.add_arguments(easy)
    easy.add_argument("url", help="https URL of its web page")
    easy.add_argument("--username", default="admin", help="of 15; default: %(default)s")
    easy.add_argument("--ca", type=Path, metavar="FILE", help="certificate of its authority, if that is not public")
    easy.add_argument(
        "--server", default="wg-easy", metavar="NAME", help="of the WireGuardServer; default: %(default)s"
    )
    key = easy.add_mutually_exclusive_group()
    key.add_argument(
        "--server-key", type=Path, metavar="FILE", help="wg0.conf of wg-easy 15, or a file with its PrivateKey alone"
    )
    key.add_argument(
        "--new-server-key", action="store_true", help="do without: every client must import its configuration again"
    )
    done = easy.add_mutually_exclusive_group()
    done.add_argument("--apply", action="store_true", help="make the objects; default: print what would be made")
    done.add_argument("-o", "--output", type=Path, metavar="FILE", help="write them there, readable by you alone")
    easy.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    try:
        source = asyncio.run(read_all(args.url, _credentials(args)))
        planned = list(moves(source, args.server, args.namespace, _server_key(args, source)))
        if args.output is not None:
            objects = [body for move in planned for body in move.objects]
            deliver(yaml.safe_dump_all(objects, sort_keys=False).encode(), args.output)
            return 0
    except (SystemError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if args.apply:
        return cluster.in_cluster(args, lambda client, _: _apply(client, planned))
    _print(planned)
    return 0


def _credentials(args: argparse.Namespace) -> Credentials:
    try:
        authority = args.ca.read_text() if args.ca is not None else None
    except OSError as error:
        raise CommandError(f"cannot read {args.ca}: {error.strerror}") from None
    password = os.environ.get(PASSWORD)
    if password is None:
        if not sys.stdin.isatty():
            raise CommandError(f"put the password of wg-easy into the variable {PASSWORD}")
        password = getpass.getpass(f"Password of {args.username} at {args.url}: ")
    return Credentials(args.username, Hidden(password), authority=authority)


def _server_key(args: argparse.Namespace, source: Source) -> Hidden | None:
    if args.new_server_key:
        return None
    key = source.private_key if args.server_key is None else _read_key(args.server_key)
    if key is None:
        raise CommandError(
            "wg-easy 15 does not hand out its private key, without which every client needs a new configuration: give"
            " its /etc/wireguard/wg0.conf by --server-key, or --new-server-key to do without"
        )
    try:
        pair = pair_of(key)
    except InvalidKeyError as error:
        raise CommandError(f"the server's private key is none: {error}") from None
    if pair.public != source.public_key:
        raise CommandError(
            f"the private key belongs to the public key {pair.public}, and wg-easy has {source.public_key}:"
            " it is of another server"
        )
    return key


def _read_key(path: Path) -> Hidden:
    try:
        text = path.read_text()
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
    for line in text.splitlines():
        name, found, value = line.partition("=")
        if found and name.strip() == "PrivateKey":
            return Hidden(value.strip())
    return Hidden(text.strip())


def _print(planned: Sequence[Move]) -> None:
    print(yaml.safe_dump_all([redacted(body) for move in planned for body in move.objects], sort_keys=False), end="")
    for move in planned:
        if move.lost:
            print(f"# {move.what}: not carried over: {', '.join(move.lost)}")
    print(f"# {len(planned) - 1} peers. Nothing was made: add --apply, or -o FILE for a file with the keys.")


async def _apply(client: KubeClient, planned: Sequence[Move]) -> None:
    failed = 0
    for move in planned:
        try:
            outcome = await _make(client, move)
        except KubeError as error:
            outcome, failed = f"failed: {error}", failed + 1
        lost = f"; not carried over: {', '.join(move.lost)}" if move.lost else ""
        print(f"{move.what}: {outcome}{lost}")
        failed += outcome.startswith("left")
    if failed:
        raise CommandError(f"{failed} of {len(planned)} were not made; correct what is said above and try again")


async def _make(client: KubeClient, move: Move) -> str:
    """Make the objects of one; what came of it."""
    outcome = "there already"
    for body in move.objects:
        kind, meta = RESOURCES[body["kind"]], body["metadata"]
        try:
            await client.create(kind, meta["namespace"], body)
            outcome = "made"
        except AlreadyExists:
            there = await client.get(kind, meta["namespace"], meta["name"])
            part = "data" if kind == SECRETS else "spec"
            if not _covers(there.get(part, {}), body[part]):
                return f"left as it is: {body['kind']} {meta['name']} is there with another {part}"
    return outcome


def _covers(there: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; the API server adds defaults."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(_covers(there.get(key), value) for key, value in wanted.items())
    return bool(there == wanted)
