"""The objects of servers in pods on a real API server: made, kept, explained; no node is needed for that."""

import json
from typing import Any

import pytest
from isp import apply, condition, patch, reason, status

from tools.lab import Lab, wait_for

KINDS = ("deployment", "service", "poddisruptionbudget", "networkpolicy")


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """With a controller that knows an image."""
    lab.controller = lab.new_controller("controller", "--image", "example/operator:1")
    lab.start_controller()
    return lab


def serve(lab: Lab, **spec: Any) -> None:
    apply(lab, "WireGuardServer", "berlin", {"networks": ["10.8.0.0/24"], **spec})


def names(lab: Lab, kind: str) -> set[str]:
    items = json.loads(lab.kubectl("get", kind, "-o", "json"))["items"]
    return {item["metadata"]["name"] for item in items}


def test_a_server_without_more_words_gets_pods_services_a_budget_and_a_policy(lab: Lab) -> None:
    serve(lab)
    wait_for("the Deployment", lambda: names(lab, "deployment") == {"berlin-wireguard"})
    assert names(lab, "service") == {"berlin-wireguard", "berlin-wireguard-agent"}
    assert names(lab, "poddisruptionbudget") == names(lab, "networkpolicy") == {"berlin-wireguard"}
    for kind in KINDS:
        for name in names(lab, kind):
            owner = lab.get(kind, name)["metadata"]["ownerReferences"][0]
            assert owner["uid"] == lab.get("wgs", "berlin")["metadata"]["uid"]
    wait_for("the condition", lambda: reason(lab, "berlin", "Programmed", "wgs") == "EndpointPending")
    assert "no load balancer's address yet" in condition(lab, "berlin", kind="wgs")["message"]


def test_the_endpoint_is_the_load_balancer_s_and_what_the_pod_waits_for_is_told(lab: Lab) -> None:
    serve(lab)
    wait_for("the Service", lambda: "berlin-wireguard" in names(lab, "service"))
    change = {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}}
    lab.kubectl(
        "patch", "service", "berlin-wireguard", "--subresource=status", "--type=merge", "-p", json.dumps(change)
    )
    wait_for("the endpoint", lambda: status(lab, "berlin", "wgs").get("endpoint") == "198.51.100.7:51820")
    wait_for("the pod to be missed", lambda: reason(lab, "berlin", "Programmed", "wgs") == "PodNotReady")
    assert "kubectl -n" in condition(lab, "berlin", "Programmed", "wgs")["message"]


def test_drift_is_repaired_within_seconds_and_changes_reach_the_objects(lab: Lab) -> None:
    serve(lab, endpoint={"host": "vpn.example.net"})
    wait_for("the Deployment", lambda: names(lab, "deployment"))

    def image() -> str:
        found: str = lab.get("deployment", "berlin-wireguard")["spec"]["template"]["spec"]["containers"][0]["image"]
        return found

    lab.kubectl("set", "image", "deployment/berlin-wireguard", "agent=evil/image")
    wait_for("the image to be ours again", lambda: image() == "example/operator:1", 5)
    lab.kubectl("delete", "service", "berlin-wireguard-agent", "--wait=false")
    wait_for("the Service to come back", lambda: "berlin-wireguard-agent" in names(lab, "service"), 5)
    lab.kubectl("delete", "networkpolicy,poddisruptionbudget", "--all")
    wait_for("both to come back", lambda: names(lab, "networkpolicy") and names(lab, "poddisruptionbudget"), 5)
    service = {"type": "NodePort", "nodePort": 30820, "externalTrafficPolicy": "Local", "annotations": {"a/b": "c"}}
    patch(lab, "wgs", "berlin", listenPort=4500, dataPlane={"type": "Pod", "service": service})
    wait_for("the port", lambda: status(lab, "berlin", "wgs")["endpoint"] == "vpn.example.net:30820")
    found = lab.get("service", "berlin-wireguard")
    assert found["spec"]["ports"][0]["port"] == 4500 and found["spec"]["externalTrafficPolicy"] == "Local"
    assert found["metadata"]["annotations"]["a/b"] == "c"


def test_a_restart_applies_nothing_that_is_there(lab: Lab) -> None:
    serve(lab, endpoint={"host": "vpn.example.net"})
    wait_for("the Deployment", lambda: names(lab, "deployment"))
    wait_for("the condition", lambda: reason(lab, "berlin", "Programmed", "wgs") == "PodNotReady")

    def versions() -> dict[str, str]:
        return {
            f"{kind}/{name}": lab.get(kind, name)["metadata"]["resourceVersion"]
            for kind in ("service", "poddisruptionbudget", "networkpolicy") for name in names(lab, kind)
        }  # fmt: skip

    before = versions()
    lab.controller.end(kill=True)
    lab.start_controller()
    patch(lab, "wgs", "berlin", dns=["9.9.9.9"])
    generation = lab.get("wgs", "berlin")["metadata"]["generation"]
    wait_for("the new controller", lambda: status(lab, "berlin", "wgs")["observedGeneration"] == generation)
    assert versions() == before


def test_what_somebody_else_made_under_the_name_is_not_taken_over(lab: Lab) -> None:
    lab.kubectl("create", "service", "clusterip", "berlin-wireguard", "--tcp=80")
    serve(lab, endpoint={"host": "vpn.example.net"})
    wait_for("the conflict to be told", lambda: reason(lab, "berlin", "Programmed", "wgs") == "PodsRefused")
    assert "was not made for this server" in condition(lab, "berlin", "Stalled", "wgs")["message"]
    assert lab.get("service", "berlin-wireguard")["spec"]["ports"][0]["port"] == 80
    lab.kubectl("delete", "service", "berlin-wireguard")
    patch(lab, "wgs", "berlin", dns=["9.9.9.9"])
    wait_for("our own", lambda: lab.get("service", "berlin-wireguard")["spec"]["ports"][0]["protocol"] == "UDP")


def test_everything_goes_with_the_server(lab: Lab) -> None:
    serve(lab)
    wait_for("the Deployment", lambda: names(lab, "deployment"))
    lab.kubectl("delete", "wgs", "berlin", "--timeout=10s")
    for kind in KINDS:
        wait_for(f"every {kind} to be collected", lambda kind=kind: not names(lab, kind), 30)
