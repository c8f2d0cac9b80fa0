"""``wireguard-operator reference``: what every field, condition and reason means, for a terminal or a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..api.reference import reference


def add_reference(parser: argparse.ArgumentParser) -> None:
    """``reference``: fields, conditions, reasons and Secrets as Markdown."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there; default: stdout")
    parser.set_defaults(run=_reference)


def _reference(args: argparse.Namespace) -> int:
    text = reference()
    if args.output is None:
        print(text, end="")
    else:
        args.output.write_text(text, encoding="utf-8")
    return 0
