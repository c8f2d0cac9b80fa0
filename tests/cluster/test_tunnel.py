"""The main job on real parts: two YAML files make a tunnel, and it obeys."""

import json
import time

from tools.lab import Lab, sh, wait_for


def patch(lab: Lab, **spec: object) -> None:
    lab.kubectl("patch", "wgp", "alice", "--type=merge", "-p", json.dumps({"spec": spec}))


def cut_after(lab: Lab) -> float:
    """Seconds until a ping is not answered any more."""
    began = time.monotonic()
    wait_for("the ping to stop", lambda: not lab.ping(seconds=0.2), 10)
    return time.monotonic() - began


def status(lab: Lab) -> dict:
    return lab.get("wgp", "alice")["status"]


def test_two_files_make_a_tunnel_that_stops_within_a_second_of_enabled_false_and_comes_back(tunnel: Lab) -> None:
    shown = wait_for("online in the status", lambda: status(tunnel).get("online") and status(tunnel))
    assert shown["phase"] == "Active"
    assert shown["addresses"] == ["10.8.0.2/32"]
    assert shown["endpoint"].startswith("192.0.2.2:")
    assert shown["lastHandshakeTime"]
    patch(tunnel, enabled=False)
    assert cut_after(tunnel) < 1.0
    wait_for("phase Disabled", lambda: status(tunnel)["phase"] == "Disabled")
    tunnel.wait_ready("wgp", "alice")
    patch(tunnel, enabled=True)
    began = time.monotonic()
    wait_for("the ping to come back", tunnel.ping, 20)
    # The subscriber's own timer would take 15 s (WireGuard paper, section 6.1: Keepalive + Rekey-Timeout).
    assert time.monotonic() - began < 5
    wait_for("phase Active", lambda: status(tunnel)["phase"] == "Active")


def test_deleting_the_peer_cuts_the_tunnel_at_once(tunnel: Lab) -> None:
    tunnel.kubectl("delete", "wgp", "alice")
    assert cut_after(tunnel) < 1.0


def test_bytes_in_the_status_are_those_the_subscriber_sent_within_five_percent(tunnel: Lab) -> None:
    before = status(tunnel).get("traffic", {"rxBytes": 0})
    flood = ["ping", "-n", "-q", "-i", "0.002", "-c", "500", "-s", "1300", "10.8.0.1"]
    sh("ip", "netns", "exec", tunnel.client_netns, *flood)
    received, sent = tunnel.client_bytes()
    assert sent > 600_000

    def close_enough() -> bool:
        traffic = status(tunnel)["traffic"]
        return abs(traffic["rxBytes"] - sent) < 0.05 * sent and abs(traffic["txBytes"] - received) < 0.05 * received

    assert before["rxBytes"] < sent
    wait_for("the bytes in the status", close_enough, 20)


def test_killing_the_controller_leaves_the_tunnel_and_the_status_as_they_were(tunnel: Lab) -> None:
    wait_for("online in the status", lambda: status(tunnel).get("online"))
    configuration, before = tunnel.configuration(), status(tunnel)
    tunnel.controller.end(kill=True)
    assert tunnel.ping()
    tunnel.start_controller()
    # A change after the restart shows that the new controller works, and not only that the old state is left.
    patch(tunnel, description="after the restart")
    generation = tunnel.get("wgp", "alice")["metadata"]["generation"]
    wait_for("the new controller", lambda: status(tunnel)["observedGeneration"] == generation)
    assert tunnel.ping()
    after = status(tunnel)
    assert tunnel.configuration() == configuration
    assert after["publicKey"] == before["publicKey"] and after["addresses"] == before["addresses"]
    assert after["traffic"]["rxBytes"] >= before["traffic"]["rxBytes"]
    assert [c["lastTransitionTime"] for c in after["conditions"]] == [
        c["lastTransitionTime"] for c in before["conditions"]
    ]


def test_killing_the_agent_leaves_the_tunnel_and_the_restarted_one_obeys(tunnel: Lab) -> None:
    tunnel.host.agent.end(kill=True)
    assert tunnel.ping()
    tunnel.host.start()
    assert tunnel.ping()
    patch(tunnel, enabled=False)
    wait_for("the ping to stop", lambda: not tunnel.ping(seconds=0.2), 30)


def test_a_change_made_while_the_controller_was_dead_is_carried_out_at_its_start(tunnel: Lab) -> None:
    tunnel.controller.end(kill=True)
    tunnel.kubectl("delete", "wgp", "alice")
    assert tunnel.ping()
    tunnel.start_controller()
    wait_for("the ping to stop", lambda: not tunnel.ping(seconds=0.2), 30)


def at(seconds: float) -> str:
    """RFC 3339, so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def test_the_tunnel_is_cut_within_a_second_of_its_expiry_and_comes_back_when_it_is_extended(tunnel: Lab) -> None:
    deadline = int(time.time()) + 4
    patch(tunnel, expiresAt=at(deadline - time.time() + 0.5))
    wait_for("the ping to stop", lambda: not tunnel.ping(seconds=0.2), 15)
    assert -0.5 < time.time() - deadline < 1.5  # half a second of it is the ping's own
    wait_for("phase Expired", lambda: status(tunnel)["phase"] == "Expired")
    patch(tunnel, expiresAt=at(3600))
    wait_for("the ping to come back", tunnel.ping, 20)


def test_a_tunnel_that_expired_while_the_controller_was_dead_is_cut_at_its_start(tunnel: Lab) -> None:
    patch(tunnel, expiresAt=at(3))
    expiry = time.time() + 3
    tunnel.controller.end(kill=True)
    wait_for("the expiry to pass", lambda: time.time() > expiry + 1)
    assert tunnel.ping()
    tunnel.start_controller()
    wait_for("the ping to stop", lambda: not tunnel.ping(seconds=0.2), 30)


def test_lifting_one_suspension_leaves_the_other(tunnel: Lab) -> None:
    abuse, unpaid = {"reason": "abuse", "by": "noc"}, {"reason": "non-payment"}
    patch(tunnel, suspensions=[abuse, unpaid])
    assert cut_after(tunnel) < 1.0
    wait_for("phase Suspended", lambda: status(tunnel)["phase"] == "Suspended")
    patch(tunnel, suspensions=[unpaid])
    generation = tunnel.get("wgp", "alice")["metadata"]["generation"]
    wait_for("the status", lambda: status(tunnel)["observedGeneration"] == generation)
    assert status(tunnel)["phase"] == "Suspended" and not tunnel.ping(seconds=0.3)
    patch(tunnel, suspensions=[])
    wait_for("the ping to come back", tunnel.ping, 20)
