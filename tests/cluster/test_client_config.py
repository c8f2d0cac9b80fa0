"""Client configurations before ``wg-quick`` and ``wg`` with a real device; ``config`` and ``qr`` on a real API server.

The text is compared in the unit tests; here WireGuard says what it understands by it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from tests.client_configs import (
    CASES,
    HOST,
    HOST_ADDRESS,
    PEER_PAIR,
    PRESHARED,
    SERVER_KEY,
    Case,
    Settings,
    any_settings,
    long_settings,
    settings,
    too_long_settings,
)
from tools.controlplane import ControlPlane, find_or_build
from tools.lab import LabError, sh, unique, wait_for
from wireguard_operator.api.peer import WireGuardPeer
from wireguard_operator.domain import secrets
from wireguard_operator.domain.client_config import EVERYTHING
from wireguard_operator.domain.key_ring import DEVICE, GENERATED, KeyRing

WITH_HOSTS = 'mount --bind "$1" /etc/hosts; shift; exec "$@"'
RESOLVCONF = '#!/bin/sh\n[ "$1" != -a ] || cat >"${0%/*}/resolvconf.txt"\n'


@dataclass(frozen=True)
class Namespace:
    """A network namespace with nothing but a loopback, where ``HOST`` is known by name."""

    name: str
    directory: Path

    def sh(self, *command: str, **options: Any) -> str:
        hosts = str(self.directory / "hosts")
        return sh("ip", "netns", "exec", self.name, "sh", "-ec", WITH_HOSTS, "-", hosts, *command, **options)


@dataclass(frozen=True)
class Device:
    """A WireGuard device, and the file that ``wg-quick`` would make it from."""

    namespace: Namespace
    interface: str

    def strip(self, text: str) -> str:
        """What ``wg-quick`` hands on to ``wg``."""
        path = self.namespace.directory / f"{self.interface}.conf"
        path.touch(mode=0o600)
        path.write_text(text)
        return sh("wg-quick", "strip", str(path))

    def set(self, stripped: str) -> None:
        path = self.namespace.directory / "stripped"
        path.write_text(stripped)
        self.namespace.sh("wg", "setconf", self.interface, str(path))

    def shows(self) -> "Shown":
        return read_dump(self.namespace.sh("wg", "show", self.interface, "dump"))


@dataclass(frozen=True)
class Shown:
    """``wg show DEVICE dump`` of a device with one peer (man 8 wg)."""

    private: str
    public: str
    peer: str
    preshared: str
    endpoint: str
    allowed: frozenset[Any]
    keepalive: str


def read_dump(dump: str) -> Shown:
    device, peer = dump.splitlines()
    private, public, _port, _mark = device.split("\t")
    key, preshared, endpoint, allowed, _handshake, _received, _sent, keepalive = peer.split("\t")
    networks = frozenset(ip_network(entry) for entry in allowed.split(","))
    return Shown(private, public, key, preshared, endpoint, networks, keepalive)


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    directory, name = tmp_path_factory.mktemp("client-config"), unique("wgf")
    (directory / "hosts").write_text(f"127.0.0.1 localhost\n{HOST_ADDRESS} {HOST}\n")
    sh("ip", "netns", "add", name)
    try:
        sh("ip", "-n", name, "link", "set", "lo", "up")
        yield Namespace(name, directory)
    finally:
        sh("ip", "netns", "delete", name)


@pytest.fixture(scope="module")
def device(namespace: Namespace) -> Iterator[Device]:
    interface = unique("wgf")
    command = ["ip", "netns", "exec", namespace.name, str(find_or_build("wireguard-go")), "-f", interface]
    with (namespace.directory / "wireguard-go.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for("the device", lambda: "wireguard" not in sh("wg", "show", interface, "public-key"), 15)
        yield Device(namespace, interface)
    finally:
        process.terminate()
        process.wait(15)


def wanted(asked: Settings, endpoint: str, allowed: tuple[str, ...], keepalive: str) -> Shown:
    keys = asked.keys
    return Shown(
        private=keys.private.reveal() if keys.private else "(none)",
        public=keys.public if keys.private else "(none)",
        peer=asked.server_key,
        preshared=keys.preshared.reveal() if keys.preshared else "(none)",
        endpoint=endpoint,
        allowed=frozenset(ip_network(entry) for entry in allowed),
        keepalive=keepalive,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_wg_takes_what_wg_quick_strips_and_shows_what_was_asked(device: Device, case: Case) -> None:
    stripped = device.strip(case.settings.text)
    assert not [line for line in stripped.splitlines() if line.startswith(("Address", "DNS", "MTU"))]
    device.set(stripped)
    assert device.shows() == wanted(case.settings, case.endpoint, case.allowed, case.keepalive)


@pytest.mark.parametrize("asked", [long_settings(), too_long_settings()], ids=["long", "longer than a QR code"])
def test_wg_takes_as_many_allowed_ips_as_a_peer_may_name(device: Device, asked: Settings) -> None:
    device.set(device.strip(asked.text))
    allowed = asked.client.allowed_ips or ()
    assert len(allowed) == 64
    assert device.shows().allowed == frozenset(ip_network(entry) for entry in allowed)


def test_a_device_held_key_goes_in_where_the_comment_is(device: Device) -> None:
    asked = settings(device_held=True, preshared=PRESHARED)
    lines = [
        f"PrivateKey = {PEER_PAIR.private.reveal()}" if line.startswith("# PrivateKey") else line
        for line in asked.text.splitlines()
    ]
    device.set(device.strip("\n".join(lines) + "\n"))
    assert device.shows() == wanted(settings(preshared=PRESHARED), f"{HOST_ADDRESS}:51820", EVERYTHING, "25")
    assert device.shows().peer == SERVER_KEY


@given(any_settings(names=False))
@hypothesis_settings(max_examples=25, deadline=None)
def test_wg_understands_any_settings_as_they_were_meant(device: Device, asked: Settings) -> None:
    server, client = asked.server, asked.client
    host, port = server.endpoint.host, server.endpoint.port or server.listen_port
    seconds = server.persistent_keepalive if client.persistent_keepalive is None else client.persistent_keepalive
    device.set(device.strip(asked.text))
    assert device.shows() == wanted(
        asked,
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        client.allowed_ips or server.client_allowed_ips or EVERYTHING,
        str(seconds or "off"),
    )


@pytest.mark.parametrize(
    ("name", "mtu", "resolver"),
    [
        ("dual stack", 1420, "nameserver 10.8.0.1\nnameserver fd00:8::1\nsearch corp.example\n"),
        ("the peer's settings instead of the server's", 1280, "nameserver 10.8.0.1\nsearch home.example\n"),
        ("keepalive and DNS turned off for the peer", 1420, None),
    ],
)
def test_wg_quick_up_sets_the_addresses_the_mtu_and_the_resolver(
    namespace: Namespace, tmp_path: Path, name: str, mtu: int, resolver: str | None
) -> None:
    case, interface = CASES[name], unique("wgq")
    config = tmp_path / f"{interface}.conf"
    config.touch(mode=0o600)
    config.write_text(case.text)
    # wg-quick looks for resolvconf in its own folder first: a copy of it finds one that only takes notes.
    quick, resolvconf = tmp_path / "wg-quick", tmp_path / "resolvconf"
    shutil.copy(shutil.which("wg-quick") or "", quick)
    resolvconf.write_text(RESOLVCONF)
    resolvconf.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(_delete_link, namespace, interface)
        env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": str(find_or_build("wireguard-go"))}
        namespace.sh(str(quick), "up", str(config), env=env)
        link = json.loads(namespace.sh("ip", "-json", "address", "show", "dev", interface))[0]
        shown = read_dump(namespace.sh("wg", "show", interface, "dump"))
    addresses = {f"{entry['local']}/{entry['prefixlen']}" for entry in link["addr_info"] if entry["scope"] == "global"}
    assert {ip_interface(address) for address in addresses} == {ip_interface(a) for a in case.settings.addresses}
    assert link["mtu"] == mtu
    notes = tmp_path / "resolvconf.txt"
    assert (notes.read_text() if notes.exists() else None) == resolver
    assert shown.allowed == frozenset(ip_network(entry) for entry in case.allowed)


def _delete_link(namespace: Namespace, interface: str) -> None:
    try:
        sh("ip", "-n", namespace.name, "link", "delete", interface)
    except LabError:
        links = sh("ip", "-n", namespace.name, "-brief", "link")
        assert interface not in links


# Our own commands. -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tenant(plane: ControlPlane) -> Iterator[str]:
    """A namespace with Secrets as the operator makes them: alice's, and bob's whose device keeps its key."""
    name = unique("cli-")
    plane.kubectl("create", "namespace", name)
    for peer, asked in (("alice", settings()), ("bob", settings(device_held=True)), ("carol", too_long_settings())):
        owner = WireGuardPeer.model_validate(
            {"metadata": {"name": peer, "namespace": name, "uid": "u"}, "spec": {"serverRef": {"name": "berlin"}}}
        )
        source = GENERATED if asked.keys.private else DEVICE
        data = secrets.peer_data(KeyRing(asked.keys, source=source), asked.text)
        secret = secrets.build(owner, "WireGuardPeer", secrets.peer_secret_name(peer), data)
        del secret["metadata"]["ownerReferences"]  # there is no such owner, and the garbage collector would notice
        plane.kubectl("-n", name, "create", "-f", "-", stdin=json.dumps(secret))
    try:
        yield name
    finally:
        plane.kubectl("-n", name, "delete", "secrets", "--all", "--wait=false")
        plane.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Operator:
    """The command line, as people run it."""

    kubeconfig: Path
    tenant: str

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "wireguard_operator", *arguments]
        command += ["-n", self.tenant, "--kubeconfig", str(self.kubeconfig)]
        return subprocess.run(command, capture_output=True, timeout=60, check=False, env=dict(os.environ))


@pytest.fixture
def operator(plane: ControlPlane, tenant: str) -> Operator:
    return Operator(plane.kubeconfig, tenant)


def test_config_prints_a_configuration_and_writes_one_that_wg_quick_takes_without_a_warning(
    operator: Operator, tmp_path: Path
) -> None:
    assert operator("config", "alice").stdout == settings().text.encode()
    path = tmp_path / "wg0.conf"
    assert operator("config", "alice", "-o", str(path)).returncode == 0
    stripped = subprocess.run(["wg-quick", "strip", str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert "[Peer]" in stripped.stdout and stripped.stderr == ""


def test_qr_writes_a_picture_that_a_reader_reads(operator: Operator, tmp_path: Path) -> None:
    path = tmp_path / "alice.png"
    done = operator("qr", "alice", "-o", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sh("zbarimg", "--quiet", "--raw", str(path)).removesuffix("\n") == settings().text
    assert path.stat().st_mode & 0o777 == 0o600


def test_qr_refuses_what_would_be_no_use_and_config_prints_it(operator: Operator) -> None:
    for peer, reason in (("bob", b"keeps its private key"), ("carol", b"2953"), ("dave", b"no WireGuardPeer")):
        done = operator("qr", peer)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"error: ") and reason in done.stderr
    assert operator("config", "bob").stdout == settings(device_held=True).text.encode()
    assert operator("config", "carol").stdout == too_long_settings().text.encode()
