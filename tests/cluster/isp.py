"""What an administrator does and looks at, in a few words: apply a server or a peer, read status and conditions."""

import json
from typing import Any

from tools.lab import Lab

API_VERSION = "wireguard.dotmac.io/v1alpha1"


def apply(lab: Lab, kind: str, name: str, spec: dict[str, Any], namespace: str | None = None, **metadata: Any) -> None:
    """``kubectl apply`` of one object."""
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(body), namespace=namespace)


def apply_server(
    lab: Lab, name: str = "berlin", host: int = 0, labels: dict[str, str] | None = None, **spec: Any
) -> None:
    """A server on one of the lab's hosts."""
    plane = {"type": "Host", "host": {"url": lab.hosts[host].url}}
    base = {"endpoint": {"host": lab.hosts[host].address}, "networks": ["10.8.0.0/24"], "dataPlane": plane}
    apply(lab, "WireGuardServer", name, base | spec, labels=labels or {})


def apply_peer(lab: Lab, name: str, namespace: str | None = None, **spec: Any) -> None:
    """A peer, of server berlin unless said otherwise."""
    chosen = {} if "serverSelector" in spec else {"serverRef": {"name": "berlin"}}
    apply(lab, "WireGuardPeer", name, chosen | spec, namespace)


def patch(lab: Lab, kind: str, name: str, namespace: str | None = None, **spec: Any) -> None:
    """``kubectl patch --type=merge`` of the specification."""
    lab.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}), namespace=namespace)


def status(lab: Lab, name: str, kind: str = "wgp", namespace: str | None = None) -> dict[str, Any]:
    """The status of an object."""
    found: dict[str, Any] = lab.get(kind, name, namespace).get("status", {})
    return found


def condition(
    lab: Lab, name: str, type_: str = "Ready", kind: str = "wgp", namespace: str | None = None
) -> dict[str, Any]:
    """A condition of an object; empty when it is not there."""
    found = [c for c in status(lab, name, kind, namespace).get("conditions", ()) if c["type"] == type_]
    return found[0] if found else {}


def reason(lab: Lab, name: str, type_: str = "Ready", kind: str = "wgp", namespace: str | None = None) -> str:
    """The reason of a condition; empty when it is not there."""
    found: str = condition(lab, name, type_, kind, namespace).get("reason", "")
    return found


def peers(lab: Lab) -> list[dict[str, Any]]:
    """All peers of the tenant."""
    found: list[dict[str, Any]] = json.loads(lab.kubectl("get", "wgp", "-o", "json"))["items"]
    return found
