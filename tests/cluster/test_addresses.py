"""Addresses as people ask for them: static, reserved, routed, in pools that grow, shrink, fill up and empty again."""

import json

import pytest
from isp import apply_peer, apply_server, condition, patch, reason, status

from tools.lab import Lab, sh, wait_for


@pytest.fixture
def lab(lab: Lab) -> Lab:
    """With a controller that lets addresses rest for a few seconds only, and a host that has joined."""
    lab.controller = lab.new_controller("controller", "--cool-down", "4")
    apply_server(lab, networks=["10.8.0.0/29"])
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    return lab


def addresses(lab: Lab, name: str) -> list[str]:
    found: list[str] = status(lab, name).get("addresses", [])
    return found


def test_static_addresses_are_kept_for_those_who_name_them_and_troubles_are_told(lab: Lab) -> None:
    lab.controller.end()
    # By age, b would be given the address that c names. Ages are told in whole seconds.
    for name, spec in {"b": {}, "c": {"addresses": ["10.8.0.2"]}, "d": {"addresses": ["10.8.0.2"]}}.items():
        apply_peer(lab, name, **spec)
        _wait_to_be_older(lab, name)
    apply_peer(lab, "outside", addresses=["10.9.0.2"])
    apply_peer(lab, "family", addresses=["fd00::2"])
    apply_peer(lab, "server", addresses=["10.8.0.1"])
    lab.start_controller()
    lab.wait_ready("wgp", "b")
    lab.wait_ready("wgp", "c")
    assert (addresses(lab, "b"), addresses(lab, "c")) == (["10.8.0.3/32"], ["10.8.0.2/32"])
    wait_for("d to be told", lambda: reason(lab, "d") == "AddressTaken")
    assert "10.8.0.2 is held by" in condition(lab, "d", "AddressAllocated")["message"]
    for name, words in {
        "outside": "not in the server's network",
        "family": "no such network",
        "server": "reserved",
    }.items():
        wait_for(f"{name} to be told", lambda name=name: reason(lab, name) == "AddressUnusable")
        assert words in condition(lab, name)["message"]
    # When the holder goes and its rest is over, the one that waits comes up by itself.
    lab.kubectl("delete", "wgp", "c")
    wait_for("the rest to be told", lambda: "cools down until" in condition(lab, "d")["message"])
    lab.wait_ready("wgp", "d", 30)
    assert addresses(lab, "d") == ["10.8.0.2/32"]


def test_a_peer_moves_to_the_address_that_it_names_and_its_tunnel_with_it(lab: Lab) -> None:
    apply_peer(lab, "alice")
    lab.wait_ready("wgp", "alice")
    revision = status(lab, "alice")["configRevision"]
    patch(lab, "wgp", "alice", addresses=["10.8.0.6"])
    wait_for("the address", lambda: addresses(lab, "alice") == ["10.8.0.6/32"])
    lab.wait_ready("wgp", "alice")
    assert list(lab.host.allowed_ips().values()) == ["10.8.0.6/32"]
    assert status(lab, "alice")["configRevision"] != revision
    lab.connect()
    wait_for("the ping", lab.ping, 15)


def test_nothing_is_given_out_of_reserved_ranges_and_what_is_held_there_stays(lab: Lab) -> None:
    apply_peer(lab, "early")
    lab.wait_ready("wgp", "early")
    patch(lab, "wgs", "berlin", reserved=["10.8.0.0/30"])
    wait_for("the capacity", lambda: status(lab, "berlin", "wgs")["capacity"] == 3)
    apply_peer(lab, "late")
    lab.wait_ready("wgp", "late")
    assert (addresses(lab, "early"), addresses(lab, "late")) == (["10.8.0.2/32"], ["10.8.0.4/32"])


def test_a_full_pool_tells_and_serves_those_who_wait_when_it_grows_or_somebody_goes(lab: Lab) -> None:
    for name in "abcdefg":
        apply_peer(lab, name)
    waiting = wait_for("two to be told", lambda: [n for n in "abcdefg" if reason(lab, n) == "PoolExhausted"][1:] and
                       [n for n in "abcdefg" if reason(lab, n) == "PoolExhausted"])  # fmt: skip
    assert len(waiting) == 2
    assert condition(lab, waiting[0], "Stalled")["status"] == "True"
    assert condition(lab, "berlin", "Available", "wgs")["reason"] in ("PoolExhausted", "ServerFull")
    served = next(name for name in "abcdefg" if name not in waiting)
    lab.kubectl("delete", "wgp", served)
    wait_for("the first, after the cool-down", lambda: sum(bool(addresses(lab, n)) for n in waiting) == 1, 30)
    patch(lab, "wgs", "berlin", networks=["10.8.0.0/28"])
    for name in waiting:
        lab.wait_ready("wgp", name)
    lab.wait_ready("wgs", "berlin")
    assert status(lab, "berlin", "wgs")["networks"] == ["10.8.0.0/28"]


def test_networks_that_leave_out_held_addresses_are_refused_and_come_into_force_when_those_are_free(lab: Lab) -> None:
    apply_peer(lab, "low")
    apply_peer(lab, "high", addresses=["10.8.0.6"])
    lab.wait_ready("wgp", "high")
    lab.wait_ready("wgp", "low")
    patch(lab, "wgs", "berlin", networks=["10.8.0.0/30", "fd00:8::/64"])
    wait_for("the refusal", lambda: reason(lab, "berlin", "Accepted", "wgs") == "NetworkInUse")
    said = condition(lab, "berlin", "Accepted", "wgs")["message"]
    assert "10.8.0.6 (" in said and "/high)" in said and "10.8.0.0/29 stays in force" in said
    assert status(lab, "berlin", "wgs")["networks"] == ["10.8.0.0/29"]
    assert addresses(lab, "low") == ["10.8.0.2/32"] and len(lab.host.allowed_ips()) == 2
    # A controller that starts anew still knows what was in force.
    lab.controller.end(kill=True)
    lab.start_controller()
    patch(lab, "wgp", "low", description="seen by the new controller")
    lab.wait_ready("wgp", "low")
    assert reason(lab, "berlin", "Accepted", "wgs") == "NetworkInUse"
    lab.kubectl("delete", "wgp", "high")
    wait_for("the new networks", lambda: status(lab, "berlin", "wgs")["networks"] == ["10.8.0.0/30", "fd00:8::/64"])
    wait_for("a second address", lambda: addresses(lab, "low") == ["10.8.0.2/32", "fd00:8::2/128"])
    lab.wait_ready("wgs", "berlin")


def test_a_routed_prefix_leads_behind_the_peer_and_overlaps_lose_to_the_older(lab: Lab) -> None:
    apply_peer(lab, "alice", routes=["10.20.0.0/16", "fd00:20::/48"])
    lab.wait_ready("wgp", "alice")
    assert list(lab.host.allowed_ips().values()) == ["10.8.0.2/32 10.20.0.0/16 fd00:20::/48"]
    lab.connect()
    sh("ip", "-n", lab.client_netns, "address", "add", "10.20.0.1/32", "dev", "lo")
    ping = ("ip", "netns", "exec", lab.host.netns, "ping", "-n", "-c1", "-W1", "10.20.0.1")
    wait_for("a ping to the network behind the peer", lambda: sh(*ping), 15)
    _wait_to_be_older(lab, "alice")
    apply_peer(lab, "bob", routes=["10.20.30.0/24", "10.21.0.0/16", "10.8.0.0/16"])
    wait_for("bob to be told", lambda: reason(lab, "bob") == "RouteConflict")
    said = condition(lab, "bob", "AddressAllocated")["message"]
    assert "10.20.30.0/24 overlaps 10.20.0.0/16 of peer" in said
    assert "10.8.0.0/16 overlaps the server's own network 10.8.0.0/29" in said
    wait_for("bob on the device", lambda: "10.8.0.3/32 10.21.0.0/16" in lab.host.allowed_ips().values())
    assert status(lab, "bob")["phase"] == "Inactive"
    patch(lab, "wgp", "bob", routes=["10.20.30.0/24"])
    lab.kubectl("delete", "wgp", "alice")
    lab.wait_ready("wgp", "bob")
    assert list(lab.host.allowed_ips().values()) == ["10.8.0.3/32 10.20.30.0/24"]


def _wait_to_be_older(lab: Lab, name: str) -> None:
    """Until whatever is made next is younger than the peer."""

    def now() -> str:
        made = json.loads(lab.kubectl("create", "configmap", "clock", "-o", "json", "--dry-run=server"))
        text: str = made["metadata"]["creationTimestamp"]
        return text

    created = lab.get("wgp", name)["metadata"]["creationTimestamp"]
    wait_for("another second", lambda: now() > created)


def test_lost_blocks_are_written_anew_from_what_the_statuses_say(lab: Lab) -> None:
    for name in "ab":
        apply_peer(lab, name)
        lab.wait_ready("wgp", name)
    lab.kubectl("delete", "wgp", "a")
    lab.controller.end(kill=True)
    lab.kubectl("delete", "wgab", "--all")
    lab.start_controller()
    apply_peer(lab, "c")
    lab.wait_ready("wgp", "c")
    lab.wait_ready("wgp", "b")
    assert addresses(lab, "b") == ["10.8.0.3/32"]
    wait_for("b on the device", lambda: "10.8.0.3/32" in lab.host.allowed_ips().values())
