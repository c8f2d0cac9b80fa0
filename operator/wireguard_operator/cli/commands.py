"""The commands of administrators: ``host-bundle`` and ``crds``. Results go to stdout."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from ..agent.bundle import Bundle
from ..api.crd import KINDS, manifest
from ..api.server import WireGuardServer
from ..domain import secrets
from ..kube.client import KubeClient, Object
from ..kube.errors import NotFound
from ..kube.resources import SECRETS, SERVERS
from . import cluster
from .cluster import CommandError

DEFAULT_AGENT_PORT = 443
POLL_SECONDS = 0.5


def add_host_bundle(parser: argparse.ArgumentParser) -> None:
    """``host-bundle``: what an agent outside the cluster needs to join."""
    cluster.add_arguments(parser)
    parser.add_argument("server", help="name of the WireGuardServer")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the operator; default: 60")
    parser.set_defaults(run=lambda args: cluster.in_cluster(args, _host_bundle))


def add_crds(parser: argparse.ArgumentParser) -> None:
    """``crds``: the CustomResourceDefinitions."""
    parser.add_argument("--output", type=Path, metavar="DIR", help="write one file a kind there; default: stdout")
    parser.set_defaults(run=_crds)


async def _host_bundle(client: KubeClient, args: argparse.Namespace) -> None:
    server = WireGuardServer.model_validate(await client.get(SERVERS, args.namespace, args.server))
    host = server.spec.data_plane.host
    if host is None:
        raise CommandError(f"server {server.key} is of type Pod: its pods get their identity by themselves")
    name = secrets.agent_secret_of(server)
    secret = await _wait_for(client, args.namespace, name, args.timeout)
    identity, ca = secrets.read_certificate(secret), secrets.read(secret, "ca.crt")
    if identity is None or ca is None:
        raise CommandError(f"Secret {name} has no tls.crt, tls.key and ca.crt; the operator makes it: is it running?")
    bundle = Bundle(
        server=str(server.key),
        listen=_listen(host.url),
        certificate=identity.certificate,
        private_key=identity.private_key,
        ca=ca,
    )
    print(bundle.model_dump_json(indent=2))


async def _wait_for(client: KubeClient, namespace: str, name: str, timeout: float) -> Object:  # noqa: ASYNC109
    deadline = time.monotonic() + timeout
    said = False
    while True:
        try:
            return await client.get(SECRETS, namespace, name)
        except NotFound:
            if time.monotonic() > deadline:
                message = f"Secret {namespace}/{name} did not appear in {timeout:.0f} s; is the controller running?"
                raise CommandError(message) from None
        if not said:
            print(f"waiting for the operator to make Secret {namespace}/{name} ...", file=sys.stderr)
            said = True
        await asyncio.sleep(POLL_SECONDS)


def _crds(args: argparse.Namespace) -> int:
    for kind in KINDS:
        text = manifest(kind)
        if args.output is None:
            print(f"---\n{text}", end="")
        else:
            (args.output / f"{kind.crd_name}.yaml").write_text(text)
    return 0


def _listen(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return (
        f"[{host}]:{parts.port or DEFAULT_AGENT_PORT}" if ":" in host else f"{host}:{parts.port or DEFAULT_AGENT_PORT}"
    )
