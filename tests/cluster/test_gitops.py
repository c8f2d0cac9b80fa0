"""Living with others: appliers that own the specification, and tools that wait for objects."""

import json

import pytest
from isp import API_VERSION, apply_peer, apply_server, patch, reason
from kstatus import kstatus

from tools.controlplane import ControlPlaneError
from tools.lab import Lab, wait_for


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """With a controller, and a server whose host has not joined yet."""
    apply_server(lab)
    lab.start_controller()
    return lab


def test_a_foreign_applier_and_the_operator_never_fight(lab: Lab) -> None:
    lab.join_host()
    metadata = {"name": "alice", "labels": {"app.kubernetes.io/managed-by": "flux"}}
    spec = {
        "serverRef": {"name": "berlin"}, "routes": ["10.20.0.0/16"], "client": {"dns": ["9.9.9.9"]},
        "suspensions": [{"reason": "abuse", "until": "2026-01-01T00:00:00Z"}], "keyGeneration": 1,
    }  # fmt: skip
    body = {"apiVersion": API_VERSION, "kind": "WireGuardPeer", "metadata": metadata, "spec": spec}
    server = lab.get("wgs", "berlin")
    del server["status"]
    server["metadata"] = {"name": "berlin"}
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": [server, body]})
    ssa = ("--server-side", "--field-manager=flux", "--force-conflicts")
    for _ in range(3):
        lab.kubectl("apply", *ssa, "-f", "-", stdin=manifest)
        lab.wait_ready("wgp", "alice")
        lab.wait_ready("wgs", "berlin")
        # kubectl diff ends with 1 when there is a difference, which raises here.
        assert lab.kubectl("diff", *ssa, "-f", "-", stdin=manifest) == ""
    peer = json.loads(lab.kubectl("get", "wgp", "alice", "-o", "json", "--show-managed-fields"))
    ours = [entry for entry in peer["metadata"]["managedFields"] if entry["manager"] != "flux"]
    assert ours and all(entry.get("subresource") == "status" for entry in ours)
    # Without conflicts, too: nobody else owns a field of the specification.
    lab.kubectl("apply", "--server-side", "--field-manager=flux", "-f", "-", stdin=manifest)


def test_kstatus_tells_work_in_progress_success_and_failure(lab: Lab) -> None:
    def told(name: str, kind: str = "wgp") -> str:
        return kstatus([lab.get(kind, name)])[name]

    apply_peer(lab, "alice")
    apply_peer(lab, "orphan", serverRef={"name": "nowhere"})
    apply_peer(lab, "wrong", addresses=["10.99.0.1"])
    apply_peer(lab, "off", enabled=False)
    wait_for("the agent to be missed", lambda: reason(lab, "berlin", kind="wgs") == "AgentUnreachable")
    assert told("berlin", "wgs") == told("alice") == told("orphan") == "InProgress"
    wait_for("wrong to fail", lambda: told("wrong") == "Failed")
    with pytest.raises(ControlPlaneError, match="timed out"):
        lab.kubectl("wait", "wgp/alice", "--for=condition=Ready", "--timeout=1s")
    lab.join_host()
    lab.wait_ready("wgp", "alice")
    lab.wait_ready("wgs", "berlin")
    assert told("berlin", "wgs") == told("alice") == told("off") == "Current"
    patch(lab, "wgp", "alice", suspensions=[{"reason": "abuse"}])
    wait_for("the suspension to be done", lambda: reason(lab, "alice") == "Suspended" and told("alice") == "Current")


def test_events_tell_a_subscriber_s_turns_and_troubles_and_not_the_ordinary_way(lab: Lab) -> None:
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    apply_peer(lab, "alice")
    lab.wait_ready("wgp", "alice")
    for _ in range(2):
        patch(lab, "wgp", "alice", suspensions=[{"reason": "non-payment", "by": "billing"}])
        wait_for("the suspension", lambda: reason(lab, "alice") == "Suspended")
        patch(lab, "wgp", "alice", suspensions=[])
        wait_for("the end of it", lambda: reason(lab, "alice") == "Ready")
    apply_peer(lab, "wrong", addresses=["10.99.0.1"])

    def events() -> list[tuple[str, str, str, int]]:
        items = json.loads(lab.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
        return sorted(
            (e["regarding"]["name"], e["type"], e["reason"], e.get("series", {}).get("count", 1))
            for e in items if e["regarding"]["kind"] == "WireGuardPeer"
        )  # fmt: skip

    wanted = [
        ("alice", "Normal", "Admitted", 2),
        ("alice", "Normal", "Suspended", 2),
        ("wrong", "Warning", "AddressUnusable", 1),
    ]
    wait_for("the events", lambda: events() == wanted)
    described = lab.kubectl("describe", "wgp", "alice")
    assert "non-payment by billing" in described
