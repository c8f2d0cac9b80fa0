"""The command line: `python -m tools.kernel [--systemd] COMMAND...` runs a command under a kernel with WireGuard.

There is no network in there, so what has to be built is built here, before.
"""

import sys

from tools.controlplane import find_or_build
from tools.controlplane.binaries import BuildError
from tools.controlplane.golang import NoGoError
from tools.controlplane.paths import say
from tools.kernel import MachineError, PackageError, find_or_fetch, run_in_machine


def main() -> int:
    """Fetch, build, boot; the command's exit code."""
    systemd = sys.argv[1:2] == ["--systemd"]
    command = sys.argv[2 if systemd else 1 :]
    if not command:
        say("usage: python -m tools.kernel [--systemd] COMMAND [ARGUMENT ...]")
        return 2
    try:
        find_or_build("wireguard-go")
        return run_in_machine(find_or_fetch(), command, systemd=systemd)
    except (BuildError, MachineError, NoGoError, PackageError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
