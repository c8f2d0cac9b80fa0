"""A gateway for the tenants of a lab, and tokens of those who call it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from tools.controlplane import ControlPlane

from .daemon import Daemon
from .host import PYTHON
from .shell import sh, wait_for

AUDIENCE = "wireguard-gateway"
PORTAL_ACCOUNT = "wg-portal"
"""Has no rights; its tokens are those of tickets."""
# RBAC knows */config and wireguardpeers/config, but no wireguardpeers/*.
SUBRESOURCES = ("config", "suspend", "tickets")
RESOURCES = ["wireguardservers", "wireguardpeers", *(f"wireguardpeers/{name}" for name in SUBRESOURCES)]
CLIENT_RULES = [{"apiGroups": ["wireguard.dotmac.io"], "resources": RESOURCES, "verbs": ["*"]}]
"""All that a billing system does."""


class Gateway:
    """One process of the gateway, not started yet."""

    def __init__(self, plane: ControlPlane, directory: Path, tenants: list[str], *options: str) -> None:
        self.plane = plane
        self.tenants = tenants
        self.port = free_port()
        self.metrics_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*PYTHON, "gateway", "--kubeconfig", str(plane.kubeconfig), "--namespace", tenants[0]]
        command += [item for tenant in tenants for item in ("--watch-namespace", tenant)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        self.daemon = Daemon("gateway", directory / "gateway.log", [*command, *options])

    def start(self) -> None:
        """Start it and wait until it knows all objects."""
        metadata = {"name": PORTAL_ACCOUNT, "namespace": self.tenants[0]}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(account))
        self.daemon.start()
        wait_for("the gateway to be ready", self.is_ready, 60)

    def end(self) -> None:
        """End it."""
        self.daemon.end()

    def is_ready(self) -> bool:
        """Whether it says so. Raises RuntimeError with its log when it has ended."""
        if not self.daemon.runs:
            raise RuntimeError(f"the gateway has ended: {self.daemon.log.read_text()}")
        asked = ("curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}", f"{self.url}/readyz")
        return sh(*asked) == "200"

    def token(
        self,
        tenant: str,
        account: str = "billing",
        rules: list[dict[str, Any]] | None = None,
        audience: str = AUDIENCE,
    ) -> str:
        """A token of a ServiceAccount that may do in its tenant what the rules say; by default everything."""
        self._apply({"apiVersion": "v1", "kind": "ServiceAccount"}, account, tenant)
        self.allow(tenant, account, tenant, rules)
        return self.plane.kubectl("create", "token", account, "-n", tenant, f"--audience={audience}").strip()

    def allow(self, tenant: str, account: str, where: str, rules: list[dict[str, Any]] | None = None) -> None:
        """Let a ServiceAccount of one tenant do in another what the rules say."""
        rbac = "rbac.authorization.k8s.io"
        reference = {"apiGroup": rbac, "kind": "Role", "name": account}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": tenant}
        role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "rules": CLIENT_RULES if rules is None else rules}
        self._apply(role, account, where)
        binding = {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
        self._apply(binding, account, where)

    def _apply(self, body: dict[str, Any], name: str, namespace: str) -> None:
        named = body | {"metadata": {"name": name, "namespace": namespace}}
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(named))


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
