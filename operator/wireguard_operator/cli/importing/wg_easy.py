"""wg-easy 15 or 14, of which all clients are carried on with their keys, addresses and endpoint.

It keeps more than WireGuard itself does, such as private keys of clients and when they expire, so what is read from it
is not a ``found.Device``.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from pathlib import Path

from ...backends.errors import SystemError
from ...backends.migration import Source, moves
from ...backends.web import Credentials
from ...backends.wg_easy_export import read_all
from ...domain.keys import Hidden, InvalidKeyError, pair_of
from ..cluster import CommandError
from .found import SourceError
from .manifests import Plan, in_order

PASSWORD = "WG_EASY_PASSWORD"  # noqa: S105 - the name of a variable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What says which instance, and of which server its clients will be."""
    parser.add_argument("url", help="https URL of its web page")
    parser.add_argument("--username", default="admin", help="of 15; default: %(default)s")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="certificate of its authority, if that is not public")
    parser.add_argument(
        "--server", default="wg-easy", metavar="NAME", help="of the WireGuardServer; default: %(default)s"
    )
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--server-key", type=Path, metavar="FILE", help="wg0.conf of wg-easy 15, or a file with its PrivateKey alone"
    )
    key.add_argument(
        "--new-server-key", action="store_true", help="do without: every client must import its configuration again"
    )


def read(args: argparse.Namespace) -> Plan:
    """The objects of an instance. Raises CommandError."""
    try:
        source = asyncio.run(read_all(args.url, _credentials(args)))
        found = list(moves(source, args.server, args.namespace, _server_key(args, source)))
    except SystemError as error:
        raise SourceError(str(error)) from None
    except ValueError as error:
        raise SourceError(f"wg-easy has a network that is none: {error}") from None
    remarks = [f"{move.what}: not carried over: {', '.join(move.lost)}" for move in found if move.lost]
    return Plan(in_order(body for move in found for body in move.objects), tuple(remarks))


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
