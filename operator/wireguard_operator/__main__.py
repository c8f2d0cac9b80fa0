"""``wireguard-operator``: one entry point for every part."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .agent import main as agent
from .cli import client, commands, imports, reference
from .controller import main as controller


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wireguard-operator", description="WireGuard for Internet service providers.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parts = parser.add_subparsers(required=True, metavar="COMMAND")

    def part(name: str, text: str) -> argparse.ArgumentParser:
        return parts.add_parser(name, help=text, description=text)

    sub = part("controller", "Serve WireGuardServers and WireGuardPeers of a cluster.")
    controller.add_arguments(sub)
    sub.set_defaults(run=controller.run)
    sub = part("agent", "Serve one WireGuard device on this machine.")
    agent.add_arguments(sub)
    sub.set_defaults(run=agent.run)
    commands.add_host_bundle(part("host-bundle", "Print what the agent of a server of type Host needs to join."))
    client.add_config(part("config", "Print a peer's configuration, its wg0.conf."))
    client.add_qr(part("qr", "Print a peer's configuration as a QR code."))
    imports.add_import(part("import", "Make objects of what another system holds."))
    commands.add_crds(part("crds", "Print the CustomResourceDefinitions."))
    reference.add_reference(part("reference", "Print what every field, condition and reason means, as Markdown."))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one part; the exit code."""
    args = _parser().parse_args(argv)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
