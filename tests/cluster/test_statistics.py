"""Traffic totals against the truth, the counters of the subscriber's own device, across every kind of kill."""

from __future__ import annotations

import os
import signal
import subprocess

from isp import patch, status

from tools.lab import Lab, sh, wait_for

HANDSHAKES = 2000
"""Bytes: a message of a handshake (148 or 92 bytes) that comes twice at a time is sent, but not taken."""
BURST = ("-q", "-c", "200", "-s", "1000", "-i", "0.005")
"""About 200 kB each way in a second."""


def burst(lab: Lab) -> None:
    """Known traffic, all of it answered."""
    lines = sh("ip", "netns", "exec", lab.client_netns, "ping", *BURST, "10.8.0.1")
    assert " 0% packet loss" in lines


def begin_burst(lab: Lab) -> subprocess.Popen[bytes]:
    command = ["ip", "netns", "exec", lab.client_netns, "ping", *BURST, "10.8.0.1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def totals(lab: Lab) -> tuple[int, int]:
    """Received and sent, from the server's side."""
    traffic = status(lab, "alice").get("traffic", {})
    return traffic.get("rxBytes", 0), traffic.get("txBytes", 0)


def is_exact(lab: Lab) -> bool:
    received, sent = lab.client_bytes()
    rx, tx = totals(lab)
    assert rx <= sent and tx <= received + HANDSHAKES, "something was counted twice"
    return rx >= sent - HANDSHAKES and tx >= received - HANDSHAKES


def test_totals_are_exact_although_controller_and_agent_are_killed_in_the_middle_of_traffic(tunnel: Lab) -> None:
    burst(tunnel)
    wait_for("the first traffic in the status", lambda: is_exact(tunnel))
    traffic = begin_burst(tunnel)
    tunnel.controller.end(kill=True)
    tunnel.start_controller()
    assert traffic.wait(30) == 0
    wait_for("all of it after the controller's end", lambda: is_exact(tunnel))
    traffic = begin_burst(tunnel)
    tunnel.host.agent.end(kill=True)
    tunnel.host.start()
    assert traffic.wait(30) == 0
    wait_for("all of it after the agent's end", lambda: is_exact(tunnel))
    traffic = begin_burst(tunnel)
    tunnel.host.agent.end(kill=True)
    tunnel.controller.end(kill=True)
    assert traffic.wait(30) == 0
    tunnel.host.start()
    tunnel.start_controller()
    wait_for("all of it after the end of both", lambda: is_exact(tunnel))
    assert tunnel.client_bytes()[1] > 4 * 200_000
    wait_for("the server's sum", lambda: status(tunnel, "berlin", "wgs")["traffic"]["rxBytes"] == totals(tunnel)[0])


def test_the_bytes_before_a_cut_and_those_after_it_are_all_counted_once(tunnel: Lab) -> None:
    burst(tunnel)
    wait_for("the first traffic in the status", lambda: is_exact(tunnel))
    burst(tunnel)
    before = tunnel.client_bytes()  # not read by the controller yet
    patch(tunnel, "wgp", "alice", enabled=False)
    wait_for("the cut", lambda: not tunnel.ping(seconds=0.2), 10)
    wait_for("the last bytes in the status", lambda: totals(tunnel)[0] >= before[1] - HANDSHAKES)
    while_cut = totals(tunnel)
    patch(tunnel, "wgp", "alice", enabled=True)
    wait_for("the tunnel", tunnel.ping, 20)
    burst(tunnel)
    wait_for("the new bytes", lambda: totals(tunnel)[0] >= while_cut[0] + 200_000)
    assert totals(tunnel)[0] <= tunnel.client_bytes()[1]


def test_a_device_that_dies_takes_nothing_from_the_totals_and_adds_nothing_twice(tunnel: Lab) -> None:
    burst(tunnel)
    wait_for("the first traffic in the status", lambda: is_exact(tunnel))
    before = totals(tunnel)
    os.kill(tunnel.host.wireguard_go(), signal.SIGKILL)
    wait_for("the tunnel on the second device", tunnel.ping, 40)
    burst(tunnel)
    wait_for("the second device's bytes", lambda: totals(tunnel)[0] >= before[0] + 200_000)
    assert totals(tunnel)[0] <= tunnel.client_bytes()[1]
    # The device's third life begins while no controller is there to see the end of the second.
    tunnel.controller.end(kill=True)
    before = totals(tunnel)
    os.kill(tunnel.host.wireguard_go(), signal.SIGKILL)
    wait_for("the tunnel on the third device", tunnel.ping, 40)
    burst(tunnel)
    tunnel.start_controller()
    wait_for("the third device's bytes", lambda: totals(tunnel)[0] >= before[0] + 200_000)
    assert totals(tunnel)[0] <= tunnel.client_bytes()[1]
