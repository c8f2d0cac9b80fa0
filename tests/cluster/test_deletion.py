"""What goes when something is deleted, what waits, and that nothing ever hangs."""

import json

import pytest
from isp import apply_peer, apply_server, condition, patch, peers, reason, status

from tools.lab import Lab, wait_for


@pytest.fixture
def served(lab: Lab) -> Lab:
    """A server with two peers, of which alice is connected."""
    apply_server(lab)
    lab.start_controller()
    lab.join_host()
    for name in ("alice", "bob"):
        apply_peer(lab, name)
        lab.wait_ready("wgp", name)
    lab.connect()
    wait_for("the ping", lab.ping, 15)
    return lab


def exists(lab: Lab, kind: str, name: str) -> bool:
    return bool(lab.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"))


def test_a_server_waits_for_its_peers_which_are_served_until_they_go(served: Lab) -> None:
    served.kubectl("delete", "wgs", "berlin", "--wait=false")
    wait_for("the reason", lambda: reason(served, "berlin", kind="wgs") == "WaitingForPeers")
    said = condition(served, "berlin", kind="wgs")["message"]
    assert f"waits for 2 peers to be deleted or moved: {served.namespace}/alice, {served.namespace}/bob" in said
    assert served.ping()
    apply_peer(served, "late")
    wait_for("the late one to be told", lambda: reason(served, "late") == "ServerDeleting")
    served.kubectl("delete", "wgp", "bob")

    wait_for("the count", lambda: "waits for 1 peer to" in condition(served, "berlin", kind="wgs")["message"])
    assert served.ping()
    served.kubectl("delete", "wgp", "alice")
    wait_for("the server to go", lambda: not exists(served, "wgs", "berlin"))
    wait_for("the ping to stop", lambda: not served.ping(seconds=0.2), 5)
    wait_for("the late one to be told", lambda: reason(served, "late") == "ServerNotFound")
    for kind, name in (("secret", "berlin-wireguard-server"), ("secret", "alice-wireguard")):
        wait_for(f"{kind} {name} to be collected", lambda kind=kind, name=name: not exists(served, kind, name))
    wait_for("the blocks to be collected", lambda: not served.kubectl("get", "wgab", "-o", "name"))


def test_a_server_without_peers_goes_at_once(lab: Lab) -> None:
    apply_server(lab)
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    lab.kubectl("delete", "wgs", "berlin", "--timeout=10s")


def test_deleting_a_peer_leaves_its_last_usage_in_an_event_and_needs_no_controller(served: Lab) -> None:
    assert not served.get("wgp", "alice")["metadata"].get("finalizers")
    wait_for("some traffic", lambda: status(served, "alice").get("traffic", {}).get("rxBytes", 0) > 0)
    served.kubectl("delete", "wgp", "alice", "--timeout=5s")
    wait_for("the event", lambda: "FinalUsage" in served.kubectl("get", "events"))
    events = json.loads(served.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    note = next(e["note"] for e in events if e["reason"] == "FinalUsage")
    assert int(note.split("rxBytes=")[1].split()[0]) > 0
    served.controller.end(kill=True)
    served.kubectl("delete", "wgp", "bob", "--timeout=5s")


def test_a_namespace_goes_while_the_controller_runs_even_if_others_use_its_server(served: Lab) -> None:
    guest = served.add_tenant()
    served.controller.end()
    served.controller = served.new_controller()
    patch(served, "wgs", "berlin", allowedNamespaces={"from": "All"})
    served.start_controller()
    apply_peer(served, "carol", guest, serverRef={"name": "berlin", "namespace": served.namespace})
    served.wait_ready("wgp", "carol", namespace=guest)
    served.plane.kubectl("delete", "namespace", served.namespace, "--timeout=40s")
    wait_for("the tunnels to end", lambda: not served.host.allowed_ips(), 20)
    wait_for("carol to be told", lambda: reason(served, "carol", namespace=guest) == "ServerNotAllowed")


def test_a_namespace_goes_when_the_controller_was_stopped_before(served: Lab) -> None:
    assert served.get("wgs", "berlin")["metadata"]["finalizers"] == ["wireguard.dotmac.io/peers"]
    served.controller.end()
    assert served.ping()
    served.plane.kubectl("delete", "namespace", served.namespace, "--timeout=40s")


def test_a_controller_that_comes_back_holds_the_servers_again(served: Lab) -> None:
    served.controller.end()
    assert not served.get("wgs", "berlin")["metadata"].get("finalizers")
    served.start_controller()
    wait_for("the finalizer", lambda: served.get("wgs", "berlin")["metadata"].get("finalizers"))
    for peer in peers(served):
        assert peer["status"]["phase"] in ("Active", "Inactive")


def test_everything_that_the_operator_makes_is_owned_by_what_it_was_made_for(served: Lab) -> None:
    for kind in ("secrets", "wgab"):
        items = json.loads(served.kubectl("get", kind, "-o", "json"))["items"]
        ours = [i for i in items if i["metadata"]["name"] != "wireguard-operator-ca"]
        assert ours
        for item in ours:
            owner = item["metadata"]["ownerReferences"][0]
            uid = served.get(owner["kind"], owner["name"])["metadata"]["uid"]
            assert owner["uid"] == uid, item["metadata"]["name"]
