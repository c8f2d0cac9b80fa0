"""The command line: `python -m tools.node COMMAND...` runs a command beside a cluster of one node.

There is no way to the package indexes from inside, so what has to be built is built here, before.
"""

import sys

from tools.controlplane import find_or_build
from tools.controlplane.binaries import BuildError
from tools.controlplane.golang import NoGoError
from tools.controlplane.paths import say
from tools.controlplane.plane import BINARIES as PLANE_BINARIES
from tools.image import ImageError, operator_archive, pause_archive
from tools.node.isolation import run_isolated
from tools.node.node import BINARIES


def main() -> int:
    """Build and enter; the command's exit code."""
    if len(sys.argv) < 2:
        say("usage: python -m tools.node COMMAND [ARGUMENT ...]")
        return 2
    try:
        for name in (*PLANE_BINARIES, *BINARIES, "helm", "wireguard-go"):
            find_or_build(name)
        return run_isolated(sys.argv[1:], [pause_archive(), operator_archive()])
    except (BuildError, ImageError, NoGoError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
