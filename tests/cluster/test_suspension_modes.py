"""A suspended subscriber in the walled garden, or slowed down, shown with packets through a real controller."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from isp import apply_peer, apply_server, condition, patch, reason, status

from tools.lab import Lab, sh, wait_for

PORTAL, RESOLVER, WORLD = "198.51.100.80", "198.51.100.53", "198.51.100.7"
GARDEN = {"allow": [f"{PORTAL}/32"]}
UNPAID = {"reason": "non-payment", "by": "billing", "mode": "WalledGarden"}
QUOTA = {"reason": "quota", "mode": "Throttle"}

RESOLVE = """
import selectors, socket, sys
watch = selectors.DefaultSelector()
for address in sys.argv[1:]:
    s = socket.socket(type=socket.SOCK_DGRAM)
    s.bind((address, 53))
    watch.register(s, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in watch.select():
        data, source = key.fileobj.recvfrom(512)
        key.fileobj.sendto(data, source)
"""
ASK = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
s.settimeout(0.5)
s.connect((sys.argv[1], 53))
s.send(b"?")
sys.exit(s.recv(512) != b"?")
"""


@pytest.fixture
def subscriber(lab: Lab) -> Iterator[Lab]:
    """Alice on server berlin, and three hosts of the Internet: the portal, the resolver, and the rest."""
    for address in (PORTAL, RESOLVER, WORLD):
        sh("ip", "-n", lab.host.netns, "address", "add", f"{address}/32", "dev", "lo")
    command = ["ip", "netns", "exec", lab.host.netns, sys.executable, "-c", RESOLVE, RESOLVER, WORLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as resolver:
        try:
            assert resolver.stdout is not None
            assert resolver.stdout.readline() == b"ready\n"
            routed = ["10.8.0.0/24", "198.51.100.0/24"]
            apply_server(lab, clientAllowedIPs=routed, dns=[RESOLVER, "corp.example"])
            apply_peer(lab, "alice", client={"dns": []})
            lab.start_controller()
            lab.join_host()
            lab.wait_ready("wgp", "alice")
            lab.connect()
            wait_for("the first ping through the tunnel", lambda: lab.ping(WORLD), 20)
            yield lab
        finally:
            resolver.kill()


def resolves(lab: Lab, address: str) -> bool:
    """Whether a question to the address is answered."""
    command = ["ip", "netns", "exec", lab.client_netns, sys.executable, "-c", ASK, address]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def reached(lab: Lab) -> set[str]:
    """What of the Internet the subscriber gets an answer from."""
    found = {name for name, address in {"portal": PORTAL, "world": WORLD}.items() if lab.ping(address, 0.5)}
    return found | {f"dns of {name}" for name, at in {"isp": RESOLVER, "world": WORLD}.items() if resolves(lab, at)}


EVERYTHING = {"portal", "world", "dns of isp", "dns of world"}
IN_THE_GARDEN = {"portal", "dns of isp"}


def wait_for_reason(lab: Lab, wanted: str) -> None:
    generation = lab.get("wgp", "alice")["metadata"]["generation"]
    wait_for(
        f"reason {wanted}",
        lambda: reason(lab, "alice") == wanted and status(lab, "alice")["observedGeneration"] == generation,
        30,
    )


def test_who_has_not_paid_reaches_the_portal_and_the_resolver_until_the_lock_is_lifted(subscriber: Lab) -> None:
    lab = subscriber
    assert reached(lab) == EVERYTHING
    patch(lab, "wgs", "berlin", walledGarden=GARDEN)
    patch(lab, "wgp", "alice", suspensions=[UNPAID])
    wait_for_reason(lab, "WalledGarden")
    assert reached(lab) == IN_THE_GARDEN
    assert status(lab, "alice")["phase"] == "Suspended"
    ready, programmed = condition(lab, "alice"), condition(lab, "alice", "Programmed")
    assert (ready["status"], ready["message"]) == ("True", "non-payment by billing")
    assert (programmed["status"], programmed["message"]) == ("True", "on the device, in the walled garden")

    lab.controller.end(kill=True)
    lab.host.agent.end(kill=True)
    assert reached(lab) == IN_THE_GARDEN
    lab.host.start()
    assert reached(lab) == IN_THE_GARDEN
    lab.start_controller()
    patch(lab, "wgs", "berlin", walledGarden={"allow": [f"{PORTAL}/32", f"{WORLD}/32"]})
    wait_for("the larger garden", lambda: reached(lab) == EVERYTHING, 30)
    patch(lab, "wgs", "berlin", walledGarden=GARDEN)
    wait_for("the smaller garden", lambda: reached(lab) == IN_THE_GARDEN, 30)

    patch(lab, "wgp", "alice", suspensions=[])
    wait_for("the whole Internet", lambda: reached(lab) == EVERYTHING, 30)
    wait_for("phase Active", lambda: status(lab, "alice")["phase"] == "Active", 30)


def test_a_server_without_garden_cuts_and_says_so_and_the_strictest_lock_wins(subscriber: Lab) -> None:
    lab = subscriber
    patch(lab, "wgp", "alice", suspensions=[UNPAID])
    wait_for_reason(lab, "Suspended")
    assert reached(lab) == set()
    message = "non-payment by billing; cut, since WireGuardServer berlin has no spec.walledGarden"
    assert condition(lab, "alice")["message"] == message

    patch(lab, "wgs", "berlin", walledGarden=GARDEN, throttle={"bandwidth": "1M"})
    wait_for_reason(lab, "WalledGarden")
    wait_for("the garden", lambda: reached(lab) == IN_THE_GARDEN, 30)
    patch(lab, "wgp", "alice", suspensions=[QUOTA, UNPAID])
    wait_for_reason(lab, "WalledGarden")
    assert reached(lab) == IN_THE_GARDEN
    patch(lab, "wgp", "alice", suspensions=[QUOTA, UNPAID, {"reason": "abuse"}])
    wait_for_reason(lab, "Suspended")
    assert reached(lab) == set()
    patch(lab, "wgp", "alice", suspensions=[QUOTA])
    wait_for_reason(lab, "Throttled")
    wait_for("the whole Internet, slowly", lambda: reached(lab) == EVERYTHING, 30)


def rate(lab: Lab) -> float:
    """Megabits per second that the subscriber downloads."""
    command = ["iperf3", "-c", WORLD, "-R", "-J", "-t", "6", "-O", "3"]
    output = json.loads(sh("ip", "netns", "exec", lab.client_netns, *command))
    return float(output["end"]["sum_received"]["bits_per_second"]) / 10**6


def test_who_has_used_up_a_quota_is_slowed_down(subscriber: Lab) -> None:
    lab = subscriber
    command = ["ip", "netns", "exec", lab.host.netns, "iperf3", "-s", "-B", WORLD, "--forceflush"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            while b"listening" not in server.stdout.readline():
                assert server.poll() is None
            patch(lab, "wgs", "berlin", throttle={"bandwidth": "4M"}, limits={"download": "20M"})
            wait_for("the server's limit", lambda: rate(lab) == pytest.approx(20, rel=0.1), 60)
            patch(lab, "wgp", "alice", suspensions=[QUOTA])
            wait_for_reason(lab, "Throttled")
            assert condition(lab, "alice", "Programmed")["message"] == "on the device, throttled"
            assert rate(lab) == pytest.approx(4, rel=0.1)
            patch(lab, "wgp", "alice", suspensions=[])
            wait_for_reason(lab, "Ready")
            assert rate(lab) == pytest.approx(20, rel=0.1)
        finally:
            server.kill()
