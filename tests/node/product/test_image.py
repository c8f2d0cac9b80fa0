"""The image in pods: what it may do with which rights."""

from __future__ import annotations

import pytest

from tests.node.cluster import Cluster
from tests.node.pods import FORWARDING, Namespace, make_pod, make_server_pod
from tools.lab import wait_for


def test_the_image_runs_without_root_and_without_a_writable_root_file_system(
    cluster: Cluster, namespace: Namespace
) -> None:
    rights = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    namespace.apply(make_pod("version", cluster.image, args=["--version"], securityContext=rights))
    wait_for("the pod to end", lambda: namespace.phase("version") in ("Succeeded", "Failed"))
    assert namespace.kubectl("logs", "version").startswith("wireguard-operator ")
    assert namespace.phase("version") == "Succeeded"


def test_a_server_pod_starts_wireguard_go_with_net_admin_alone(cluster: Cluster, namespace: Namespace) -> None:
    pod = namespace.start(make_server_pod("server", cluster.image))
    namespace.run(pod, "wireguard-go", "wg0")
    assert "wg0" in namespace.run(pod, "ls", "/sys/class/net").split()
    assert namespace.run(pod, "ls", "/var/run/wireguard").split() == ["wg0.sock"]


def test_a_server_pod_may_masquerade_with_net_admin_alone(cluster: Cluster, namespace: Namespace) -> None:
    pod = namespace.start(make_server_pod("server", cluster.image))
    namespace.run(pod, "nft", "add table inet t")
    namespace.run(pod, "nft", "add chain inet t out { type nat hook postrouting priority srcnat; }")
    namespace.run(pod, "nft", "add rule inet t out oifname eth0 masquerade")
    assert "masquerade" in namespace.run(pod, "nft", "list ruleset")


def test_a_server_pod_cannot_turn_forwarding_on_by_itself(cluster: Cluster, namespace: Namespace) -> None:
    pod = namespace.start(make_server_pod("server", cluster.image))
    for path in FORWARDING:
        with pytest.raises(RuntimeError, match="Read-only file system"):
            namespace.run(pod, "sh", "-c", f"echo 1 >{path}")
