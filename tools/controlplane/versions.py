"""What is pinned: read from the go.mod files, which are the single source of truth.

Go already needs the versions there to build, and `go mod` keeps the checksums beside them. A second list in
Python would sooner or later say something else. Each `tool` line of a go.mod is one binary; a module without any
is a program of our own. Only what go.mod cannot express (link flags, how to ask a binary for its version) is
written here.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.controlplane.paths import REPOSITORY

TOOLS = REPOSITORY / "tools"
_MODULE_DIRECTORIES = ("kubernetes", "etcd", "wireguard-go", "kstatus", "helm", "kind")
# Packages whose last path element is not the name people know.
_NAMES = {"go.etcd.io/etcd/server/v3": "etcd", "golang.zx2c4.com/wireguard": "wireguard-go"}
# The library that a program of our own is about; it gives the program its version.
_LIBRARIES = {"kstatus": "sigs.k8s.io/cli-utils"}
_BUILD_TIMES = {
    "kube-apiserver": "4-8 min",
    "etcd": "about 1 min",
    "wireguard-go": "a few seconds",
    "kstatus": "less than 1 min",
    "kind": "less than 1 min",
    "helm": "2-4 min",
}


class PinError(RuntimeError):
    """A go.mod does not pin what was asked for."""


@dataclass(frozen=True)
class Binary:
    """One pinned program and how to build it."""

    name: str
    directory: Path
    """The folder whose go.mod pins it; builds run there."""
    package: str
    version: str
    go: str
    """The oldest Go that the module accepts."""
    ldflags: str
    build_time: str
    """What to tell people about a build with empty caches."""
    version_arguments: tuple[str, ...] | None
    """Makes the binary print its version; None: it cannot be trusted from PATH."""

    def accepts(self, version_output: str) -> bool:
        """Decide whether a foreign binary that printed this may stand in for the pinned one.

        Kubernetes promises compatibility within a minor version, so its minor must match. The API server
        works the same on every etcd since 3.5.
        """
        found = parse_version(version_output)
        if found is None or self.version_arguments is None:
            return False
        if self.name == "etcd":
            return (3, 5) <= found[:2] < (4, 0)
        pinned = parse_version(self.version)
        return pinned is not None and found[:2] == pinned[:2]


@dataclass(frozen=True)
class GoMod:
    """The few facts of a go.mod that are needed here."""

    path: str
    go: str
    tools: tuple[str, ...]
    requires: dict[str, str]

    def version_of(self, package: str) -> str:
        """Return the version of the module that contains `package` (the longest matching module path)."""
        modules = [m for m in self.requires if package == m or package.startswith(m + "/")]
        if not modules:
            raise PinError(f"no require line covers {package}")
        return self.requires[max(modules, key=len)]


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Return the first x.y.z in `text`, or None."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def parse_go_mod(text: str) -> GoMod:
    """Read the module, go, tool and require directives, single-line or in a block."""
    path, go, tools, requires, block = "", "", list[str](), dict[str, str](), ""
    for line in text.splitlines():
        words = line.split("//")[0].split()
        if not words:
            continue
        if words == [")"]:
            block = ""
            continue
        if len(words) == 2 and words[1] == "(":
            block = words[0]
            continue
        directive, rest = (block, words) if block else (words[0], words[1:])
        if directive == "module":
            path = rest[0]
        elif directive == "go":
            go = rest[0]
        elif directive == "tool":
            tools.append(rest[0])
        elif directive == "require":
            requires[rest[0]] = rest[1]
    return GoMod(path, go, tuple(tools), requires)


@cache
def binaries() -> dict[str, Binary]:
    """Return every pinned binary by name."""
    found: dict[str, Binary] = {}
    for directory in (TOOLS / name for name in _MODULE_DIRECTORIES):
        module = parse_go_mod((directory / "go.mod").read_text())
        for package in module.tools or (module.path,):
            name = _NAMES.get(package, package.rsplit("/", 1)[-1])
            own = package == module.path
            version = own_version(directory, module, name) if own else module.version_of(package)
            found[name] = Binary(
                name=name,
                directory=directory,
                package=package,
                version=version,
                go=module.go,
                ldflags=_ldflags(package, version, module),
                build_time=_BUILD_TIMES.get(name, "1-3 min"),
                version_arguments=None if own else _version_arguments(name),
            )
    return found


def own_version(directory: Path, module: GoMod, name: str) -> str:
    """Return the version of a program of our own: that of its library, and a digest of all that it is built from.

    The digest makes every change of the sources a version of its own, or the cache would go on with an old build.
    """
    digest = hashlib.sha256()
    for path in sorted([directory / "go.mod", directory / "go.sum", *directory.glob("*.go")]):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return f"{module.version_of(_LIBRARIES[name])}-{digest.hexdigest()[:10]}"


def binary(name: str) -> Binary:
    """Return one pinned binary; the error names those that exist."""
    try:
        return binaries()[name]
    except KeyError:
        raise PinError(f"{name} is not pinned in tools/*/go.mod; there are: {', '.join(sorted(binaries()))}") from None


def _version_arguments(name: str) -> tuple[str, ...] | None:
    if name == "wireguard-go":
        return None  # Debian ships a build of 2022 that is five times slower and prints no usable version
    return {"kubectl": ("version", "--client"), "helm": ("version", "--short")}.get(name, ("--version",))


def _ldflags(package: str, version: str, module: GoMod) -> str:
    """Strip symbols, and tell those programs their version that would otherwise believe to be another one."""
    return " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in _stamps(package, version, module))])


def _stamps(package: str, version: str, module: GoMod) -> list[tuple[str, object]]:
    if package.startswith("k8s.io/kubernetes/"):  # else v0.0.0-master
        major, minor, _ = parse_version(version) or (0, 0, 0)
        stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        return [(f"k8s.io/component-base/version.{name}", value) for name, value in stamps.items()]
    if package.startswith("helm.sh/helm/v3/"):  # else v3.x without a patch, and `helm template` for Kubernetes 1.20
        _, minor, _ = parse_version(module.version_of("k8s.io/client-go")) or (0, 0, 0)
        return [
            ("helm.sh/helm/v3/internal/version.version", version),
            *((f"helm.sh/helm/v3/pkg/{part}.k8sVersionMajor", 1) for part in ("chartutil", "lint/rules")),
            *((f"helm.sh/helm/v3/pkg/{part}.k8sVersionMinor", minor) for part in ("chartutil", "lint/rules")),
        ]
    return []
