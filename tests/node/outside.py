"""Outside the cluster: network namespaces of this machine, and a subscriber's device with the ordinary tools."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from pathlib import Path

from tests.node.tenant import Tenant
from tools.controlplane import find_or_build
from tools.lab import sh, wait_for


class Site:
    """A place that reaches the node."""

    def __init__(self, netns: str) -> None:
        self._netns = netns
        # Asked for before there is any tunnel, so it is the address of the cable.
        links = json.loads(sh("ip", "-n", netns, "-json", "-4", "address", "show", "scope", "global"))
        self.address: str = next(entry["local"] for link in links for entry in link.get("addr_info", ()))

    def command(self, *command: str) -> list[str]:
        """A command line that runs there."""
        return ["ip", "netns", "exec", self._netns, *command]


class Subscriber:
    """A device outside the cluster, with the ordinary tools."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.interface = f"wg{uuid.uuid4().hex[:8]}"
        self._directory = tempfile.TemporaryDirectory(prefix="subscriber-")
        self._path = Path(self._directory.name, f"{self.interface}.conf")

    def connect(self, tenant: Tenant, peer: str) -> None:
        form = 'go-template={{index .data "wg0.conf" | base64decode}}'
        self._path.touch(mode=0o600)
        self._path.write_text(tenant.kubectl("get", "secret", f"{peer}-wireguard", "-o", form))
        env = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": str(find_or_build("wireguard-go"))}
        sh(*self._site.command("wg-quick", "up", str(self._path)), env=env)

    def disconnect(self) -> None:
        # Deleting the link would leave the rules behind that keep the tunnel's addresses from coming in elsewhere.
        subprocess.run(self._site.command("wg-quick", "down", str(self._path)), capture_output=True, check=False)
        self._directory.cleanup()

    def endpoint(self) -> str:
        """Where the device believes that the server is: it follows whoever of the server's devices spoke last."""
        return sh(*self._site.command("wg", "show", self.interface, "endpoints")).split()[1]

    def ping(self, address: str = "10.8.0.1", seconds: float = 1.0) -> bool:
        command = self._site.command("ping", "-n", "-c1", f"-W{seconds}", "-I", self.interface, address)
        return subprocess.run(command, capture_output=True, timeout=seconds + 10, check=False).returncode == 0

    def wait_for_ping(self, address: str = "10.8.0.1", seconds: float = 30) -> None:
        wait_for(f"a ping to {address}", lambda: self.ping(address), seconds)
