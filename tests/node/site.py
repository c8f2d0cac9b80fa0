"""What an administrator and a subscriber do around a real node: install with Helm, apply, connect, ping."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

from tools.controlplane import find_or_build
from tools.lab import REPOSITORY, sh, wait_for
from tools.node import SUBSCRIBER, Node, Site

RELEASE, OPERATOR = "wireguard-operator", "wireguard-system"
NODE_PORT = 30820


def helm(node: Node, *arguments: str) -> str:
    """Run helm as the administrator."""
    plane = node.plane
    command = [str(find_or_build("helm")), *arguments, "--namespace", OPERATOR, "--kubeconfig", str(plane.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def install(node: Node, image: str, *settings: str) -> None:
    """Install or upgrade the chart with the image that was built here."""
    repository, _, tag = image.rpartition(":")
    chart = str(REPOSITORY / "charts" / "wireguard-operator")
    values = f"image.repository={repository},image.tag={tag},image.pullPolicy=Never"
    helm(node, "upgrade", "--install", RELEASE, chart, "--create-namespace", "--set", values, *settings)


class Tenant:
    """A namespace with servers and peers."""

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.name = node, name

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.node.plane.kubectl("-n", self.name, *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(kind, name).get("status", {})
        return found

    def apply(self, kind: str, name: str, **spec: Any) -> None:
        body = {"apiVersion": "wireguard.dotmac.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def patch(self, kind: str, name: str, **spec: Any) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def serve(self, name: str = "berlin", node_port: int = NODE_PORT, **spec: Any) -> None:
        """A server in pods that subscribers reach by a port of the node."""
        plane = {"type": "Pod", "service": {"type": "NodePort", "nodePort": node_port}}
        base = {"endpoint": {"host": SUBSCRIBER.node_address}, "networks": ["10.8.0.0/24"], "dataPlane": plane}
        self.apply("WireGuardServer", name, **base | spec)

    def wait_ready(self, kind: str, name: str, seconds: int = 90) -> None:
        self.kubectl("wait", f"{kind}/{name}", "--for=condition=Ready", f"--timeout={seconds}s")

    def pod(self, server: str = "berlin") -> str:
        """The server's present pod; RuntimeError while there is none."""
        found = json.loads(self.kubectl("get", "pod", "-l", f"wireguard.dotmac.io/server={server}", "-o", "json"))
        alive = [p["metadata"]["name"] for p in found["items"] if not p["metadata"].get("deletionTimestamp")]
        if not alive:
            raise RuntimeError("no pod")
        name: str = alive[0]
        return name


class Subscriber:
    """A device outside the cluster, with the ordinary tools."""

    def __init__(self, site: Site = SUBSCRIBER) -> None:
        self._site = site
        self.interface = f"wg{uuid.uuid4().hex[:8]}"
        self._directory = tempfile.TemporaryDirectory(prefix="subscriber-")
        self._path = Path(self._directory.name, f"{self.interface}.conf")

    def connect(self, tenant: Tenant, peer: str) -> None:
        form = 'go-template={{index .data "wg0.conf" | base64decode}}'
        self._path.touch(mode=0o600)
        self._path.write_text(tenant.kubectl("get", "secret", f"{peer}-wireguard", "-o", form))
        env = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": str(find_or_build("wireguard-go"))}
        sh(*self._site.command("wg-quick", "up", str(self._path)), env=env)

    def disconnect(self) -> None:
        # Deleting the link would leave the rules behind that keep the tunnel's addresses from coming in elsewhere.
        subprocess.run(self._site.command("wg-quick", "down", str(self._path)), capture_output=True, check=False)
        self._directory.cleanup()

    def ping(self, address: str = "10.8.0.1", seconds: float = 1.0) -> bool:
        command = self._site.command("ping", "-n", "-c1", f"-W{seconds}", "-I", self.interface, address)
        return subprocess.run(command, capture_output=True, timeout=seconds + 10, check=False).returncode == 0

    def wait_for_ping(self, address: str = "10.8.0.1", seconds: float = 30) -> None:
        wait_for(f"a ping to {address}", lambda: self.ping(address), seconds)
