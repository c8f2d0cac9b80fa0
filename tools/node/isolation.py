"""The step into fresh network, mount and pid namespaces, and the one thing that has no namespace: cgroups.

kubelet and its container runtime leave addresses, nft rules, mounts, files and processes behind when they are killed.
In namespaces all of that ends with the first process in there, and that one dies with us, however we die. Cgroups stay,
so pods get a cgroup of ours as their root, and it is removed here: at the end, and before the next start if we were
killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tools.controlplane.paths import REPOSITORY

CGROUP_VARIABLE = "WIREGUARD_OPERATOR_NODE_CGROUP"
"""Set inside; holds the cgroup root of the pods."""
IMAGES_VARIABLE = "WIREGUARD_OPERATOR_NODE_IMAGES"
"""Set inside; the docker-archives for the node, joined like a PATH."""
CGROUPS = Path("/sys/fs/cgroup")
_PREFIX = "wireguard-operator-node-"
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def run_isolated(command: Sequence[str], images: Sequence[Path] = ()) -> int:
    """Run a command in namespaces of its own and return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for leftover in _leftovers():
        remove_cgroups(leftover)
    name = f"{_PREFIX}{os.getpid()}"
    make_cgroups(name)
    enter = [
        "setpriv", "--pdeathsig=KILL",  # with --kill-child: our death is the end of all in there
        "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
        sys.executable, "-m", "tools.node.inside",
    ]  # fmt: skip
    environment = {
        **os.environ,
        CGROUP_VARIABLE: f"/{name}",
        IMAGES_VARIABLE: os.pathsep.join(map(str, images)),
        "PYTHONPATH": str(REPOSITORY),
    }
    try:
        return subprocess.call([*enter, *command], env=environment)
    finally:
        remove_cgroups(name)


def isolated() -> bool:
    """Whether this process runs in there."""
    return CGROUP_VARIABLE in os.environ


def images_from_outside() -> list[Path]:
    """Return the archives that were handed in."""
    return [Path(path) for path in os.environ.get(IMAGES_VARIABLE, "").split(os.pathsep) if path]


def hierarchies(root: Path = CGROUPS) -> list[Path]:
    """Return the roots of all cgroup hierarchies: one for version 2, one a controller for version 1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return [path for path in sorted(root.iterdir()) if path.is_dir() and not path.is_symlink() and _is_cgroup(path)]


def make_cgroups(name: str, root: Path = CGROUPS) -> None:
    """Make a cgroup in every hierarchy; in version 2 it has the controllers that kubelet wants."""
    for hierarchy in hierarchies(root):
        (hierarchy / name).mkdir()
        if (hierarchy / "cgroup.controllers").exists():
            for controller in _CONTROLLERS:
                with suppress(OSError):  # the machine does not have it, and kubelet will say so if it matters
                    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")


def remove_cgroups(name: str, root: Path = CGROUPS, seconds: float = 10.0) -> None:
    """Remove a cgroup and all below it; the kernel needs a moment until killed processes have left theirs."""
    deadline = time.monotonic() + seconds
    for hierarchy in hierarchies(root):
        for path in _deepest_first(hierarchy / name):
            while True:
                try:
                    path.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)


def _deepest_first(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for below in path.iterdir():
            if below.is_dir():
                yield from _deepest_first(below)
        yield path


def _is_cgroup(path: Path) -> bool:
    return (path / "cgroup.procs").exists()


def _leftovers() -> list[str]:
    """Cgroups of earlier runs that were killed: the name says whose they are."""
    found = {path.name for hierarchy in hierarchies() for path in hierarchy.glob(f"{_PREFIX}*")}
    return [name for name in found if not Path("/proc", name.removeprefix(_PREFIX)).exists()]
