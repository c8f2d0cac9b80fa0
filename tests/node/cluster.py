"""The cluster under test: a kubeconfig and an image, asked by kubectl and helm as an administrator does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tools.controlplane import find_or_build
from tools.lab import REPOSITORY
from tools.suite import Suite

RELEASE, OPERATOR = "wireguard-operator", "wireguard-system"


def image_values(image: str) -> str:
    """The chart's values for an image with a tag, as the README writes them."""
    repository, _, tag = image.rpartition(":")
    return f"image.repository={repository},image.tag={tag}"


class ClusterError(RuntimeError):
    """kubectl or helm failed; the message is what it said."""


class Cluster:
    """Any cluster whose nodes have the image; ``directory`` takes kubectl's cache."""

    def __init__(self, suite: Suite, directory: Path) -> None:
        self.image = suite.image
        self._kubeconfig = str(suite.kubeconfig)
        self._cache = str(directory)

    def environment(self) -> dict[str, str]:
        """An environment in which kubectl and helm know this cluster, and nothing in ~/.kube is read or written."""
        own = {"KUBECONFIG": self._kubeconfig, "KUBECACHEDIR": self._cache, "KUBECTL_KUBERC": "false"}
        return {**os.environ, **own}

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """What kubectl printed. Raises ClusterError."""
        return self._run("kubectl", *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str) -> str:
        """What helm printed, in the operator's namespace. Raises ClusterError."""
        return self._run("helm", *arguments, "--namespace", OPERATOR, timeout=180)

    def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get``, parsed."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "-o", "json", *arguments))
        return found

    def install(self, *settings: str) -> None:
        """Install or upgrade the chart with the image under test."""
        chart = str(REPOSITORY / "charts" / "wireguard-operator")
        image = ("--set", image_values(self.image))
        self.helm("upgrade", "--install", RELEASE, chart, "--create-namespace", *image, *settings)

    def uninstall(self) -> None:
        """Take the release away; kinds and objects stay."""
        self.helm("uninstall", RELEASE)

    def node_address(self) -> str:
        """The first InternalIP (IPv4) of the first node: where node ports are reached from outside."""
        addresses = self.get("nodes")["items"][0]["status"]["addresses"]
        found: list[str] = [a["address"] for a in addresses if a["type"] == "InternalIP" and ":" not in a["address"]]
        return found[0]

    def _run(self, program: str, *arguments: str, stdin: str | None = None, timeout: float) -> str:
        done = subprocess.run(
            [str(find_or_build(program)), *arguments], env=self.environment(), input=stdin,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise ClusterError(f"{program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout
