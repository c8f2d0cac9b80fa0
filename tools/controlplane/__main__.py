"""The command line: `python -m tools.controlplane up`, then `eval "$(python -m tools.controlplane env)"`.

Results go to stdout, progress to stderr, so that the output of `env` and `binaries` can be used by a shell.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.controlplane import state, versions
from tools.controlplane.binaries import BuildError, find_or_build
from tools.controlplane.golang import NoGoError
from tools.controlplane.paths import default_plane_dir, say
from tools.controlplane.plane import ControlPlane, ControlPlaneError
from tools.controlplane.shared import stop_if_unused

_DEFAULT_BINARIES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kubectl",
    "wireguard-go",
    "kstatus",
    "helm",
    "kind",
)


def up(arguments: argparse.Namespace) -> int:
    """Start a plane and say how to use it."""
    plane = ControlPlane(arguments.dir, audit_log=arguments.audit_log)
    started = time.monotonic()
    plane.start(timeout=arguments.timeout)
    say(f"{plane.server} is ready after {time.monotonic() - started:.1f} s; state and logs: {plane.directory}")
    print(_export(plane))
    return 0


def down(arguments: argparse.Namespace) -> int:
    """Stop a plane and remove its directory."""
    if arguments.shared:
        for user in stop_if_unused():
            say(f"still in use by {user.name} (pid {user.pid})")
            return 1
        return 0
    if state.read(arguments.dir) is None:
        say(f"there is no control plane in {arguments.dir}")
        return 0
    started = time.monotonic()
    ControlPlane(arguments.dir).stop()
    say(f"stopped in {time.monotonic() - started:.1f} s")
    return 0


def env(arguments: argparse.Namespace) -> int:
    """Print what a shell evaluates to talk to the plane."""
    plane = ControlPlane(arguments.dir)
    if not plane.ready:
        say(f"no control plane is ready in {arguments.dir}; start it with: python -m tools.controlplane up")
        return 1
    print(_export(plane))
    return 0


def binaries(arguments: argparse.Namespace) -> int:
    """Find or build binaries and print their paths."""
    for name in arguments.names or _DEFAULT_BINARIES:
        print(find_or_build(name), flush=True)
    return 0


def kubectl(arguments: argparse.Namespace) -> int:
    """Become kubectl, as admin of the plane."""
    plane = ControlPlane(arguments.dir)
    rest = arguments.arguments[1:] if arguments.arguments[:1] == ["--"] else arguments.arguments
    if state.read(plane.directory) is None:
        raise ControlPlaneError(f"there is no control plane in {plane.directory}")
    command = plane.kubectl_command(*rest)
    os.execve(command[0], command, plane.kubectl_environment())  # noqa: S606 - no shell is the point: terminal and exit code are kubectl's


def _export(plane: ControlPlane) -> str:
    return f"export KUBECONFIG={shlex.quote(str(plane.kubeconfig))}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.controlplane", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    def with_directory(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        text = "state directory (default: one of this checkout, in $XDG_RUNTIME_DIR or the temp dir)"
        sub.add_argument("--dir", type=Path, default=default_plane_dir(), metavar="D", help=text)
        return sub

    sub = with_directory(command("up", up, "start a control plane, or find the one that runs"))
    sub.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="until ready (default: 120)")
    sub.add_argument("--audit-log", type=Path, metavar="FILE", help="log every request (metadata) to this file")
    sub = with_directory(command("down", down, "stop it and remove its state directory"))
    sub.add_argument("--shared", action="store_true", help="stop the plane of the tests, if no process uses it")
    with_directory(command("env", env, "print `export KUBECONFIG=...` for eval"))
    sub = command("binaries", binaries, "find or build pinned binaries and print their paths")
    known = ", ".join(sorted(versions.binaries()))
    sub.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {known}")
    sub = with_directory(command("kubectl", kubectl, "run kubectl as admin: kubectl -- get namespaces"))
    sub.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGS", help="what kubectl gets")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors people can act on come as one message without a traceback."""
    arguments = _parser().parse_args(argv)
    try:
        result: int = arguments.run(arguments)
    except (ControlPlaneError, BuildError, NoGoError, versions.PinError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return result


if __name__ == "__main__":
    sys.exit(main())
