"""The commands of administrators: ``host-bundle``, ``host-token`` and ``crds``. Results go to stdout."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..agent.bundle import Bundle
from ..api.crd import KINDS, manifest
from ..api.server import WireGuardServer
from ..domain import certificates, host_tokens, reach, secrets
from ..kube.client import KubeClient, Object
from ..kube.errors import Conflict, NotFound
from ..kube.resources import SECRETS, SERVERS
from . import cluster
from .cluster import CommandError

POLL_SECONDS = 0.5


def add_host_bundle(parser: argparse.ArgumentParser) -> None:
    """``host-bundle``: what an agent outside the cluster needs to join."""
    cluster.add_arguments(parser)
    parser.add_argument("server", help="name of the WireGuardServer")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the operator; default: 60")
    parser.add_argument(
        "--controller",
        metavar="URL",
        help="the controller's port for agents, by which the agent renews its certificate and, behind NAT, is reached",
    )
    parser.set_defaults(run=lambda args: cluster.in_cluster(args, _host_bundle))


def add_host_token(parser: argparse.ArgumentParser) -> None:
    """``host-token``: leave for one host to enrol as a server's agent."""
    cluster.add_arguments(parser)
    parser.add_argument("server", help="name of the WireGuardServer")
    parser.add_argument("--ttl", type=_life, default=timedelta(hours=1), help="e.g. 30m, 2h or 1d; default: 1h")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the operator; default: 60")
    parser.set_defaults(run=lambda args: cluster.in_cluster(args, _host_token))


def add_crds(parser: argparse.ArgumentParser) -> None:
    """``crds``: the CustomResourceDefinitions."""
    parser.add_argument("--output", type=Path, metavar="DIR", help="write one file a kind there; default: stdout")
    parser.set_defaults(run=_crds)


async def _host_bundle(client: KubeClient, args: argparse.Namespace) -> None:
    server, secret = await _host(client, args)
    host, identity, ca = server.spec.data_plane.host, secrets.read_certificate(secret), secrets.read(secret, "ca.crt")
    assert host is not None  # noqa: S101 - _host sees to it
    if identity is None or ca is None:
        name = secrets.agent_secret_of(server)
        raise CommandError(f"Secret {name} has no tls.crt, tls.key and ca.crt; the operator makes it: is it running?")
    if host.url is None and not args.controller:
        raise CommandError(f"the agent of server {server.key} dials the controller: say where with --controller URL")
    bundle = Bundle(
        server=str(server.key),
        listen=reach.listen_of(host.url) if host.url is not None else "",
        certificate=identity.certificate,
        private_key=identity.private_key,
        ca=ca,
        controller=(args.controller or "").rstrip("/"),
    )
    print(bundle.model_dump_json(indent=2))


async def _host_token(client: KubeClient, args: argparse.Namespace) -> None:
    server, secret = await _host(client, args)
    ca = secrets.read(secret, "ca.crt")
    if ca is None:
        raise CommandError(
            f"Secret {secrets.agent_secret_of(server)} has no ca.crt; the operator makes it: is it running?"
        )
    now = datetime.now(UTC)
    await _sweep_tokens(client, server, now)
    token, body = host_tokens.make(server, certificates.fingerprint(ca), now, args.ttl)
    await client.create(SECRETS, args.namespace, body)
    print(token.encode())
    print(
        f"for one host to become the agent of {server.key}, until {now + args.ttl:%Y-%m-%dT%H:%M:%SZ}", file=sys.stderr
    )


async def _sweep_tokens(client: KubeClient, server: WireGuardServer, now: datetime) -> None:
    """Tokens that nobody used in time go when the next one is made, and with their server in any case."""
    labels = f"{host_tokens.LABEL}={server.metadata.uid}"
    expired = [
        body["metadata"]
        async for body in client.list(SECRETS, server.metadata.namespace, labels=labels)
        if host_tokens.is_expired(body, now)
    ]
    for meta in expired:
        with suppress(NotFound, Conflict):
            await client.delete(SECRETS, server.metadata.namespace, meta["name"], uid=meta["uid"])


async def _host(client: KubeClient, args: argparse.Namespace) -> tuple[WireGuardServer, Object]:
    """A server of type Host, and the Secret of its agent, which has the CA."""
    try:
        server = WireGuardServer.model_validate(await client.get(SERVERS, args.namespace, args.server))
    except NotFound:
        raise CommandError(
            f"there is no WireGuardServer {args.namespace}/{args.server}; see kubectl get wgs -n {args.namespace}"
        ) from None
    if server.spec.data_plane.host is None:
        raise CommandError(f"server {server.key} is of type Pod: its pods get their identity by themselves")
    name = secrets.agent_secret_of(server)
    return server, await _wait_for(client, args.namespace, name, args.timeout)


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


def _life(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if unit not in units or not number.isascii() or not number.isdecimal() or not 0 < int(number) < 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 30m, 2h or 1d")
    life = timedelta(**{units[unit]: int(number)})
    if life > host_tokens.MOST_LIFE:
        raise argparse.ArgumentTypeError(
            f"{text} is too long: a token lasts for {host_tokens.MOST_LIFE.days} days at most"
        )
    return life
