"""``wireguard-operator``: one entry point for every part, and kubectl's plugin ``kubectl wireguard``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import __version__
from .agent import enrolment, install
from .agent import main as agent

HOST_PARTS = ("agent", "host-enroll", "host-install")
"""What runs on hosts and needs nothing of the other parts."""

_Part = Callable[[str, str], argparse.ArgumentParser]


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    prog = "kubectl wireguard" if Path(sys.argv[0]).name == "kubectl-wireguard" else "wireguard-operator"
    parser = argparse.ArgumentParser(prog=prog, description="WireGuard for Internet service providers.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parts = parser.add_subparsers(required=True, metavar="COMMAND")

    def part(name: str, text: str) -> argparse.ArgumentParser:
        return parts.add_parser(name, help=text, description=text)

    if not words or words[0] not in HOST_PARTS:
        _add_other_parts(part)
    sub = part("agent", "Serve one WireGuard device on this machine.")
    agent.add_arguments(sub)
    sub.set_defaults(run=agent.run)
    sub = part("host-enroll", "Give this host its identity, with a token or a bundle.")
    enrolment.add_identity_arguments(sub)
    sub.set_defaults(run=enrolment.run)
    sub = part("host-install", "Install the agent of this host as a service of systemd, and start it.")
    install.add_arguments(sub)
    sub.set_defaults(run=install.run)
    return parser


def _add_other_parts(part: _Part) -> None:
    # Imported here: an agent starts in half the time, with two thirds of the memory, without what only these need.
    from .cli import client, commands, link, reference
    from .cli.importing import command as importing
    from .controller import main as controller
    from .controller import options
    from .gateway import main as gateway

    sub = part("controller", "Serve WireGuardServers and WireGuardPeers of a cluster.")
    options.add_arguments(sub)
    sub.set_defaults(run=controller.run)
    sub = part("gateway", "Serve the REST API and the subscribers' portal.")
    gateway.add_arguments(sub)
    sub.set_defaults(run=gateway.run)
    commands.add_host_bundle(part("host-bundle", "Print what the agent of a server of type Host needs to join."))
    commands.add_host_token(part("host-token", "Print a token with which one host can enrol as a server's agent."))
    importing.add_import(part("import", "Print, or apply, objects for a server that runs already."))
    client.add_config(part("config", "Print a peer's configuration, its wg0.conf."))
    client.add_qr(part("qr", "Print a peer's configuration as a QR code."))
    link.add_peer_link(
        part("peer-link", "Print a link with which a subscriber gets a configuration, or sees a tunnel.")
    )
    commands.add_crds(part("crds", "Print the CustomResourceDefinitions."))
    reference.add_reference(part("reference", "Print what every field, condition and reason means, as Markdown."))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one part; the exit code."""
    words = sys.argv[1:] if argv is None else argv
    args = _parser(words).parse_args(words)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
