"""Every file of manifests/samples does what its first line says."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from isp import reason, status

from tools.lab import REPOSITORY, Lab, wait_for

SAMPLES = sorted((REPOSITORY / "manifests" / "samples").glob("*.yaml"))
READY = {
    "alice": "Ready",
    "bob": "Suspended",
    "dora": "Ready",
    "erik": "Ready",
    "frida": "Ready",
    "office-kassel": "Ready",
    "gerda": "Ready",
    "hanna": "Ready",
    "ida": "Ready",
    "jonas": "WalledGarden",
    "meter-17": "Ready",
}
"""The reason of Ready by peer; all are True."""


def documents(lab: Lab, tenant: str) -> Iterator[dict[str, Any]]:
    """All objects, with the lab's namespaces and hosts in the place of those that people write."""
    hosts = iter(lab.hosts)
    for path in SAMPLES:
        text = (
            path.read_text().replace("tenant-gold", tenant).replace("namespace: default", f"namespace: {lab.namespace}")
        )
        for document in yaml.safe_load_all(text):
            if _is_host(document):
                document["spec"]["dataPlane"]["host"]["url"] = next(hosts).url
            yield document


def _is_host(document: dict[str, Any]) -> bool:
    return document["kind"] == "WireGuardServer" and document["spec"]["dataPlane"]["type"] == "Host"


@pytest.mark.timeout(400)
def test_all_samples_together_come_up_as_they_say(lab: Lab) -> None:
    tenant = lab.add_tenant(plan="gold")
    lab.add_host()
    lab.add_host()
    lab.controller = lab.new_controller()
    objects = list(documents(lab, tenant))
    for document in objects:
        namespace = document["metadata"].get("namespace", lab.namespace)
        lab.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(document), namespace=namespace)
    lab.start_controller()
    servers = [document["metadata"]["name"] for document in objects if _is_host(document)]
    for name, host in zip(servers, lab.hosts, strict=True):
        lab.join_host(name, host)
        lab.wait_ready("wgs", name)
    peers = {d["metadata"]["name"]: d["metadata"].get("namespace") for d in objects if d["kind"] == "WireGuardPeer"}
    assert peers.keys() == READY.keys(), "a new sample wants a line in READY"
    for name, namespace in peers.items():
        lab.wait_ready("wgp", name, namespace=namespace)
        wait_for(f"{name} to be {READY[name]}", lambda n=name, ns=namespace: reason(lab, n, namespace=ns) == READY[n])
    assert status(lab, "madrid", "wgs")["phase"] == "Maintenance"
    assert status(lab, "dora")["serverRef"]["name"] == "frankfurt"
    assert status(lab, "frida")["addresses"][0] == "10.64.7.7/32"
    assert status(lab, "office-kassel")["routes"] == ["10.130.0.0/16", "2001:db8:130::/48"]
    assert "AllowedIPs = 10.64.0.0/16\n" in lab.configuration("gerda")
    assert "# PrivateKey" in lab.configuration("erik")
    table = lab.kubectl("get", "wgp").splitlines()
    assert table[0].split() == ["NAME", "SERVER", "ADDRESS", "PHASE", "ONLINE", "LAST", "HANDSHAKE", "AGE"]
    found = lab.kubectl("get", "wgp", "--field-selector", "spec.subscriber.customerId=4711,status.phase=Inactive")
    assert "office-kassel" in found and "dora" not in found
    listed = lab.kubectl("get", "wireguard", "-o", "name").split()
    # Two servers in pods, two that other systems carry, and all peers but the tenant's.
    assert len(listed) == len(lab.hosts) + 4 + len(READY) - 1
    for name in ("lyon", "porto"):  # there is no such system here
        wait_for(f"{name} to be looked for", lambda n=name: reason(lab, n, kind="wgs") == "SystemUnreachable")
    # No node runs here, nor a load balancer: tests/node has the rest of it.
    assert reason(lab, "oslo", kind="wgs") == "EndpointPending"
    assert lab.get("deployment", "bergen-wireguard")["spec"]["replicas"] == 2
    assert "oslo-wireguard" in lab.kubectl("get", "deployment,service", "-o", "name")
