"""A host that nobody can call: it enrols, dials, is served, is offline and comes back; its certificate is renewed."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from isp import apply, apply_peer, condition, patch, reason

from tools.lab import Lab, sh, wait_for
from tools.lab.host import PYTHON
from tools.lab.nat import HOST, ROUTER, NatHost
from wireguard_operator.domain import host_tokens


@dataclass
class Site:
    """The host, and the controller with its port."""

    lab: Lab
    host: NatHost
    options: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def start_controller(self, *options: str) -> None:
        """The controller with the port for agents."""
        descriptor = self.host.port.fileno()
        self.lab.controller.end()
        self.lab.controller = self.lab.new_controller("controller", "--dial-in", f"fd://{descriptor}", *options)
        self.lab.controller.start(pass_fds=(descriptor,))

    def token(self, *options: str) -> str:
        """A fresh token, as an administrator makes it."""
        where = ("-n", self.lab.namespace, "--kubeconfig", str(self.lab.plane.kubeconfig))
        self.tokens.append(sh(*PYTHON, "host-token", "berlin", *where, *options).strip())
        return self.tokens[-1]

    def secrets(self) -> list[str]:
        """Names of the Secrets of tokens."""
        found = json.loads(self.lab.kubectl("get", "secrets", "-l", host_tokens.LABEL, "-o", "json"))["items"]
        return [secret["metadata"]["name"] for secret in found]

    def join(self) -> None:
        """Enrol, start the agent, and wait until the subscriber is served."""
        done = self.host.enrol(self.token())
        assert done.returncode == 0, done.stderr
        self.host.agent.start()
        self.lab.wait_ready("wgp", "alice", 50)
        self.lab.connect()
        wait_for("the first ping through the tunnel", self.lab.ping, 20)

    def log(self) -> str:
        return self.host.agent.log.read_text()

    def certificate(self) -> x509.Certificate:
        """The host's present one."""
        text = json.loads((self.host.state / "bundle.json").read_text())["certificate"]
        return x509.load_pem_x509_certificate(text.encode())


@pytest.fixture
def site(lab: Lab) -> Iterator[Site]:
    host = NatHost(lab.directory, lab.wireguard_go, lab.client_netns)
    try:
        host.build()
        plane = {"type": "Host", "host": {"dial": True}}
        apply(
            lab,
            "WireGuardServer",
            "berlin",
            {"endpoint": {"host": ROUTER}, "networks": ["10.8.0.0/24"], "dataPlane": plane},
        )
        apply_peer(lab, "alice")
        yield Site(lab, host)
    finally:
        host.close()


class Ping:
    """A stream of pings through the tunnel."""

    def __init__(self, lab: Lab) -> None:
        command = ["ip", "netns", "exec", lab.client_netns, "ping", "-n", "-i0.05", "-W1", "10.8.0.1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def lost(self) -> int:
        """End it; how many had no answer, but for the last one, which may be under way."""
        self._process.send_signal(signal.SIGINT)
        output = self._process.communicate(timeout=30)[0]
        counted = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        assert counted and int(counted[1]) > 50, output
        return max(0, int(counted[1]) - int(counted[2]) - 1)


def test_a_host_that_nobody_can_call_enrols_and_is_served(site: Site) -> None:
    lab, host = site.lab, site.host
    site.start_controller()
    wait_for(
        "the port's first word",
        lambda: "dials the controller" in condition(lab, "berlin", "Ready", "wgs").get("message", ""),
    )
    site.join()
    # Not even somebody who knows the way gets in: the router drops what is not an answer.
    before = host.refused()
    sh("ip", "-n", host.outside, "route", "add", "192.168.88.0/24", "via", ROUTER)
    knock = ["ip", "netns", "exec", host.outside, "ping", "-n", "-c3", "-i0.1", "-W1", HOST]
    assert subprocess.run(knock, capture_output=True, timeout=30, check=False).returncode == 1
    assert host.refused() >= before + 3
    # The link goes the other way, and obeys.
    assert site.secrets() == []
    patch(lab, "wgp", "alice", enabled=False)
    wait_for("the ping to stop", lambda: not lab.ping(seconds=0.2), 10)
    patch(lab, "wgp", "alice", enabled=True)
    wait_for("the ping to come back", lab.ping, 20)
    wait_for("online in the status", lambda: lab.get("wgp", "alice")["status"].get("online"))
    assert lab.get("wgp", "alice")["status"]["endpoint"].startswith("198.51.100.1:")
    # Neither the token nor the host's key is anywhere but where it belongs.
    key = json.loads((host.state / "bundle.json").read_text())["private_key"].splitlines()[1]
    words = [site.tokens[0], host_tokens.decode(site.tokens[0]).secret, key]
    objects = lab.kubectl("get", "wgs,wgp,events,secrets", "-o", "yaml", "--show-managed-fields")
    lines = b"".join(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()).decode(
        errors="replace"
    )
    for text in (site.log(), lab.controller.log.read_text(), objects, lines):
        assert not [word for word in words if word in text]
    assert "enrolled as the agent of" in lab.controller.log.read_text()
    assert (host.state / "bundle.json").stat().st_mode & 0o777 == 0o600


def test_of_several_who_come_with_one_token_exactly_one_enrols(site: Site, tmp_path: Path) -> None:
    site.start_controller()
    for number in range(3):
        file = tmp_path / f"token-{number}"
        file.write_text(site.token())
        racers = [site.host.start_enrolment(tmp_path / f"{number}-{n}", file) for n in range(3)]
        said = [racer.communicate(timeout=60)[0] for racer in racers]
        assert sorted(racer.returncode for racer in racers) == [0, 1, 1], said
        losers = [text for racer, text in zip(racers, said, strict=True) if racer.returncode]
        assert all("the token" in text and "host-token" in text and "Traceback" not in text for text in losers), said
        assert len(list(tmp_path.glob(f"{number}-*/bundle.json"))) == 1
    assert site.secrets() == []


def test_what_is_wrong_with_a_token_is_told_and_costs_nothing(site: Site, lab: Lab) -> None:
    site.start_controller()
    good = host_tokens.decode(site.token())
    other = host_tokens.HostToken(good.server, good.identifier, "x" * 43, good.authority)
    pinned = host_tokens.HostToken(good.server, good.identifier, good.secret, "sha256:" + "0" * 64)
    for token, words in (
        (other.encode(), "the token is not known"),
        (pinned.encode(), "somebody may be in between"),
        ("hunter2", "this is no token"),
        ("", "there is no token"),
    ):
        done = site.host.enrol(token)
        assert done.returncode == 1 and words in done.stderr and good.secret not in done.stderr
    [name] = site.secrets()
    lab.kubectl("patch", "secret", name, "--type=merge", "-p", '{"stringData":{"expires":"2020-01-01T00:00:00Z"}}')
    done = site.host.enrol(good.encode())
    assert done.returncode == 1 and "the token expired at 2020-01-01T00:00:00Z" in done.stderr
    # The next token sweeps away what is over.
    assert site.host.enrol(site.token()).returncode == 0
    assert site.secrets() == []


def test_a_certificate_is_renewed_again_and_again_while_the_tunnel_is_in_use(site: Site) -> None:
    lab, host = site.lab, site.host
    site.start_controller("--host-certificate-life", "20")
    site.join()
    first, wireguard_go = (
        site.certificate(),
        sh("ip", "netns", "exec", host.netns, "wg", "show", host.interface, "listen-port"),
    )
    ping = Ping(lab)
    expiry = first.not_valid_after_utc.timestamp()
    wait_for("the first certificate to be over", lambda: time.time() > expiry + 2, 60)
    assert site.certificate().serial_number != first.serial_number
    assert site.certificate().public_key() != first.public_key()
    # One link through all of it, and a new one is made with what is new.
    assert site.log().count("connected to the controller") == 1
    site.start_controller("--host-certificate-life", "20")
    wait_for("the second link", lambda: site.log().count("connected to the controller") == 2, 60)
    patch(lab, "wgp", "alice", description="after the renewal")
    generation = lab.get("wgp", "alice")["metadata"]["generation"]
    wait_for("the status", lambda: lab.get("wgp", "alice")["status"]["observedGeneration"] == generation)
    assert ping.lost() == 0
    assert sh("ip", "netns", "exec", host.netns, "wg", "show", host.interface, "listen-port") == wireguard_go


def test_a_host_whose_certificate_expired_says_so_and_enrols_again_while_it_runs(site: Site) -> None:
    lab, host = site.lab, site.host
    site.start_controller("--host-certificate-life", "8")
    site.join()
    host.cut()
    wait_for("the certificate to expire", lambda: "this host's certificate expired at" in site.log(), 90)
    assert "host-token" in site.log()
    assert lab.ping()
    host.mend()
    site.start_controller()
    ping = Ping(lab)
    done = host.enrol(site.token())
    assert done.returncode == 0, done.stderr
    connected = site.log().count("connected to the controller")
    wait_for(
        "the link", lambda: site.log().count("connected to the controller") > connected or "restored" in site.log(), 90
    )
    lab.wait_ready("wgs", "berlin", 50)
    assert ping.lost() == 0


def test_changes_made_while_the_host_was_cut_off_are_applied_when_it_is_back(site: Site) -> None:
    lab, host = site.lab, site.host
    apply_peer(lab, "bob")
    site.start_controller()
    site.join()
    lab.wait_ready("wgp", "bob")
    keys = {name: lab.get("wgp", name)["status"]["publicKey"] for name in ("alice", "bob")}
    assert host.wg("allowed-ips").keys() == set(keys.values())
    wait_for("the session to settle", lambda: time.time() - int(host.wg("latest-handshakes")[keys["alice"]]) > 6)
    handshake = host.wg("latest-handshakes")[keys["alice"]]
    ping = Ping(lab)
    host.cut()
    began = time.monotonic()
    # The cable is silent: nobody says that the connection is gone.
    wait_for("the controller to notice", lambda: reason(lab, "berlin", kind="wgs") == "AgentUnreachable", 60)
    assert time.monotonic() - began < 45  # 30 s for a link of which nothing is heard, and the time of a status
    patch(lab, "wgp", "bob", suspensions=[{"reason": "non-payment"}])
    apply_peer(lab, "carol")
    wait_for("carol's keys", lambda: condition(lab, "carol", "KeysReady").get("status") == "True")
    assert host.wg("allowed-ips").keys() == set(keys.values())
    revision = re.findall(r"revision (\d+) applied", site.log())[-1]
    host.mend()
    lab.wait_ready("wgp", "carol", 59)
    wait_for("bob's phase", lambda: lab.get("wgp", "bob")["status"]["phase"] == "Suspended")
    assert host.wg("allowed-ips").keys() == {keys["alice"], lab.get("wgp", "carol")["status"]["publicKey"]}
    applied = re.findall(r"revision (\d+) applied( from a snapshot)?", site.log())
    assert [(number, kind) for number, kind in applied if int(number) > int(revision)] == [(str(int(revision) + 1), "")]
    assert ping.lost() == 0
    assert host.wg("latest-handshakes")[keys["alice"]] == handshake
