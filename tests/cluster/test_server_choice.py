"""Which server carries a peer: tenants, selectors, capacity, draining and moving."""

import json
from collections import Counter

import pytest
from isp import API_VERSION, apply_peer, apply_server, condition, patch, peers, reason, status

from tools.lab import Lab, wait_for


@pytest.fixture
def two(lab: Lab) -> Lab:
    """Two servers on two hosts: berlin in Germany with four places, paris in France with eight."""
    lab.add_host()
    apply_server(lab, "berlin", 0, {"tier": "gold"}, maxPeers=4, location={"country": "DE", "city": "Berlin"})
    apply_server(lab, "paris", 1, {"tier": "gold"}, networks=["10.9.0.0/24"], maxPeers=8, location={"country": "FR"})
    lab.start_controller()
    for name, host in zip(("berlin", "paris"), lab.hosts, strict=True):
        lab.join_host(name, host)
        lab.wait_ready("wgs", name)
    return lab


def where(lab: Lab, name: str) -> str:
    found: str = status(lab, name).get("serverRef", {}).get("name", "")
    return found


def create(lab: Lab, names: list[str], **spec: object) -> None:
    """Many peers in one call, so that they come as fast as the API server takes them."""
    items = [{"apiVersion": API_VERSION, "kind": "WireGuardPeer", "metadata": {"name": n}, "spec": spec} for n in names]
    lab.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def test_max_peers_is_kept_exactly_however_many_come_at_once_and_the_least_utilised_server_is_chosen(two: Lab) -> None:
    names = [f"p{i}" for i in range(20)]
    create(two, names, serverSelector={"matchLabels": {"tier": "gold"}})
    wait_for(
        "twelve to be served", lambda: sum(p.get("status", {}).get("phase") == "Inactive" for p in peers(two)) == 12
    )
    left = wait_for("eight to be told", lambda: [n for n in names if reason(two, n) == "NoServerAvailable"][7:] and
                    [n for n in names if reason(two, n) == "NoServerAvailable"])  # fmt: skip
    assert Counter(where(two, name) for name in names) == {"berlin": 4, "paris": 8, "": 8}
    assert len(two.hosts[0].allowed_ips()) == 4 and len(two.hosts[1].allowed_ips()) == 8
    assert "berlin is full (4 of 4 peers)" in condition(two, left[0])["message"]
    assert condition(two, "berlin", "Available", "wgs")["reason"] == "ServerFull"
    assert status(two, "berlin", "wgs")["utilizationPercent"] == 100
    # Room for one more, and one more it is.
    gone = next(name for name in names if where(two, name) == "berlin")
    two.kubectl("delete", "wgp", gone)
    wait_for("one more to be served", lambda: sum(bool(where(two, name)) for name in names if name != gone) == 12)
    patch(two, "wgs", "paris", maxPeers=15)
    wait_for("all to be served", lambda: all(where(two, name) for name in names if name != gone))


def test_a_peer_that_names_a_full_server_waits_for_room_there(two: Lab) -> None:
    create(two, [f"p{i}" for i in range(5)], serverRef={"name": "berlin"})
    wait_for("one to be told", lambda: Counter(reason(two, f"p{i}") for i in range(5))["ServerFull"] == 1)
    waiting = next(f"p{i}" for i in range(5) if reason(two, f"p{i}") == "ServerFull")
    patch(two, "wgs", "berlin", maxPeers=5)
    two.wait_ready("wgp", waiting)


def test_a_choice_stays_and_draining_moves_only_those_who_left_it_to_us(two: Lab) -> None:
    apply_peer(two, "chosen", serverSelector={"location": {"country": "DE"}})
    apply_peer(two, "named")
    two.wait_ready("wgp", "chosen")
    two.wait_ready("wgp", "named")
    assert where(two, "chosen") == "berlin"
    before = status(two, "chosen")
    # A selector that no longer matches moves nobody, nor does maintenance.
    patch(two, "wgp", "chosen", serverSelector={"location": None, "matchLabels": {"tier": "gold"}})
    patch(two, "wgs", "berlin", maintenance={"enabled": True, "message": "new disks"})
    wait_for("phase Maintenance", lambda: status(two, "berlin", "wgs")["phase"] == "Maintenance")
    assert condition(two, "berlin", "Available", "wgs")["message"] == "new disks"
    apply_peer(two, "later", serverSelector={})
    two.wait_ready("wgp", "later")
    assert (where(two, "later"), where(two, "chosen")) == ("paris", "berlin")
    patch(two, "wgs", "berlin", maintenance={"drain": True})
    wait_for("the move", lambda: where(two, "chosen") == "paris")
    two.wait_ready("wgp", "chosen")
    after = status(two, "chosen")
    assert after["publicKey"] == before["publicKey"] and after["configRevision"] != before["configRevision"]
    wait_for("the old device to be rid of it", lambda: list(two.hosts[0].allowed_ips().values()) == ["10.8.0.3/32"] or
             list(two.hosts[0].allowed_ips().values()) == ["10.8.0.2/32"])  # fmt: skip
    assert before["publicKey"] in two.hosts[1].allowed_ips()
    assert where(two, "named") == "berlin" and status(two, "named")["phase"] == "Inactive"
    wait_for("an event", lambda: "Moved" in two.kubectl("get", "events"))


def test_naming_another_server_moves_the_peer_with_its_keys_and_totals(two: Lab) -> None:
    apply_peer(two, "alice")
    two.wait_ready("wgp", "alice")
    two.connect()
    wait_for("the ping", two.ping, 15)
    wait_for("some traffic", lambda: status(two, "alice").get("traffic", {}).get("rxBytes", 0) > 0)
    before = status(two, "alice")
    patch(two, "wgp", "alice", serverRef={"name": "paris"})
    wait_for("the move", lambda: where(two, "alice") == "paris" and reason(two, "alice") == "Ready")
    two.disconnect()
    two.connect()
    wait_for("the ping through paris", lambda: two.ping("10.9.0.1"), 15)
    after = status(two, "alice")
    assert after["publicKey"] == before["publicKey"]
    assert after["traffic"]["rxBytes"] >= before["traffic"]["rxBytes"]
    assert after["traffic"]["since"] == before["traffic"]["since"]
    wait_for("the old device to be empty", lambda: not two.hosts[0].allowed_ips())


def test_a_restart_finds_the_choice_in_the_status_and_before_that_in_the_block(two: Lab) -> None:
    apply_peer(two, "alice", serverSelector={"location": {"country": "FR"}})
    two.wait_ready("wgp", "alice")
    two.controller.end(kill=True)
    # As after a crash between the block and the status; the selector would lead elsewhere now.
    two.kubectl("patch", "wgp", "alice", "--type=merge", "--subresource=status", "-p", '{"status":{"serverRef":null}}')
    patch(two, "wgp", "alice", serverSelector={"location": {"country": "DE"}})
    two.start_controller()
    wait_for("the binding", lambda: where(two, "alice") == "paris")
    two.wait_ready("wgp", "alice")


def test_other_namespaces_use_a_server_only_where_it_lets_them_and_are_cut_when_it_does_not_any_more(lab: Lab) -> None:
    gold, other = lab.add_tenant(tier="gold"), lab.add_tenant()
    lab.controller = lab.new_controller()
    selector = {"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}}
    apply_server(lab, allowedNamespaces=selector)
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    ref = {"name": "berlin", "namespace": lab.namespace}
    for tenant in (gold, other):
        apply_peer(lab, "alice", tenant, serverRef=ref)
        apply_peer(lab, "any", tenant, serverSelector={})
    lab.wait_ready("wgp", "alice", namespace=gold)
    lab.wait_ready("wgp", "any", namespace=gold)
    wait_for("the refusal", lambda: reason(lab, "alice", namespace=other) == "ServerNotAllowed")
    # A server that is not there looks the same, so that nobody learns what others have.
    apply_peer(lab, "nosy", other, serverRef={"name": "nowhere", "namespace": lab.namespace})
    wait_for("the refusal", lambda: reason(lab, "nosy", namespace=other) == "ServerNotAllowed")
    words = [condition(lab, n, namespace=other)["message"].replace("nowhere", "berlin") for n in ("alice", "nosy")]
    assert words[0] == words[1]
    wait_for("the refusal", lambda: reason(lab, "any", namespace=other) == "NoServerAvailable")
    assert lab.namespace not in condition(lab, "any", namespace=other)["message"]
    assert len(lab.host.allowed_ips()) == 2
    assert "wg0.conf" in lab.kubectl("get", "secret", "alice-wireguard", "-o", "yaml", namespace=gold)
    patch(lab, "wgs", "berlin", allowedNamespaces={"from": "Same", "selector": None})
    wait_for("the cut", lambda: not lab.host.allowed_ips())
    wait_for("the reason", lambda: reason(lab, "alice", namespace=gold) == "ServerNotAllowed")
    patch(lab, "wgs", "berlin", allowedNamespaces={"from": "All"})
    lab.wait_ready("wgp", "alice", namespace=other)


def test_a_namespace_that_loses_its_label_is_cut(lab: Lab) -> None:
    gold = lab.add_tenant(tier="gold")
    lab.controller = lab.new_controller()
    apply_server(lab, allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}})
    lab.start_controller()
    lab.join_host()
    apply_peer(lab, "alice", gold, serverRef={"name": "berlin", "namespace": lab.namespace})
    lab.wait_ready("wgp", "alice", namespace=gold)
    lab.plane.kubectl("label", "namespace", gold, "tier-")
    wait_for("the cut", lambda: not lab.host.allowed_ips(), 20)
    lab.plane.kubectl("label", "namespace", gold, "tier=gold")
    lab.wait_ready("wgp", "alice", namespace=gold)


def test_a_server_that_is_switched_off_takes_its_peers_off_the_device_and_keeps_their_addresses(lab: Lab) -> None:
    apply_server(lab)
    lab.start_controller()
    lab.join_host()
    apply_peer(lab, "alice")
    lab.wait_ready("wgp", "alice")
    before = status(lab, "alice")
    patch(lab, "wgs", "berlin", enabled=False)
    wait_for("the cut", lambda: not lab.host.allowed_ips())
    wait_for("the reason", lambda: reason(lab, "alice") == "ServerDisabled")
    lab.wait_ready("wgs", "berlin")
    assert status(lab, "berlin", "wgs")["phase"] == "Inactive"
    patch(lab, "wgs", "berlin", enabled=True)
    lab.wait_ready("wgp", "alice")
    assert status(lab, "alice")["configRevision"] == before["configRevision"]
