"""The command line: `python -m tools.kind` runs the product suite on kind, `python -m tools.kind delete` cleans up.

`KEEP=1` leaves the cluster running and says how to go on.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from tools.controlplane import find_or_build
from tools.controlplane.binaries import BuildError
from tools.controlplane.golang import NoGoError
from tools.controlplane.paths import private_directory, runtime_root, say
from tools.kind.engine import EngineError, require_engine
from tools.kind.session import Machine, Session, SessionError
from tools.progress import CommandError

PYTEST = (sys.executable, "-m", "pytest", "-q", "tests/node/product")
_TOOLS = ("kubectl", "helm", "wireguard-go")


def main(argv: Sequence[str] | None = None) -> int:
    """Run or delete; errors people can act on come as one message without a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tools.kind", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["run", "delete"], default="run", help="default: run")
    arguments = parser.parse_args(argv)
    try:
        say(f"Docker engine {require_engine()}")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # clusters are deleted on the way out
        folder = private_directory(private_directory(runtime_root()) / "kind")
        session = Session(Machine(), find_or_build("kind"), folder)
        if arguments.what == "delete":
            session.remove()
            return 0
        for name in _TOOLS:
            find_or_build(name)
        return session.run(PYTEST, keep=bool(os.environ.get("KEEP")))
    except (EngineError, SessionError, CommandError, BuildError, NoGoError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


if __name__ == "__main__":
    sys.exit(main())
