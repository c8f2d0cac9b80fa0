"""The controller at work under the rights of the chart alone: nothing that it asks for is refused."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from isp import apply, apply_peer, apply_server, condition, patch, reason, status
from release import Release

from tools.controlplane import ControlPlane
from tools.lab import Daemon, Lab, sh, wait_for
from tools.lab.host import PYTHON
from tools.lab.lab import CONTROLLER_OPTIONS


def kubeconfig(one: Release, folder: Path) -> Path:
    """A kubeconfig with a token of the controller's ServiceAccount."""
    config = yaml.safe_load(one.plane.kubeconfig.read_text())
    token = one.plane.kubectl("create", "token", one.account, "-n", one.namespace, "--duration=1h").strip()
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def controller(one: Release, lab: Lab, config: Path, name: str = "controller") -> Daemon:
    """The controller as the chart's Deployment runs it, but for its intervals and ports."""
    deployment = json.loads(one.plane.kubectl("get", "deployment", one.account, "-n", one.namespace, "-o", "json"))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item.get("value", one.namespace) for item in container["env"]}
    env |= {"WIREGUARD_OPERATOR_NAMESPACE": one.namespace}
    env |= {f"WIREGUARD_OPERATOR_{of}_PORT": str(free_port()) for of in ("HEALTH", "METRICS")}
    pairs = [f"{key}={value}" for key, value in env.items()]
    command = ["env", *pairs, *PYTHON, *container["args"], "--kubeconfig", str(config), *CONTROLLER_OPTIONS]
    return Daemon(name, lab.directory / f"{name}.log", command)


def requests(audit_log: Path, user: str) -> list[dict[str, Any]]:
    """All requests of a user."""
    events = (json.loads(line) for line in audit_log.read_text().splitlines())
    return [event for event in events if event["user"]["username"] == user]


def live(lab: Lab) -> None:
    """A server and its peers from first to last, with all that makes the controller ask for something."""
    apply_server(lab, labels={"tier": "gold"})
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    apply_peer(lab, "alice")
    apply_peer(lab, "bob", serverSelector={"matchLabels": {"tier": "gold"}})
    key = sh("wg", "genkey").strip()
    lab.kubectl("create", "secret", "generic", "imports", f"--from-literal=privateKey={key}")
    apply_peer(lab, "carol", privateKeySecretRef={"name": "imports"})
    for peer in ("alice", "bob", "carol"):
        lab.wait_ready("wgp", peer)
    lab.connect()
    wait_for("the ping", lab.ping, 15)
    wait_for("traffic", lambda: status(lab, "alice").get("traffic", {}).get("rxBytes", 0) > 0)
    patch(lab, "wgp", "carol", keyGeneration=1)
    patch(lab, "wgs", "berlin", networks=["10.8.0.0/23"])
    patch(lab, "wgp", "alice", enabled=False)
    wait_for("the cut", lambda: reason(lab, "alice") == "Disabled")
    # The same news again.
    for enabled in (True, False, True):
        patch(lab, "wgp", "alice", enabled=enabled)
        wait_for("alice", lambda enabled=enabled: reason(lab, "alice") == ("Ready" if enabled else "Disabled"))
    live_of_pods(lab)
    lab.controller.end()
    lab.start_controller()
    wait_for("the next controller", lambda: lab.get("wgs", "berlin")["metadata"].get("finalizers"))
    lab.kubectl("delete", "wgs", "berlin", "--wait=false")
    wait_for("the reason", lambda: condition(lab, "berlin", kind="wgs").get("reason") == "WaitingForPeers")
    lab.kubectl("delete", "wgp", "alice")
    wait_for("the last usage", lambda: "FinalUsage" in lab.kubectl("get", "events"))
    lab.kubectl("delete", "wgp", "--all")
    wait_for("the server to go", lambda: not lab.kubectl("get", "wgs", "-o", "name"))


def live_of_pods(lab: Lab) -> None:
    """A server of type Pod: its objects are made, and made again; there is no node for its pod."""
    plane = {"type": "Pod", "service": {"type": "ClusterIP"}}
    apply(lab, "WireGuardServer", "lyon", {"networks": ["10.9.0.0/24"], "dataPlane": plane})
    kinds = "deployments,services,networkpolicies,poddisruptionbudgets"

    def made() -> list[str]:
        return lab.kubectl("get", kinds, "-o", "name").split()

    wait_for("a Deployment", lambda: any(name.startswith("deployment.apps/") for name in made()))
    wait_for("all of them", lambda: len({name.split("/")[0] for name in made()}) == 4)
    lab.kubectl("delete", "networkpolicies,deployments", "--all")
    wait_for("the repair", lambda: len({name.split("/")[0] for name in made()}) == 4)
    lab.kubectl("delete", "wgs", "lyon", "--timeout=20s")


@pytest.mark.parametrize("mode", ["all namespaces", "one namespace"])
@pytest.mark.timeout(400)
def test_the_controller_lives_on_the_rights_of_the_chart_alone(
    plane: ControlPlane, release: Callable[..., Release], audit_log: Path, tmp_path: Path, mode: str
) -> None:
    one = release("rights")
    with Lab(plane) as lab:
        names = "" if mode == "all namespaces" else f",watchNamespaces={{{lab.namespace}}}"
        one.install("--set", f"crds.install=false{names}")
        lab.controller = controller(one, lab, kubeconfig(one, tmp_path))
        live(lab)
        lab.controller.end()
        log = lab.controller.log.read_text()
    asked = requests(audit_log, one.user)
    refused = {
        f"{event['verb']} {event['requestURI'].split('?')[0]}"
        for event in asked
        if event["responseStatus"]["code"] == 403
    }
    assert len(asked) > 50, "the audit log must be that of this server"
    assert refused == set()
    assert "forbidden" not in log.lower()
    assert "Traceback" not in log
