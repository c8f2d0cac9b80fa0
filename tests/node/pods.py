"""Pods for tests: a namespace that makes and removes them, and the rights that a server pod asks for."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any

from tests.node.cluster import Cluster
from tools.lab import wait_for

TUN = "/dev/net/tun"
FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
SERVER_RIGHTS: dict[str, Any] = {
    "runAsUser": 0,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
}


class Namespace:
    """One namespace of the API server."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def __enter__(self) -> Namespace:
        self.cluster.kubectl("create", "namespace", self.name)
        # The API server refuses pods before it is there.
        wait_for("the service account", lambda: self.kubectl("get", "serviceaccount", "default"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.name, *arguments, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def start(self, pod: dict[str, Any]) -> str:
        """Apply a pod and wait until it is ready; its name."""
        self.apply(pod)
        name: str = pod["metadata"]["name"]
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        return name

    def phase(self, pod: str) -> str:
        """The pod's phase."""
        return self.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}")

    def run(self, pod: str, *command: str) -> str:
        """Run a command in a pod; what it printed."""
        return self.kubectl("exec", pod, "--", *command)


def make_pod(name: str, image: str, **container: Any) -> dict[str, Any]:
    """A pod of one container, without any special right, that never restarts."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", **container}],
        },
    }


def make_server_pod(name: str, image: str, **spec: Any) -> dict[str, Any]:
    """A pod with all that wireguard-go needs, and nothing to do."""
    mounts = [{"name": "tun", "mountPath": TUN}, {"name": "run", "mountPath": "/var/run/wireguard"}]
    pod = make_pod(name, image, command=["sleep", "infinity"], securityContext=SERVER_RIGHTS, volumeMounts=mounts)
    device = {"name": "tun", "hostPath": {"path": TUN, "type": "CharDevice"}}
    pod["spec"] |= {"volumes": [device, {"name": "run", "emptyDir": {}}], **spec}
    return pod
