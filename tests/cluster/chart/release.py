"""Helm, by release, and what becomes of a release in the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.chart import CHART
from tools.controlplane import ControlPlane, find_or_build
from tools.lab import sh

CRDS = [f"wireguard{kind}.wireguard.dotmac.io" for kind in ("servers", "peers", "addressblocks")]
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


@dataclass(frozen=True)
class Release:
    """A release of the chart, installed or not. A command that fails raises with what Helm said."""

    plane: ControlPlane
    namespace: str
    name: str = "wireguard-operator"

    @property
    def account(self) -> str:
        """The name of the ServiceAccount, and of all other objects."""
        return self.name if "wireguard-operator" in self.name else f"{self.name}-wireguard-operator"

    @property
    def user(self) -> str:
        """The controller, as the API server knows it."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    def helm(self, command: str, *options: str) -> str:
        """A command of Helm about this release."""
        home = self.plane.directory / "helm"
        env = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        options = (*options, "--namespace", self.namespace, "--kubeconfig", str(self.plane.kubeconfig))
        return sh(str(find_or_build("helm")), command, self.name, *options, env=env)

    def install(self, *options: str, chart: Path = CHART) -> str:
        """helm install; the notes."""
        return self.helm("install", str(chart), *options)

    def upgrade(self, *options: str, chart: Path = CHART) -> str:
        """helm upgrade; the notes."""
        return self.helm("upgrade", str(chart), *options)


def running(plane: ControlPlane, where: str) -> list[dict[str, Any]]:
    """Pods that the namespace has let in; without nodes they wait for ever."""
    found: list[dict[str, Any]] = json.loads(plane.kubectl("get", "pods", "-n", where, "-o", "json"))["items"]
    return found
