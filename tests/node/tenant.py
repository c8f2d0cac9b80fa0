"""A tenant: a namespace with servers and peers, used as an administrator does."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.node.cluster import Cluster
from tools.lab import wait_for

NODE_PORTS = itertools.count(30820)
"""One a tenant, so that the next one does not wait until Kubernetes has taken the former one's Service away."""
_TENANTS = "wireguard-operator-test=tenant"
"""The label of the namespaces that tests make for tenants."""


class Tenant:
    """A namespace with servers and peers."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name, self._node_port = cluster, name, next(NODE_PORTS)

    def create(self, enforce: str) -> None:
        """Make the namespace, with that Pod Security level."""
        self.cluster.kubectl("create", "namespace", self.name)
        level = f"pod-security.kubernetes.io/enforce={enforce}"
        self.cluster.kubectl("label", "namespace", self.name, level, _TENANTS)

    def remove(self) -> None:
        """Delete the namespace with all that serves in it. Kubernetes takes 10 to 20 s for that, pods first.

        That it does go is looked at by ``wait_until_all_are_gone``, once for all of them.
        """
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.cluster.get("-n", self.name, kind, name)

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(kind, name).get("status", {})
        return found

    def apply(self, kind: str, name: str, **spec: Any) -> None:
        body = {"apiVersion": "wireguard.dotmac.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def patch(self, kind: str, name: str, **spec: Any) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def serve(self, name: str = "berlin", replicas: int = 1, policy: str = "Cluster", **spec: Any) -> None:
        """A server in pods that subscribers reach by a port of the node."""
        service = {"type": "NodePort", "nodePort": self._node_port, "externalTrafficPolicy": policy}
        plane: dict[str, Any] = {"type": "Pod", "replicas": replicas, "service": service}
        if replicas > 1:
            # As a provider would: or a pod that starts takes the CPU from the one that serves.
            plane["resources"] = {"requests": {"cpu": "250m"}}
        base = {"endpoint": {"host": self.cluster.node_address()}, "networks": ["10.8.0.0/24"], "dataPlane": plane}
        self.apply("WireGuardServer", name, **base | spec)

    def wait_ready(self, kind: str, name: str, seconds: int = 90) -> None:
        self.kubectl("wait", f"{kind}/{name}", "--for=condition=Ready", f"--timeout={seconds}s")

    def pod(self, server: str = "berlin") -> str:
        """The server's present pod; RuntimeError while there is none."""
        found = self.cluster.get("-n", self.name, "pod", "-l", f"wireguard.dotmac.io/server={server}")
        alive = [p["metadata"]["name"] for p in found["items"] if not p["metadata"].get("deletionTimestamp")]
        if not alive:
            raise RuntimeError("no pod")
        name: str = alive[0]
        return name


def wait_until_all_are_gone(cluster: Cluster) -> None:
    """Wait for the end of every removed tenant's namespace."""
    wait_for(
        "all tenants to be gone", lambda: not cluster.kubectl("get", "namespace", "-l", _TENANTS, "-o", "name"), 60
    )
