"""One tenant of a provider: controller, hosts and a subscriber."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.controlplane import ControlPlane, find_or_build

from .daemon import Daemon
from .host import PYTHON, Host
from .shell import ignoring, sh, unique, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
CONTROLLER_OPTIONS = ("--stats-interval", "0.5", "--traffic-interval", "1", "--sweep-interval", "5")


class Lab:
    """A namespace of the API server, a controller that serves it, server hosts and a subscriber."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.namespace = f"isp-{uuid.uuid4().hex[:8]}"
        self.tenants = [self.namespace]
        self.wireguard_go = find_or_build("wireguard-go")
        self._stack = ExitStack()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wireguard-lab-")))
        self.client_netns, self.client_interface = unique("wgc"), unique("wgc")
        self.hosts = [Host(2, self.directory, self.wireguard_go)]
        self.controller = self.new_controller()

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @property
    def host(self) -> Host:
        """The first host."""
        return self.hosts[0]

    def _build(self) -> None:
        self.plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        wait_for("the kinds to be served", lambda: self.plane.kubectl("get", "wgs,wgp", "-n", "default") is not None)
        self.plane.kubectl("create", "namespace", self.namespace)
        sh("ip", "netns", "add", self.client_netns)
        self._stack.callback(ignoring, "ip", "netns", "delete", self.client_netns)
        sh("ip", "-n", self.client_netns, "link", "set", "lo", "up")
        self.host.build(self.client_netns)

    def add_host(self) -> Host:
        """Another host."""
        host = Host(self.hosts[-1].number + 1, self.directory, self.wireguard_go)
        self.hosts.append(host)
        host.build(self.client_netns)
        return host

    def add_tenant(self, **labels: str) -> str:
        """Another namespace that the controller serves, to be made before it starts; its name."""
        name = f"isp-{uuid.uuid4().hex[:8]}"
        self.plane.kubectl("create", "namespace", name)
        if labels:
            self.plane.kubectl("label", "namespace", name, *(f"{key}={value}" for key, value in labels.items()))
        self.tenants.append(name)
        return name

    def new_controller(self, name: str = "controller", *options: str) -> Daemon:
        """A controller for this lab's tenants, not started yet."""
        command = [*PYTHON, "controller", "--kubeconfig", str(self.plane.kubeconfig), "--namespace", self.namespace]
        watched = [item for tenant in self.tenants for item in ("--watch-namespace", tenant)]
        return Daemon(name, self.directory / f"{name}.log", [*command, *watched, *CONTROLLER_OPTIONS, *options])

    def close(self) -> None:
        """End every process and remove what was made."""
        self.disconnect()
        self.controller.end()
        for host in self.hosts:
            host.close()
        for tenant in self.tenants:
            self._remove(tenant)
        self._stack.close()

    def _remove(self, tenant: str) -> None:
        """Delete a namespace and all in it; kube-controller-manager finishes that later."""
        with suppress(RuntimeError):
            self.plane.kubectl("delete", "namespace", tenant, "--wait=false")
            # A controller that was killed has left its finalizers.
            for server in self.kubectl("get", "wgs", "-o", "name", namespace=tenant).split():
                change = ("--type=merge", "-p", '{"metadata":{"finalizers":null}}')
                self.kubectl("patch", server, *change, namespace=tenant)

    def kubectl(self, *arguments: str, stdin: str | None = None, namespace: str | None = None) -> str:
        """kubectl in the tenant's namespace."""
        return self.plane.kubectl("-n", namespace or self.namespace, *arguments, stdin=stdin)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json", namespace=namespace))
        return found

    def apply_samples(self) -> None:
        """Apply the sample server, at this lab's host, and the sample peer."""
        samples = REPOSITORY / "manifests" / "samples"
        server = (samples / "server.yaml").read_text()
        server = server.replace("https://127.0.0.1:8443", self.host.url).replace("192.0.2.1", self.host.address)
        self.kubectl("apply", "-f", "-", stdin=server)
        self.kubectl("apply", "-f", str(samples / "peer.yaml"))

    def start_controller(self) -> None:
        """Start the controller; it is ready when it has done something."""
        self.controller.start()

    def join_host(self, server: str = "berlin", host: Host | None = None) -> None:
        """Give a host its bundle, as a person would, and start the agent with it."""
        bundle = sh(*PYTHON, "host-bundle", server, "-n", self.namespace, "--kubeconfig", str(self.plane.kubeconfig))
        (host or self.host).start(bundle)

    def wait_ready(self, kind: str, name: str, seconds: float = 60.0, namespace: str | None = None) -> None:
        """``kubectl wait --for=condition=Ready`` of an object."""
        wait = ("wait", f"{kind}/{name}", "--for=condition=Ready", f"--timeout={seconds:.0f}s")
        self.kubectl(*wait, namespace=namespace)

    def configuration(self, peer: str = "alice", namespace: str | None = None) -> str:
        """The peer's wg0.conf."""
        form = 'go-template={{index .data "wg0.conf" | base64decode}}'
        return self.kubectl("get", "secret", f"{peer}-wireguard", "-o", form, namespace=namespace)

    def connect(self, peer: str = "alice", configuration: str | None = None) -> None:
        """Bring the subscriber's tunnel up with wg-quick, from the Secret's wg0.conf or the given one."""
        path = self.directory / f"{self.client_interface}.conf"
        path.touch(mode=0o600)
        path.write_text(configuration or self.configuration(peer))
        env = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": str(self.wireguard_go)}
        sh("ip", "netns", "exec", self.client_netns, "wg-quick", "up", str(path), env=env)

    def disconnect(self) -> None:
        """Take the subscriber's tunnel down."""
        ignoring("ip", "-n", self.client_netns, "link", "delete", self.client_interface)

    def ping(self, address: str = "10.8.0.1", seconds: float = 1.0) -> bool:
        """Whether one ping of the subscriber is answered within ``seconds``."""
        command = ["ip", "netns", "exec", self.client_netns, "ping", "-n", "-c1", f"-W{seconds}", address]
        return subprocess.run(command, capture_output=True, timeout=seconds + 10, check=False).returncode == 0

    def client_bytes(self) -> tuple[int, int]:
        """What the subscriber's own device counts: received and sent bytes."""
        shown = sh("ip", "netns", "exec", self.client_netns, "wg", "show", self.client_interface, "transfer")
        _, received, sent = shown.split()
        return int(received), int(sent)
