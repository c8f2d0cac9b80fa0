"""A gateway for the tenants of a lab, and tokens of those who call it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

from tools.chart import NAMESPACE, render
from tools.controlplane import ControlPlane

from .daemon import Daemon
from .host import PYTHON
from .shell import sh, wait_for

AUDIENCE = "wireguard-gateway"
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
        self._name = f"wg-{tenants[0]}"
        command = [*PYTHON, "gateway", "--kubeconfig", str(self._identity()), "--namespace", tenants[0]]
        command += [item for tenant in tenants for item in ("--watch-namespace", tenant)]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        self.daemon = Daemon("gateway", directory / "gateway.log", [*command, *options])

    def start(self) -> None:
        """Start it and wait until it knows all objects."""
        self.plane.kubectl("apply", "-f", "-", stdin=self._rights())
        self.daemon.start()
        wait_for("the gateway to be ready", self.is_ready, 60)

    def end(self) -> None:
        """End it, and take its rights back."""
        self.daemon.end()
        self.plane.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=self._rights())

    def _identity(self) -> Path:
        """A kubeconfig with which the API server takes the process for the chart's ServiceAccount."""
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated")
        return self.plane.kubeconfig_for(f"system:serviceaccount:{NAMESPACE}:{self._name}-gateway", groups)

    def _rights(self) -> str:
        """The chart's roles and bindings, for the tenants of this lab: the process may do no more."""
        values = {
            "fullnameOverride": self._name,
            "gateway.enabled": "true",
            "gateway.tenants": "{" + ",".join(self.tenants) + "}",
            "gateway.tickets.namespace": self.tenants[0],
            "gateway.tickets.createNamespace": "false",
        }
        chosen = ",".join(f"{key}={value}" for key, value in values.items())
        return render("--show-only", "templates/gateway-rbac.yaml", "--set", chosen)

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
