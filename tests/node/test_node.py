"""The image on a real node: what it may do with which rights, and how packets reach it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.node.pods import Namespace, make_pod, make_server_pod
from tools.lab import wait_for
from tools.node import SUBSCRIBER, Node
from tools.node.commands import NODE_NAME

FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
ECHO = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 51820))
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data, peer)
"""
ASK = """
import socket, sys
family, address, port = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, sys.argv[1], int(sys.argv[2])
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(1)
s.sendto(b"hello", (address, port))
print(s.recv(100).decode())
"""


def test_the_node_is_ready_and_runs_the_pinned_kubelet(node: Node) -> None:
    info = node.get("node", NODE_NAME)["status"]["nodeInfo"]
    assert info["kubeletVersion"].startswith("v1.34.")
    assert info["containerRuntimeVersion"].startswith("containerd://")


def test_the_image_runs_without_root_and_without_a_writable_root_file_system(namespace: Namespace, image: str) -> None:
    rights = {
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    namespace.apply(make_pod("version", image, args=["--version"], securityContext=rights))
    wait_for("the pod to end", lambda: namespace.phase("version") in ("Succeeded", "Failed"))
    assert namespace.kubectl("logs", "version").startswith("wireguard-operator ")
    assert namespace.phase("version") == "Succeeded"


def test_a_server_pod_starts_wireguard_go_with_net_admin_alone(namespace: Namespace, image: str) -> None:
    pod = namespace.start(make_server_pod("server", image))
    namespace.run(pod, "wireguard-go", "wg0")
    assert "wg0" in namespace.run(pod, "ls", "/sys/class/net").split()
    assert namespace.run(pod, "ls", "/var/run/wireguard").split() == ["wg0.sock"]


def test_a_server_pod_may_masquerade_with_net_admin_alone(namespace: Namespace, image: str) -> None:
    pod = namespace.start(make_server_pod("server", image))
    namespace.run(pod, "nft", "add table inet t")
    namespace.run(pod, "nft", "add chain inet t out { type nat hook postrouting priority srcnat; }")
    namespace.run(pod, "nft", "add rule inet t out oifname eth0 masquerade")
    assert "masquerade" in namespace.run(pod, "nft", "list ruleset")


def test_a_server_pod_cannot_turn_forwarding_on_by_itself(namespace: Namespace, image: str) -> None:
    pod = namespace.start(make_server_pod("server", image))
    for path in FORWARDING:
        with pytest.raises(RuntimeError, match="Read-only file system"):
            namespace.run(pod, "sh", "-c", f"echo 1 >{path}")


def test_forwarding_is_on_where_kubelet_allows_the_pod_to_ask_for_it(namespace: Namespace, image: str) -> None:
    names = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
    wanted = {"sysctls": [{"name": name, "value": "1"} for name in names]}
    pod = namespace.start(make_server_pod("server", image, securityContext=wanted))
    assert namespace.run(pod, "cat", *FORWARDING).split() == ["1", "1"]


@pytest.mark.parametrize("address", [SUBSCRIBER.node_address, SUBSCRIBER.node_address6])
def test_a_subscriber_reaches_a_pod_by_a_udp_node_port(namespace: Namespace, image: str, address: str) -> None:
    namespace.start(make_pod("echo", image, command=["python", "-c", ECHO]))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "echo"},
        "spec": {
            "type": "NodePort",
            "ipFamilyPolicy": "RequireDualStack",
            "selector": {"app": "echo"},
            "ports": [{"protocol": "UDP", "port": 51820}],
        },
    }
    namespace.apply(service)
    port = namespace.kubectl("get", "service", "echo", "-o", "jsonpath={.spec.ports[0].nodePort}")

    def answer() -> str:
        command = SUBSCRIBER.command(sys.executable, "-c", ASK, address, port)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    assert wait_for("an answer", answer, 20) == "hello"
