"""Where subscribers and the controller reach a server."""

from typing import Any

import pytest
from objects import server

from wireguard_operator.api.reasons import Reason
from wireguard_operator.domain.conditions import Problem
from wireguard_operator.domain.reach import agent_url, endpoint_of, is_ready, pod_url


def service(type_: str, *ingress: dict[str, str], port: int = 51820, node_port: int | None = None) -> dict[str, Any]:
    ports = {"port": port} | ({"nodePort": node_port} if node_port else {})
    return {
        "spec": {"type": type_, "clusterIP": "10.96.0.7", "ports": [ports]},
        "status": {"loadBalancer": {"ingress": list(ingress)}},
    }


def pod(type_: str, **spec: Any) -> Any:
    return server(**({"endpoint": None, "dataPlane": {"service": {"type": type_}}} | spec))


@pytest.mark.parametrize(
    ("found", "behind", "expected"),
    [
        (server(), None, "vpn.example.net:51820"),
        (server(endpoint={"host": "2001:db8::1", "port": 443}), None, "[2001:db8::1]:443"),
        (pod("LoadBalancer"), service("LoadBalancer", {"ip": "198.51.100.7"}), "198.51.100.7:51820"),
        (pod("LoadBalancer"), service("LoadBalancer", {"hostname": "lb.example.net"}), "lb.example.net:51820"),
        (
            pod("LoadBalancer", endpoint={"host": "v.example"}),
            service("LoadBalancer", {"ip": "198.51.100.7"}),
            "v.example:51820",
        ),
        (
            pod("LoadBalancer", endpoint={"host": "v.example", "port": 443}),
            service("LoadBalancer", port=443),
            "v.example:443",
        ),
        (
            pod("NodePort", endpoint={"host": "node.example"}),
            service("NodePort", node_port=30820),
            "node.example:30820",
        ),
        (
            pod("NodePort", endpoint={"host": "n.example", "port": 9}),
            service("NodePort", node_port=30820),
            "n.example:9",
        ),
        (pod("ClusterIP"), service("ClusterIP"), "10.96.0.7:51820"),
    ],
)
def test_the_endpoint_comes_from_the_specification_else_from_the_service(
    found: Any, behind: Any, expected: str
) -> None:
    assert endpoint_of(found, behind) == expected


@pytest.mark.parametrize(
    ("type_", "words"), [("LoadBalancer", "no load balancer's address yet"), ("NodePort", "set spec.endpoint.host")]
)
def test_where_nothing_tells_the_endpoint_a_problem_does(type_: str, words: str) -> None:
    found = endpoint_of(pod(type_), service(type_, node_port=30820))
    assert isinstance(found, Problem) and found.reason is Reason.ENDPOINT_PENDING and words in found.message


def test_the_agent_is_where_its_host_or_its_service_is() -> None:
    assert agent_url(server(), None) == "https://192.0.2.1:8443"
    assert agent_url(pod("ClusterIP"), {"spec": {"clusterIP": "10.96.0.8"}}) == "https://10.96.0.8:8443"
    assert agent_url(pod("ClusterIP"), {"spec": {"clusterIP": "fd00::8"}}) == "https://[fd00::8]:8443"
    assert agent_url(pod("ClusterIP"), None) is None


def test_a_pod_is_reached_at_its_address_and_ready_when_kubernetes_says_so() -> None:
    assert pod_url({}) is None
    assert pod_url({"status": {"podIP": "10.244.0.9"}}) == "https://10.244.0.9:8443"
    assert pod_url({"status": {"podIP": "fd00::9"}}) == "https://[fd00::9]:8443"
    assert not is_ready({"status": {}})
    assert not is_ready({"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    assert is_ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
