"""A provider in miniature: controller, agent and subscriber as real processes, joined by a cable of network namespaces.

The demo and the cluster tests share it, so what people see is what is tested. The agent runs in a namespace of its
own but is reached through a listening socket that was opened outside and handed over (``--listen fd://N``); so
nothing is added to the machine's own network.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tools.controlplane import ControlPlane, find_or_build

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[1]
SERVER_ADDRESS, CLIENT_ADDRESS = "192.0.2.1", "192.0.2.2"
"""Of the cable between provider and subscriber (RFC 5737, TEST-NET-1)."""
CONTROLLER_OPTIONS = ("--stats-interval", "0.5", "--traffic-interval", "1")


class LabError(RuntimeError):
    """A command failed, or something did not happen in time; the text says what was seen last."""


def unique(prefix: str) -> str:
    """A name for an interface or a namespace, at most 15 characters (IFNAMSIZ)."""
    return f"{prefix}{uuid.uuid4().hex[:8]}"


def sh(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; its output. Raises LabError with what it said."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise LabError(f"{' '.join(command)}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what: str, probe: Callable[[], T], seconds: float = 60.0) -> T:
    """Ask until the answer is true, and return it. Raises LabError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer, trouble = probe(), ""
        except (LabError, RuntimeError, KeyError) as error:
            answer, trouble = None, str(error)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:.0f} s for {what}; last answer: {answer!r} {trouble}")
        time.sleep(0.05)


class Daemon:
    """A child process with a log file."""

    def __init__(self, name: str, log: Path, command: list[str]) -> None:
        self.name, self.log, self.command = name, log, command
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, stdin: str | None = None, *extra: str, pass_fds: tuple[int, ...] = ()) -> None:
        """Start it; ``stdin`` is written and closed."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *extra], stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=pass_fds
            )
        if self.process.stdin is not None:
            with suppress(BrokenPipeError), self.process.stdin as pipe:
                pipe.write((stdin or "").encode())

    def end(self, *, kill: bool = False) -> None:
        """SIGTERM, or SIGKILL; wait for its end."""
        if self.process is not None and self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)
        self.process = None


class Lab:
    """One tenant: a namespace of the API server, a controller that serves it, a server host and a subscriber."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.namespace = f"isp-{uuid.uuid4().hex[:8]}"
        self.wireguard_go = find_or_build("wireguard-go")
        self._stack = ExitStack()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wireguard-lab-")))
        self.server_netns, self.client_netns = unique("wgs"), unique("wgc")
        self.interface, self.client_interface = unique("wgs"), unique("wgc")
        self.socket = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.agent_url = f"https://127.0.0.1:{self.socket.getsockname()[1]}"
        python = [sys.executable, "-m", "wireguard_operator"]
        self.controller = Daemon(
            "controller",
            self.directory / "controller.log",
            [*python, "controller", "--kubeconfig", str(plane.kubeconfig), "--namespace", self.namespace,
             "--watch-namespace", self.namespace, *CONTROLLER_OPTIONS],
        )  # fmt: skip
        self.agent = Daemon(
            "agent",
            self.directory / "agent.log",
            ["ip", "netns", "exec", self.server_netns, *python, "agent", "--interface", self.interface,
             "--state-dir", str(self.directory / "agent"), "--wireguard-go", str(self.wireguard_go),
             "--listen", f"fd://{self.socket.fileno()}"],
        )  # fmt: skip

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _build(self) -> None:
        self.plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        wait_for("the kinds to be served", lambda: self.plane.kubectl("get", "wgs,wgp", "-n", "default") is not None)
        self.plane.kubectl("create", "namespace", self.namespace)
        for netns in (self.server_netns, self.client_netns):
            sh("ip", "netns", "add", netns)
            self._stack.callback(_ignoring, "ip", "netns", "delete", netns)
            sh("ip", "-n", netns, "link", "set", "lo", "up")
        ends = ("-n", self.server_netns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns")
        sh("ip", *ends, self.client_netns)
        for netns, address in ((self.server_netns, SERVER_ADDRESS), (self.client_netns, CLIENT_ADDRESS)):
            sh("ip", "-n", netns, "address", "add", f"{address}/24", "dev", "eth0")
            sh("ip", "-n", netns, "link", "set", "eth0", "up")

    def close(self) -> None:
        """End every process and remove what was made."""
        self.disconnect()
        self.controller.end()
        self.agent.end()
        # wireguard-go outlives its agent on purpose; it ends with its interface.
        _ignoring("ip", "-n", self.server_netns, "link", "delete", self.interface)
        with suppress(RuntimeError):
            self.kubectl("delete", "wgp,wgs,wgab,secrets", "--all", "--wait=false")
            self.plane.kubectl("delete", "namespace", self.namespace, "--wait=false")
        self._stack.close()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in the tenant's namespace."""
        return self.plane.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def apply_samples(self) -> None:
        """Apply the sample server, at this lab's agent, and the sample peer."""
        samples = REPOSITORY / "manifests" / "samples"
        server = (samples / "server.yaml").read_text().replace("https://127.0.0.1:8443", self.agent_url)
        self.kubectl("apply", "-f", "-", stdin=server)
        self.kubectl("apply", "-f", str(samples / "peer.yaml"))

    def start_controller(self) -> None:
        """Start the controller; it is ready when it has done something."""
        self.controller.start()

    def join_host(self, server: str = "berlin") -> None:
        """Give the host its bundle, as a person would, and start the agent with it."""
        bundle = sh(
            sys.executable, "-m", "wireguard_operator", "host-bundle", server, "-n", self.namespace,
            "--kubeconfig", str(self.plane.kubeconfig),
        )  # fmt: skip
        self.agent.start(bundle, "--bundle", "-", pass_fds=(self.socket.fileno(),))

    def restart_agent(self) -> None:
        """Start an agent that joined before."""
        self.agent.start(pass_fds=(self.socket.fileno(),))

    def wait_ready(self, kind: str, name: str, seconds: float = 60.0) -> None:
        """``kubectl wait --for=condition=Ready`` of an object."""
        self.kubectl("wait", f"{kind}/{name}", "--for=condition=Ready", f"--timeout={seconds:.0f}s")

    def configuration(self, peer: str = "alice") -> str:
        """The peer's wg0.conf."""
        form = 'go-template={{index .data "wg0.conf" | base64decode}}'
        return self.kubectl("get", "secret", f"{peer}-wireguard", "-o", form)

    def connect(self, peer: str = "alice") -> None:
        """Bring the subscriber's tunnel up with wg-quick from the Secret's wg0.conf."""
        path = self.directory / f"{self.client_interface}.conf"
        path.touch(mode=0o600)
        path.write_text(self.configuration(peer))
        env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": str(self.wireguard_go)}
        sh("ip", "netns", "exec", self.client_netns, "wg-quick", "up", str(path), env=env)

    def disconnect(self) -> None:
        """Take the subscriber's tunnel down."""
        _ignoring("ip", "-n", self.client_netns, "link", "delete", self.client_interface)

    def ping(self, address: str = "10.8.0.1", seconds: float = 1.0) -> bool:
        """Whether one ping of the subscriber is answered within ``seconds``."""
        command = ["ip", "netns", "exec", self.client_netns, "ping", "-n", "-c1", f"-W{seconds}", address]
        return subprocess.run(command, capture_output=True, timeout=seconds + 10, check=False).returncode == 0

    def client_bytes(self) -> tuple[int, int]:
        """What the subscriber's own device counts: received and sent bytes."""
        shown = sh("ip", "netns", "exec", self.client_netns, "wg", "show", self.client_interface, "transfer")
        _, received, sent = shown.split()
        return int(received), int(sent)


def _ignoring(*command: str) -> None:
    with suppress(LabError, OSError):
        sh(*command)
