"""Find a pinned binary, or build it: the cheapest source first.

    1. KUBEBUILDER_ASSETS   somebody chose a folder: it is taken at its word
    2. PATH                 when it prints a version that fits the pin
    3. the cache            built earlier, by any checkout of this user
    4. setup-envtest        downloads official builds where the network is open
    5. go build             from the pinned modules: works wherever a Go module proxy does

Test workers ask for the same binary at the same moment, so steps 4 and 5 run under one lock per binary, and
a build appears in the cache by one rename: a file that exists there is complete.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tools.controlplane.golang import find_go
from tools.controlplane.locks import file_lock
from tools.controlplane.paths import cache_root, say
from tools.controlplane.versions import Binary, binary, parse_version
from tools.progress import CommandError, run

_ENVTEST_BINARIES = frozenset({"etcd", "kube-apiserver", "kubectl"})


class BuildError(RuntimeError):
    """Go could not build a binary; the message ends with what it printed."""


def find_or_build(name: str) -> Path:
    """Return the path of the pinned binary `name`, building it the first time."""
    wanted = binary(name)
    cached = cached_path(wanted)
    if found := from_assets(wanted) or from_path(wanted):
        return found
    if cached.exists():
        return cached
    with file_lock(cached.parent / ".lock", f"it gets {name} {wanted.version}"):
        if cached.exists():
            return cached
        if found := from_setup_envtest(wanted):
            return found
        build(wanted, cached)
    return cached


def cached_path(wanted: Binary) -> Path:
    """Return where a build of this very version is kept."""
    return cache_root() / f"{wanted.name}-{wanted.version}" / wanted.name


def from_assets(wanted: Binary) -> Path | None:
    """Look into KUBEBUILDER_ASSETS, the convention of envtest and kubebuilder."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    return _executable(Path(folder).absolute() / wanted.name) if folder else None


def from_path(wanted: Binary) -> Path | None:
    """Look on PATH, and believe only a binary whose version fits."""
    found = shutil.which(wanted.name)
    if found is None or wanted.version_arguments is None:
        return None
    path = Path(found).absolute()
    return path if wanted.accepts(_output_of(path, wanted.version_arguments)) else None


@cache
def _output_of(path: Path, arguments: tuple[str, ...]) -> str:
    """Return what a program prints, asked once per process: every kubectl call comes by here."""
    try:
        asked = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout if asked.returncode == 0 else ""


def from_setup_envtest(wanted: Binary) -> Path | None:
    """Ask setup-envtest, if it is installed; without network it fails and the build goes on."""
    tool = shutil.which("setup-envtest")
    if tool is None or wanted.name not in _ENVTEST_BINARIES:
        return None
    major, minor, _ = parse_version(binary("kube-apiserver").version) or (0, 0, 0)
    try:
        asked = subprocess.run(
            [tool, "use", f"{major}.{minor}.x", "-p", "path"],
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"setup-envtest did not help ({error}); building {wanted.name} instead")
        return None
    found = _executable(Path(asked.stdout.strip()) / wanted.name) if asked.returncode == 0 else None
    if found is None:
        reason = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        say(f"setup-envtest did not help ({reason}); building {wanted.name} instead")
    return found


def build(wanted: Binary, target: Path) -> None:
    """Build with Go into `target`. The caller holds the lock, so leftovers beside it are of dead builders."""
    for leftover in target.parent.glob(".build-*"):
        leftover.unlink(missing_ok=True)
    go = find_go(wanted.directory, wanted.go)
    scratch = target.parent / f".build-{os.getpid()}"
    command = [
        str(go), "build", "-mod=readonly", "-buildvcs=false", "-trimpath",
        "-ldflags", wanted.ldflags, "-o", str(scratch), wanted.package,
    ]  # fmt: skip
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    what = f"building {wanted.name} {wanted.version} (first time only, {wanted.build_time})"
    try:
        run(command, what, wanted.directory, environment=environment)
        scratch.replace(target)
    except CommandError as error:
        raise BuildError(f"go build of {wanted.package}: {error}") from None
    finally:
        scratch.unlink(missing_ok=True)


def _executable(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None
