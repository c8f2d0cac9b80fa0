"""``wireguard-operator host-enroll``: give this host its identity, by a token or a bundle, without starting anything.

The token comes from a file, stdin or the environment and never from the command line, which every user of the host can
read. An agent that runs takes the new identity by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..domain import host_tokens
from . import controller_port, tls
from .bundle import Bundle
from .names import interface_name
from .store import STATE_DIRECTORY, Store, StoreError

TOKEN_VARIABLE = "WIREGUARD_OPERATOR_HOST_TOKEN"  # noqa: S105 - a name


class EnrolmentError(Exception):
    """The host has no identity; the text says what to do and holds no secret."""


def add_identity_arguments(parser: argparse.ArgumentParser) -> None:
    """How a host comes by its identity, and where that is kept."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--controller", metavar="URL", help="the controller's port for agents: enrol there with a token"
    )
    source.add_argument("--bundle", metavar="FILE", help="what host-bundle printed, - for stdin, instead of enrolling")
    parser.add_argument(
        "--token-file", metavar="FILE", help=f"what host-token printed, - for stdin; default: ${TOKEN_VARIABLE}"
    )
    parser.add_argument("--interface", default="wg0", type=interface_name, help="default: %(default)s")
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help=f"holds keys; default: {STATE_DIRECTORY}/INTERFACE"
    )


def run(args: argparse.Namespace) -> int:
    """Enrol; the exit code."""
    try:
        bundle = take_identity(args, needed=True)
    except (EnrolmentError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    assert bundle is not None  # noqa: S101 - it was needed
    how = f"listens on {bundle.listen}" if bundle.listen else f"dials {bundle.controller}"
    print(f"this host is the agent of {bundle.server}; it {how}")
    return 0


def state_directory(args: argparse.Namespace) -> Path:
    """Where the agent of the interface keeps its files."""
    directory: Path = args.state_dir or STATE_DIRECTORY / args.interface
    return directory


def take_identity(args: argparse.Namespace, *, needed: bool) -> Bundle | None:
    """Enrol, or read the bundle, and keep it; None where neither was asked for. Raises EnrolmentError, StoreError."""
    store = Store(state_directory(args))
    if args.controller:
        token = _token(args.token_file)
        store.make_directory()  # a disk that cannot be written must not cost a token
        bundle = _enrol(args.controller, token)
    elif args.bundle:
        bundle = _read_bundle(args.bundle)
        store.make_directory()
    elif needed:
        raise EnrolmentError(
            "this host has no identity: name the controller's port with --controller URL and give a token, or --bundle"
        )
    else:
        return None
    try:
        tls.server_context(bundle)
    except tls.BundleError as error:
        raise EnrolmentError(str(error)) from None
    store.save_bundle(bundle)
    return bundle


def _enrol(url: str, token: host_tokens.HostToken) -> Bundle:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise EnrolmentError("--controller must be an https URL such as https://agents.example.net:8444")
    try:
        return asyncio.run(controller_port.enrol(url, token))
    except controller_port.PortError as error:
        raise EnrolmentError(str(error)) from None


def _token(file: str | None) -> host_tokens.HostToken:
    try:
        if file is not None:
            text = sys.stdin.read() if file == "-" else Path(file).read_text()
        else:
            text = os.environ.get(TOKEN_VARIABLE, "")
    except (OSError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"the token in {file} cannot be read: {getattr(error, 'strerror', 'not text')}") from None
    if not text.strip():
        raise EnrolmentError(f"there is no token: give --token-file FILE, - for stdin, or set {TOKEN_VARIABLE}")
    try:
        return host_tokens.decode(text)
    except host_tokens.TokenError as error:
        raise EnrolmentError(str(error)) from None


def _read_bundle(file: str) -> Bundle:
    try:
        return Bundle.model_validate_json(sys.stdin.read() if file == "-" else Path(file).read_text())
    except OSError as error:
        raise EnrolmentError(f"the bundle {file} cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError):  # their texts quote the bundle
        raise EnrolmentError("the bundle is not what `wireguard-operator host-bundle` writes, or cut off") from None
