"""The command line: `python -m tools.image build`, `export FILE`, `sbom`.

Results go to stdout, progress to stderr.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.controlplane.paths import say
from tools.image import OPERATOR_IMAGE, ImageError, operator_archive, pause_archive, sbom


def build(arguments: argparse.Namespace) -> None:
    """Build what is not there yet and print the archives' paths."""
    for archive in (operator_archive(), pause_archive()):
        print(archive)


def export(arguments: argparse.Namespace) -> None:
    """Copy the operator's image to a file that `docker load` takes."""
    shutil.copyfile(operator_archive(), arguments.file)
    say(f"{OPERATOR_IMAGE}: {arguments.file}, {arguments.file.stat().st_size / 1e6:.0f} MB")


def materials(arguments: argparse.Namespace) -> None:
    """Print what is in the image, as SPDX."""
    print(json.dumps(sbom.document(operator_archive(), OPERATOR_IMAGE), indent=2))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors people can act on come as one message without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tools.image", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function in {"build": build, "export": export, "sbom": materials}.items():
        text = (function.__doc__ or "").strip()
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=function)
        if function is export:
            sub.add_argument("file", type=Path, metavar="FILE", help="where to")
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except (ImageError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
