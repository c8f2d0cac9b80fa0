"""The machine and the software that a run was measured on, as far as they matter for the figures."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.controlplane.versions import binaries

_PACKAGES = ("kopf", "kubernetes", "aiohttp", "pydantic", "cryptography", "pyroute2")
_BINARIES = ("kube-apiserver", "etcd", "wireguard-go")

API_SERVER = "one kube-apiserver and one etcd on loopback, etcd without fsync, every request in an audit log"
"""What both sides of a ratio were measured with: etcd on a real disk is slower, which is to the product's favour."""


def describe() -> dict[str, Any]:
    """CPU, memory, kernel and versions."""
    return {
        "cpu": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "api_server": API_SERVER,
        "versions": {
            **{name: pin.version for name, pin in binaries().items() if name in _BINARIES},
            **{name: version(name) for name in _PACKAGES},
            "wireguard-operator": version("wireguard-operator"),
            "wg": _wg(),
        },
    }


def load() -> list[float]:
    """Load averages of 1, 5 and 15 minutes: others on the machine make every figure worse."""
    return [round(value, 2) for value in os.getloadavg()]


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _wg() -> str:
    if shutil.which("wg") is None:
        return "none"
    done = subprocess.run(["wg", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.split(" - ")[0].strip()
