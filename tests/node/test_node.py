"""The node of `make node` itself: that it is what is pinned, what its kubelet allows, and packets of both families.

These tests know how that node was made; what holds for the product in any cluster is in `product`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.node.cluster import Cluster
from tests.node.pods import FORWARDING, Namespace, make_pod, make_server_pod
from tools.lab import wait_for
from tools.node import SUBSCRIBER, isolated
from tools.node.commands import NODE_NAME

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


@pytest.fixture(autouse=True)
def own_node() -> None:
    if not isolated():
        pytest.fail("these are tests of the node that tools.node makes; run: make node", pytrace=False)


def test_the_node_is_ready_and_runs_the_pinned_kubelet(cluster: Cluster) -> None:
    info = cluster.get("node", NODE_NAME)["status"]["nodeInfo"]
    assert info["kubeletVersion"].startswith("v1.34.")
    assert info["containerRuntimeVersion"].startswith("containerd://")


def test_forwarding_is_on_where_kubelet_allows_the_pod_to_ask_for_it(cluster: Cluster, namespace: Namespace) -> None:
    names = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")
    wanted = {"sysctls": [{"name": name, "value": "1"} for name in names]}
    pod = namespace.start(make_server_pod("server", cluster.image, securityContext=wanted))
    assert namespace.run(pod, "cat", *FORWARDING).split() == ["1", "1"]


@pytest.mark.parametrize("address", [SUBSCRIBER.node_address, SUBSCRIBER.node_address6])
def test_a_subscriber_reaches_a_pod_by_a_udp_node_port(cluster: Cluster, namespace: Namespace, address: str) -> None:
    namespace.start(make_pod("echo", cluster.image, command=["python", "-c", ECHO]))
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
