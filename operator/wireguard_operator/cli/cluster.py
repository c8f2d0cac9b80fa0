"""What the commands that talk to a cluster share: their arguments, the connection, and how a failure is told."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from kubernetes.aio.config import ConfigException
from yaml import YAMLError

from ..kube.client import KubeClient
from ..kube.errors import KubeError

Command = Callable[[KubeClient, argparse.Namespace], Awaitable[None]]


class CommandError(Exception):
    """The command cannot do what was asked; the text says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--namespace`` and ``--kubeconfig``."""
    parser.add_argument("-n", "--namespace", default="default", help="default: %(default)s")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl does")


def in_cluster(args: argparse.Namespace, command: Command) -> int:
    """Run the command with a client; the exit code. Failures go to stderr in one sentence."""

    async def work() -> None:
        async with await _connect(args.kubeconfig) as client:
            await command(client, args)

    try:
        asyncio.run(work())
    except (CommandError, KubeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


async def _connect(kubeconfig: str | None) -> KubeClient:
    try:
        return await KubeClient.connect(kubeconfig)
    except (ConfigException, YAMLError, TypeError) as error:  # TypeError: of a file that is empty or a list
        raise CommandError(f"no usable kubeconfig: {' '.join(str(error).split())}") from None
