"""The node: started beside a control plane, ended with it.

It only starts in the namespaces that `isolation` makes; nothing here cleans up behind kubelet, because nothing of it
survives them.
"""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.controlplane import ControlPlane, find_or_build
from tools.controlplane.paths import private_directory, say
from tools.controlplane.processes import ProcessRecord, end, spawn
from tools.image import PAUSE_IMAGE
from tools.node import commands, network
from tools.node.isolation import CGROUP_VARIABLE, images_from_outside, isolated

BINARIES = ("kube-scheduler", "kubelet", "kube-proxy")
DIRECTORY = Path("/run/wireguard-operator-node")
"""On a tmpfs that is private to the namespaces; short, because socket paths have little room."""
READY_TIMEOUT = 120.0
_TAIL_LINES = 20
_STOP_GRACE = 10.0


class NodeError(RuntimeError):
    """The node did not start; the message says why."""


def plane_for_node(directory: Path = DIRECTORY / "plane") -> ControlPlane:
    """Return a control plane, not started yet, whose API server pods can reach."""
    return ControlPlane(directory, apiserver_flags=commands.APISERVER_FLAGS)


class Node:
    """One node of a running control plane, with images."""

    def __init__(
        self, plane: ControlPlane, images: Sequence[Path] | None = None, directory: Path = DIRECTORY / "node"
    ) -> None:
        """`images` are docker-archives, the pause image among them; without any, those that were built outside."""
        self.plane = plane
        self.directory = directory
        self.socket = directory / "containerd" / "containerd.sock"
        self._images = images_from_outside() if images is None else images
        self._processes: list[ProcessRecord] = []

    def __enter__(self) -> "Node":
        """Start and wait until the node is ready."""
        if not isolated():
            raise NodeError("a node changes the machine's network and mounts; run: python -m tools.node COMMAND")
        started = time.monotonic()
        try:
            network.build()
            self._start()
            self._wait_until_ready(started + READY_TIMEOUT)
        except BaseException:
            self._stop()
            raise
        say(f"{commands.NODE_NAME} is ready after {time.monotonic() - started:.1f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; containers end with the namespaces."""
        self._stop()

    def log(self, process: str) -> Path:
        """Return the log file of a process, e.g. `kubelet`."""
        return self.directory / f"{process}.log"

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get`, parsed."""
        found: dict[str, Any] = json.loads(self.plane.kubectl("get", "-o", "json", *arguments))
        return found

    def run(self, namespace: str, pod: str, *command: str) -> str:
        """Run a command in a pod and return what it printed."""
        return self.plane.kubectl("exec", "-n", namespace, pod, "--", *command)

    def _start(self) -> None:
        binaries = {name: find_or_build(name) for name in BINARIES}
        private_directory(self.directory)
        self._start_containerd()
        for archive in self._images:
            self._import(archive)
        scheduler = self.plane.kubeconfig_for("system:kube-scheduler")
        self._spawn("kube-scheduler", commands.scheduler(binaries["kube-scheduler"], scheduler))
        user = f"system:node:{commands.NODE_NAME}"
        kubelet = commands.kubelet(
            binaries["kubelet"], self.directory, self.plane.kubeconfig_for(user, ["system:nodes"]),
            (network.SUBSCRIBER.node_address, network.SUBSCRIBER.node_address6),
        )  # fmt: skip
        config = commands.kubelet_config(
            self.directory, self.plane.directory / "pki" / "ca.crt", self.socket, os.environ[CGROUP_VARIABLE]
        )
        self._write("kubelet.yaml", config)
        self._spawn("kubelet", kubelet)
        proxy = self._write("kube-proxy.yaml", commands.proxy_config(self.plane.kubeconfig_for("system:kube-proxy")))
        self._spawn("kube-proxy", commands.proxy(binaries["kube-proxy"], proxy))

    def _start_containerd(self) -> None:
        self._write("containerd/cni/10-pods.conflist", commands.cni_config())
        config = self._write("containerd/config.toml", commands.containerd_config(self.socket.parent, PAUSE_IMAGE))
        self._spawn("containerd", ["containerd", "--config", str(config)])
        deadline = time.monotonic() + READY_TIMEOUT
        while subprocess.run(self._ctr("version"), capture_output=True, check=False).returncode != 0:
            self._check(deadline, "containerd does not answer")

    def _import(self, archive: Path) -> None:
        done = subprocess.run(
            self._ctr("--namespace", "k8s.io", "images", "import", str(archive)),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise NodeError(f"{archive} cannot be imported: {done.stderr.strip()}")

    def _wait_until_ready(self, deadline: float) -> None:
        while not self._is_ready():
            self._check(deadline, "the node does not become ready")

    def _is_ready(self) -> bool:
        with suppress(RuntimeError):  # it is not registered yet
            conditions = self.get("node", commands.NODE_NAME)["status"]["conditions"]
            return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        return False

    def _check(self, deadline: float, trouble: str) -> None:
        """Raise when waiting is pointless, or take a breath."""
        dead = [record.name for record in self._processes if not record.alive()]
        if dead or time.monotonic() > deadline:
            names = dead or [record.name for record in self._processes]
            raise NodeError("\n".join([f"{trouble}; ended: {dead or 'none'}", *map(self._tail, names)]))
        time.sleep(0.1)

    def _tail(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"--- the end of {self.log(name)}", *lines])

    def _spawn(self, name: str, command: list[str]) -> None:
        self._processes.append(spawn(name, command, self.log(name)))

    def _stop(self) -> None:
        """kube-proxy and kubelet first: they would report each other's end."""
        while self._processes:
            end(self._processes.pop(), _STOP_GRACE)

    def _ctr(self, *arguments: str) -> list[str]:
        return ["ctr", "--address", str(self.socket), *arguments]

    def _write(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path
