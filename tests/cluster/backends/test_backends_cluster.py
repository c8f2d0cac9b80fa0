"""Servers that another system carries, on a real API server with the controller as a process of its own."""

from __future__ import annotations

import asyncio
import base64
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from isp import apply, apply_peer, apply_server, condition, patch, reason, status

from tests.doubles.https import Site, served_by_thread
from tests.doubles.wg_easy import Live, WGEasyDouble
from tools.lab import Daemon, Lab, sh, unique, wait_for
from tools.lab.host import PYTHON
from wireguard_operator.api.base import API_VERSION
from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.resources import PEERS

MANY = 1000
HELD = 20
"""Peers that wait for the system that does not answer."""
CUTS = 15
WORK, TIME = 1.5, 3.0
"""How much more of the controller's own work the same may take, and how much longer on a machine that others use. A
request to the system takes 20 s to fail: whoever waited for one would be far beyond that."""


@pytest.fixture
def easy(lab: Lab) -> Iterator[WGEasyDouble]:
    """wg-easy, and server paris that it carries."""
    double, site = WGEasyDouble(write_seconds=0.05), Site()
    with served_by_thread(double.app(), site) as url:
        data = {"username": double.username, "password": double.password, "ca.crt": site.authority}
        secret = ("create", "secret", "generic", "wg-easy")
        lab.kubectl(*secret, *(f"--from-literal={key}={value}" for key, value in data.items()))
        plane = {"type": "WGEasy", "wgEasy": {"url": url}, "credentialsSecretRef": {"name": "wg-easy"}}
        spec = {"networks": ["10.8.0.0/24"], "clientAllowedIPs": ["10.8.0.0/24"], "dataPlane": plane}
        apply(lab, "WireGuardServer", "paris", spec)
        yield double
        double.hangs = False
        lab.controller.end()


class Device:
    """A real wireguard-go on the lab's host, which wg-easy's double configures in the way that wg-easy does."""

    def __init__(self, lab: Lab, easy: WGEasyDouble) -> None:
        self._lab, self._easy, self._interface = lab, easy, unique("wge")
        self._enter = ("ip", "netns", "exec", lab.host.netns)
        command = [*self._enter, str(lab.wireguard_go), "-f", self._interface]
        self.daemon = Daemon("wireguard-go of wg-easy", lab.directory / "wg-easy.log", command)
        self._path = lab.directory / f"{self._interface}.conf"

    def start(self) -> None:
        """As wg-easy's container does when it comes up."""
        self.daemon.start()
        wait_for("the device", lambda: "interface" in sh(*self._enter, "wg", "show", self._interface))
        sh("ip", "-n", self._lab.host.netns, "address", "add", "10.8.0.1/24", "dev", self._interface)
        sh("ip", "-n", self._lab.host.netns, "link", "set", self._interface, "up")
        self._easy.host = self._lab.host.address
        self._easy.install, self._easy.measure = self.install, self.measure
        self.install()

    def install(self) -> None:
        """``wg syncconf`` of all enabled clients."""
        lines = ["[Interface]", f"PrivateKey = {self._easy.pair.private.reveal()}", "ListenPort = 51820"]
        for client in self._easy.clients.values():
            if client["enabled"]:
                allowed = [f"{client['ipv4Address']}/32", f"{client['ipv6Address']}/128", *client["serverAllowedIps"]]
                lines += ["[Peer]", f"PublicKey = {client['publicKey']}", f"PresharedKey = {client['preSharedKey']}"]
                lines.append(f"AllowedIPs = {', '.join(allowed)}")
        self._path.touch(mode=0o600)
        self._path.write_text("\n".join(lines) + "\n")
        sh(*self._enter, "wg", "syncconf", self._interface, str(self._path))

    def measure(self) -> dict[str, Live]:
        """``wg show dump``."""
        found = {}
        for line in sh(*self._enter, "wg", "show", self._interface, "dump").splitlines()[1:]:
            key, _, endpoint, _, handshake, received, sent, _ = line.split("\t")
            moment = datetime.fromtimestamp(int(handshake), UTC).isoformat() if handshake != "0" else None
            found[key] = Live(int(received), int(sent), moment, None if endpoint == "(none)" else endpoint)
        return found


def test_a_subscriber_connects_with_what_the_secret_says_and_a_suspension_cuts_the_tunnel(
    lab: Lab, easy: WGEasyDouble
) -> None:
    device = Device(lab, easy)
    try:
        device.start()
        apply_peer(lab, "alice", serverRef={"name": "paris"})
        lab.start_controller()
        lab.wait_ready("wgp", "alice")
        lab.connect("alice")
        wait_for("the first ping through the tunnel", lab.ping, 15)
        wait_for("alice to be seen", lambda: status(lab, "alice").get("phase") == "Active")
        assert status(lab, "alice")["endpoint"].startswith(lab.host.subscriber_address)
        patch(lab, "wgp", "alice", suspensions=[{"reason": "non-payment"}])
        wait_for("alice to be suspended", lambda: reason(lab, "alice") == "Suspended")
        assert not lab.ping()
        total = status(lab, "alice")["traffic"]["rxBytes"]
        _, sent = lab.client_bytes()
        assert 0 < total <= sent
        patch(lab, "wgp", "alice", suspensions=[])
        lab.wait_ready("wgp", "alice")
        wait_for("the tunnel to come back by itself", lab.ping, 30)
        # The device has begun to count anew, and the total goes on.
        wait_for("the total to go on", lambda: status(lab, "alice")["traffic"]["rxBytes"] > total)
        patch(lab, "wgp", "alice", keyGeneration=1)
        wait_for("new keys", lambda: status(lab, "alice").get("keyGeneration") == 1 and reason(lab, "alice") == "Ready")
        lab.disconnect()
        lab.connect("alice")
        wait_for("a ping with the new keys", lab.ping, 15)
    finally:
        lab.disconnect()
        lab.controller.end()
        device.daemon.end()


def read(lab: Lab, secret: str, key: str) -> str:
    """A value of a Secret."""
    return base64.b64decode(lab.get("secret", secret)["data"][key]).decode()


def test_a_peer_of_wg_easy_looks_and_behaves_as_any_other(lab: Lab, easy: WGEasyDouble) -> None:
    apply_peer(lab, "alice", serverRef={"name": "paris"}, routes=["192.168.77.0/24"])
    apply_peer(lab, "erik", serverRef={"name": "paris"}, limits={"download": "10M"})
    lab.start_controller()
    lab.wait_ready("wgs", "paris")
    lab.wait_ready("wgp", "alice")
    seen = status(lab, "alice")
    key = seen["publicKey"]
    assert easy.on_device()[key].startswith(seen["addresses"][0]) and "192.168.77.0/24" in easy.on_device()[key]
    assert read(lab, "alice-wireguard", "publicKey") == key
    assert f"PublicKey = {easy.pair.public}\n" in lab.configuration("alice")
    assert f"Endpoint = {easy.host}:51820\n" in lab.configuration("alice")
    wait_for("erik to be refused", lambda: reason(lab, "erik") == "NotSupported")
    refused = condition(lab, "erik")["message"]
    assert "wg-easy 15, which is behind WireGuardServer paris, cannot do spec.limits" in refused
    easy.talk(key, 5000, 7000)
    wait_for("the traffic", lambda: status(lab, "alice").get("traffic", {}).get("rxBytes") == 5000)
    assert status(lab, "alice")["online"] and status(lab, "alice")["phase"] == "Active"
    patch(lab, "wgp", "alice", suspensions=[{"reason": "non-payment"}])
    wait_for("alice to be suspended", lambda: reason(lab, "alice") == "Suspended")
    assert key not in easy.on_device()
    patch(lab, "wgp", "alice", suspensions=[])
    lab.wait_ready("wgp", "alice")
    # A controller that is killed and a device that is wiped meanwhile.
    lab.controller.end(kill=True)
    easy.wipe()
    lab.start_controller()
    wait_for("alice to be back on the device", lambda: key in easy.on_device())
    assert status(lab, "alice")["publicKey"] == key and status(lab, "alice")["traffic"]["rxBytes"] == 5000
    lab.kubectl("delete", "wgp", "alice", "--wait=true")
    wait_for("the client to be gone", lambda: not easy.clients)
    lab.kubectl("delete", "wgp", "erik", "--wait=true")
    lab.kubectl("delete", "wgs", "paris", "--wait=true")


def test_what_is_imported_goes_on_with_the_keys_and_addresses_that_clients_have(lab: Lab, easy: WGEasyDouble) -> None:
    easy.add("Alice's phone", "10.8.0.77")
    easy.add("Office Kassel", serverAllowedIps=["192.168.77.0/24"], enabled=False)
    key, ca = lab.directory / "wg0.conf", lab.directory / "ca.pem"
    key.write_text(f"PrivateKey = {easy.pair.private.reveal()}\n")
    ca.write_text(read(lab, "wg-easy", "ca.crt"))
    url = lab.get("wgs", "paris")["spec"]["dataPlane"]["wgEasy"]["url"]
    command = [*PYTHON, "import", "wg-easy", url, "--ca", str(ca), "--server-key", str(key), "--server", "rome"]
    command += ["-n", lab.namespace, "--kubeconfig", str(lab.plane.kubeconfig)]
    env = os.environ | {"WG_EASY_PASSWORD": easy.password}

    def run(*options: str) -> tuple[int, list[str]]:
        done = subprocess.run([*command, *options], env=env, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("note: ")]

    code, said = run()
    assert code == 0 and said[0].startswith("1 server, 2 peers, 3 Secrets; nothing was made in the cluster")
    assert "rome" not in lab.kubectl("get", "wgs", "-o", "name")
    assert run("--apply") == (0, ["made 1 server, 2 peers, 3 Secrets; there already: 0"])
    assert run("--apply") == (0, ["made 0 servers, 0 peers, 0 Secrets; there already: 6"])
    lab.start_controller()
    wait_for("the keys", lambda: reason(lab, "alice-s-phone", "KeysReady") == "KeysReady")
    wait_for("the office", lambda: reason(lab, "office-kassel") == "Disabled")
    client = easy.named("Alice's phone")
    config = lab.configuration("alice-s-phone")
    for line in (
        f"PrivateKey = {client['privateKey']}",
        f"Address = 10.8.0.77/32, {client['ipv6Address']}/128",
        f"PublicKey = {easy.pair.public}",
        f"PresharedKey = {client['preSharedKey']}",
        f"Endpoint = {easy.host}:51820",
    ):
        assert line in config.splitlines()
    assert status(lab, "office-kassel")["routes"] == ["192.168.77.0/24"]
    patch(lab, "wgp", "office-kassel", routes=["192.168.78.0/24"])
    code, said = run("--apply")
    assert (code, said[0]) == (1, "left as it is: WireGuardPeer office-kassel is there with another spec.routes")


async def _make(lab: Lab, begin: int) -> float:
    """Make many peers of berlin; seconds until all are Ready."""
    async with await KubeClient.connect(str(lab.plane.kubeconfig)) as client:
        gate = asyncio.Semaphore(16)

        async def make(number: int) -> None:
            meta = {"name": f"peer-{number}", "labels": {"wave": str(begin)}}
            spec = {"serverRef": {"name": "berlin"}}
            body = {"apiVersion": API_VERSION, "kind": "WireGuardPeer", "metadata": meta, "spec": spec}
            async with gate:
                await client.create(PEERS, lab.namespace, body)

        began = time.monotonic()
        await asyncio.gather(*(make(begin + n) for n in range(MANY)))
        async with asyncio.timeout(240):
            while await _ready(client, lab, begin) < MANY:  # noqa: ASYNC110 - nobody tells when
                await asyncio.sleep(0.2)
        return time.monotonic() - began


async def _ready(client: KubeClient, lab: Lab, wave: int) -> int:
    found = 0
    async for body in client.list(PEERS, lab.namespace, labels=f"wave={wave}"):
        conditions: list[dict[str, Any]] = body.get("status", {}).get("conditions", [])
        found += any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return found


def _cut(lab: Lab, begin: int) -> float:
    """The median time in which a peer of berlin leaves the device."""
    times = []
    for number in range(begin, begin + CUTS):
        key = status(lab, f"peer-{number}")["publicKey"]
        began = time.monotonic()
        patch(lab, "wgp", f"peer-{number}", enabled=False)
        wait_for("the cut", lambda k=key: k not in lab.host.allowed_ips())
        times.append(time.monotonic() - began)
    return statistics.median(times)


def _cpu(lab: Lab) -> float:
    """Seconds that the controller has worked so far."""
    assert lab.controller.process is not None
    fields = Path(f"/proc/{lab.controller.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wave(lab: Lab, begin: int) -> tuple[float, float]:
    """Seconds for making many peers of berlin, and the controller's work for it."""
    worked = _cpu(lab)
    return asyncio.run(_make(lab, begin)), _cpu(lab) - worked


@pytest.mark.timeout(900)
def test_a_system_that_never_answers_slows_nobody_else_down(lab: Lab, easy: WGEasyDouble) -> None:
    """A thousand peers of another server before the system hangs and while it does."""
    apply_server(lab, networks=["10.16.0.0/16"])
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    lab.wait_ready("wgs", "paris")
    alone, work_alone = _wave(lab, 0)
    for n in range(HELD):
        apply_peer(lab, f"held-{n}", serverRef={"name": "paris"})
    easy.hangs = True
    wait_for("it to be noticed", lambda: reason(lab, "paris", kind="wgs") == "SystemUnreachable", 240)
    beside, work_beside = _wave(lab, MANY)
    cut_beside = _cut(lab, 0)
    assert reason(lab, "paris", kind="wgs") == "SystemUnreachable"
    easy.hangs = False
    for n in range(HELD):
        lab.wait_ready("wgp", f"held-{n}", 180)
    cut_alone = _cut(lab, CUTS)
    print(f"{MANY} peers: {alone:.1f} s, {work_alone:.1f} s of work, a cut in {cut_alone:.3f} s")
    print(f"beside it: {beside:.1f} s, {work_beside:.1f} s of work, a cut in {cut_beside:.3f} s")
    assert work_beside < WORK * work_alone
    assert beside < TIME * alone and cut_beside < TIME * cut_alone + 1
