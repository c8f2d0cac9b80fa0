"""A WireGuard server that runs without us becomes one of ours, and its subscribers do not notice."""

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest
from isp import condition, patch

from tools.lab import Lab, sh, wait_for
from tools.lab.host import PYTHON
from wireguard_operator.domain.keys import generate_pair, generate_preshared

IMPORT = ("--server", "berlin", "--endpoint")
CONFINED = ("setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+net_admin,+net_bind_service")
"""What the unit of systemd leaves to an agent; the device that it adopts was made with all capabilities."""


@dataclass
class Router:
    """What an administrator has set up by hand."""

    lab: Lab
    config: str
    subscriber: str

    def wg(self, what: str) -> dict[str, str]:
        shown = sh("ip", "netns", "exec", self.lab.host.netns, "wg", "show", self.lab.host.interface, what)
        return dict(line.split("\t", 1) for line in shown.splitlines())

    def settled(self, seconds: float) -> dict[str, str] | None:
        """The handshakes, once the last one is so long ago."""
        handshakes = self.wg("latest-handshakes")
        return handshakes if time.time() - int(handshakes[self.subscriber]) > seconds else None


@pytest.fixture
def router(lab: Lab) -> Router:
    """A server of wg-quick with two peers, and a subscriber with a session on it."""
    server, alice, bob, preshared = generate_pair(), generate_pair(), generate_pair(), generate_preshared().reveal()
    host = lab.host
    config = f"""[Interface]
Address = 10.8.0.1/24
ListenPort = 51820
PrivateKey = {server.private.reveal()}

# alice
[Peer]
PublicKey = {alice.public}
PresharedKey = {preshared}
AllowedIPs = 10.8.0.2/32, 192.168.7.0/24

# bob
[Peer]
PublicKey = {bob.public}
AllowedIPs = 10.8.0.3/32
"""
    path = lab.directory / f"{host.interface}.conf"
    path.touch(mode=0o600)
    path.write_text(config)
    env = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": str(lab.wireguard_go)}
    sh("ip", "netns", "exec", host.netns, "wg-quick", "up", str(path), env=env)
    lab.connect(
        configuration=f"""[Interface]
Address = 10.8.0.2/32
PrivateKey = {alice.private.reveal()}
[Peer]
PublicKey = {server.public}
PresharedKey = {preshared}
Endpoint = {host.address}:51820
AllowedIPs = 10.8.0.0/24
"""
    )
    wait_for("the first ping", lab.ping, 15)
    return Router(lab, config, alice.public)


def test_the_agent_adopts_a_running_device_and_not_one_packet_is_lost(router: Router) -> None:
    lab, host = router.lab, router.lab.host
    wireguard_go = host.wireguard_go()
    ping = subprocess.Popen(
        ["ip", "netns", "exec", lab.client_netns, "ping", "-n", "-i0.02", "-W1", "10.8.0.1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    objects = lab.directory / "import.yaml"
    names = ("--names", str(lab.directory / f"{host.interface}.conf"))
    command = (*PYTHON, "import", "live", host.interface, *IMPORT, host.address, "--url", host.url, *names)
    sh("ip", "netns", "exec", host.netns, *command, "-n", lab.namespace, "-o", str(objects))
    lab.kubectl("apply", "-f", str(objects))
    lab.start_controller()
    lab.kubectl("wait", "wgp", "--all", "--for=condition=KeysReady", "--timeout=60s")
    # The subscriber's own first try may be answered a second time, 5 s later (Rekey-Timeout).
    handshakes = wait_for("the session to settle", lambda: router.settled(6))
    host.agent.command[4:4] = CONFINED
    lab.join_host()
    lab.wait_ready("wgp", "alice")
    lab.wait_ready("wgp", "bob")
    lab.wait_ready("wgs", "berlin")
    assert ping.poll() is None
    ping.send_signal(signal.SIGINT)
    output = ping.communicate(timeout=30)[0]
    counted = re.search(r"(\d+) packets transmitted, (\d+) received", output)
    assert counted, output
    sent, received = int(counted[1]), int(counted[2])
    assert sent > 100 and sent - received <= 1, output  # the last one may be under way
    assert host.wireguard_go() == wireguard_go
    now = router.wg("latest-handshakes")
    assert now.keys() == handshakes.keys() and now[router.subscriber] == handshakes[router.subscriber] != "0"
    # The routes of wg-quick are the agent's now, so that they go with the peer.
    routes = json.loads(sh("ip", "-n", host.netns, "-j", "route", "show", "proto", "87"))
    assert [route["dst"] for route in routes] == ["192.168.7.0/24"]
    patch(lab, "wgp", "alice", enabled=False)
    wait_for("the ping to stop", lambda: not lab.ping(seconds=0.2), 10)
    assert sh("ip", "-n", host.netns, "-j", "route", "show", "192.168.7.0/24").strip() in ("", "[]", "[ ]")


def test_a_configuration_file_is_applied_once_and_compared_the_second_time(lab: Lab) -> None:
    server, alice, preshared = generate_pair(), generate_pair(), generate_preshared().reveal()
    path = lab.directory / "wg0.conf"
    path.write_text(
        f"[Interface]\nAddress = 10.8.0.1/24\nMTU = 1420\nListenPort = 51820\nPrivateKey = {server.private.reveal()}\n"
        f"# alice\n[Peer]\nPublicKey = {alice.public}\nPresharedKey = {preshared}\nAllowedIPs = 10.8.0.2/32\n"
    )
    where = ("--url", lab.host.url, "-n", lab.namespace, "--kubeconfig", str(lab.plane.kubeconfig), "--apply")
    command = (*PYTHON, "import", "wg-quick", str(path), *IMPORT, lab.host.address, *where)

    def run() -> tuple[int, list[str]]:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert not done.stdout and preshared not in done.stderr and server.private.reveal() not in done.stderr
        return done.returncode, done.stderr.splitlines()

    # A Secret that somebody else has made: the peer does not get what is in it, and the server waits for the peer.
    lab.kubectl("create", "secret", "generic", "alice-import", "--from-literal=presharedKey=another")
    assert run() == (1, [
        "left as it is: Secret alice-import is there with another data.presharedKey",
        "not made: WireGuardPeer alice, which needs Secret alice-import",
        "not made: WireGuardServer berlin, which needs WireGuardPeer alice",
        "made 0 servers, 0 peers, 1 Secret; there already: 0",
        "error: not there as it should be: 3 of 4 objects; correct what is said above and try again",
    ])  # fmt: skip
    lab.kubectl("delete", "secret", "alice-import")
    assert run() == (0, ["made 1 server, 1 peer, 1 Secret; there already: 1"])
    lab.start_controller()
    wait_for("the server's key", lambda: condition(lab, "berlin", "KeysReady", "wgs").get("status") == "True")
    assert lab.get("wgs", "berlin")["status"]["publicKey"] == server.public
    assert run() == (0, ["made 0 servers, 0 peers, 0 Secrets; there already: 4"])
    patch(lab, "wgp", "alice", addresses=["10.8.0.9"])
    code, said = run()
    assert (code, said[0]) == (1, "left as it is: WireGuardPeer alice is there with another spec.addresses")
    assert lab.get("wgp", "alice")["spec"]["addresses"] == ["10.8.0.9"]
