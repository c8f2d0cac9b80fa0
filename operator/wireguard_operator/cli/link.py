"""``peer-link``: a link for a subscriber, for people who have a kubeconfig and no token for the gateway.

It makes what the gateway's API makes, a ticket, and prints the link. Nothing but that line goes to stdout, so that it
can be piped into a mail; it is a password for half an hour.
"""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ..api.base import Key
from ..domain.tickets import LIFETIMES, BadLifetime, Scope, lifetime
from ..gateway.portal.tickets import ACCOUNT, Tickets
from ..kube.client import KubeClient
from ..kube.errors import KubeError, NotFound
from ..kube.resources import PEERS, SELF_REVIEWS
from . import cluster
from .cluster import CommandError

URL_VARIABLE = "WIREGUARD_GATEWAY_PUBLIC_URL"
TICKETS_NAMESPACE = "wireguard-system-tickets"
"""The chart's, for a release in wireguard-system."""


def add_peer_link(parser: argparse.ArgumentParser) -> None:
    """``peer-link``: a link to a peer's configuration or status."""
    cluster.add_arguments(parser)
    parser.add_argument("peer", help="name of the WireGuardPeer")
    parser.add_argument(
        "--scope",
        type=Scope,
        choices=(Scope.CONFIG, Scope.STATUS),
        default=Scope.CONFIG,
        help="config shows the configuration, once; status shows the state and no key; default: config",
    )
    usual = ", ".join(
        f"{LIFETIMES[scope].usual.total_seconds():.0f} for {scope}" for scope in (Scope.CONFIG, Scope.STATUS)
    )
    parser.add_argument("--expires-in", type=int, metavar="SECONDS", help=f"default: {usual}")
    parser.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE, ""),
        help=f"how the gateway is reached from outside, e.g. https://vpn.example.net; default: ${URL_VARIABLE}",
    )
    parser.add_argument(
        "--tickets-namespace",
        default=TICKETS_NAMESPACE,
        metavar="NAMESPACE",
        help="where the gateway keeps tickets; default: %(default)s",
    )
    parser.set_defaults(run=lambda args: cluster.in_cluster(args, _peer_link))


async def _peer_link(client: KubeClient, args: argparse.Namespace) -> None:
    url = urlsplit(args.url)
    if url.scheme not in ("http", "https") or not url.netloc:
        raise CommandError(f"--url must be the gateway's, e.g. https://vpn.example.net, not {args.url!r}")
    try:
        life = lifetime(args.scope, args.expires_in)
    except BadLifetime as error:
        raise CommandError(f"--expires-in: {error}") from None
    try:
        peer = await client.get(PEERS, args.namespace, args.peer)
    except NotFound:
        raise CommandError(
            f"there is no WireGuardPeer {args.namespace}/{args.peer}; see kubectl get wgp -n {args.namespace}"
        ) from None
    tickets = Tickets(client, args.tickets_namespace, lambda: datetime.now(UTC))
    try:
        issued = await tickets.issue(
            args.scope, Key(args.namespace, args.peer), peer["metadata"]["uid"], await _own_name(client), life
        )
    except NotFound as error:
        raise CommandError(
            f"{error}; is the gateway installed (gateway.enabled), and are its tickets in namespace"
            f" {args.tickets_namespace}, with ServiceAccount {ACCOUNT}? --tickets-namespace names another"
        ) from None
    print(issued.url(args.url))


async def _own_name(client: KubeClient) -> str:
    """Who runs the command, in the words of the API server; it stands in the audit record of whoever uses the link."""
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await client.create(SELF_REVIEWS, "", review)
    except KubeError:
        return "peer-link"
    return str(answer.get("status", {}).get("userInfo", {}).get("username") or "peer-link")
