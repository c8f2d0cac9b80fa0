"""A rolling upgrade of a server with many live subscribers, each with a session of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.cluster import OPERATOR, Cluster
from tests.node.outage import longest_gap, patience
from tests.node.outside import Site
from tests.node.tenant import Tenant, wait_until_all_are_gone
from tools.lab import REPOSITORY, wait_for
from wireguard_operator.domain.keys import generate_pair

LIVE = int(os.environ.get("WG_TEST_LIVE_PEERS", "50"))
"""A thousand take a core of their own, half of it for the server's side."""
INTERVAL = 0.5
QUANTILES = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
BASELINE = 20.0
"""Seconds that are measured before anything is changed: a busy machine has gaps of its own."""


@pytest.fixture(scope="module")
def tenant(cluster: Cluster) -> Iterator[Tenant]:
    cluster.install()
    tenant = Tenant(cluster, f"isp-{uuid.uuid4().hex[:8]}")
    tenant.create("privileged")
    yield tenant
    tenant.remove()
    wait_until_all_are_gone(cluster)
    cluster.uninstall()


def subscribe(tenant: Tenant, count: int) -> list[dict[str, str]]:
    """Peers with keys of their own, and what each must know; waits until all are on the device."""
    keys = {f"p{number}": generate_pair() for number in range(count)}
    base = {"apiVersion": "wireguard.dotmac.io/v1alpha1", "kind": "WireGuardPeer"}
    items = [
        {**base, "metadata": {"name": name}, "spec": {"serverRef": {"name": "berlin"}, "publicKey": pair.public}}
        for name, pair in keys.items()
    ]
    for start in range(0, count, 250):
        part = {"apiVersion": "v1", "kind": "List", "items": items[start : start + 250]}
        tenant.cluster.kubectl("-n", tenant.name, "create", "-f", "-", stdin=json.dumps(part), timeout=120)

    def ready() -> list[dict[str, str]] | None:
        found = {one["metadata"]["name"]: one.get("status", {}) for one in peers(tenant)}
        active = [name for name, status in found.items() if status.get("phase") in ("Active", "Inactive")]
        if len(active) < count:
            return None
        return [
            {"privateKey": keys[name].private.reveal(), "address": found[name]["addresses"][0].removesuffix("/32")}
            for name in keys
        ]

    return wait_for("all peers to be on the device", ready, 120) or []


def peers(tenant: Tenant) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tenant.kubectl("get", "wgp", "-o", "json"))["items"]
    return found


def pods(tenant: Tenant) -> set[str]:
    return set(tenant.kubectl("get", "pod", "-l", "wireguard.dotmac.io/server=berlin", "-o", "name").split())


def standby(tenant: Tenant) -> bool:
    return bool(tenant.status("wgs", "berlin").get("dataPlane", {}).get("standbyPods") == 1)


def tell(tenant: Tenant) -> None:
    """Print what controllers and agents have logged."""
    name = "app.kubernetes.io/name=wireguard-operator"
    print(tenant.cluster.kubectl("-n", OPERATOR, "logs", "-l", name, "--tail=-1"))
    for pod in pods(tenant):
        print(f"--- {pod}\n{tenant.kubectl('logs', pod)}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("policy", ["Cluster"])
def test_no_live_session_is_lost_by_a_rolling_upgrade(tenant: Tenant, home: Site, tmp_path: Path, policy: str) -> None:
    tenant.serve(replicas=2, policy=policy, networks=["10.8.0.0/16"])
    people = subscribe(tenant, LIVE)
    wait_for("a standby", lambda: standby(tenant), 90)
    key = tenant.kubectl("get", "secret", "berlin-wireguard-server", "-o", "jsonpath={.data.publicKey}")
    endpoint: str = tenant.status("wgs", "berlin")["endpoint"]
    host, _, port = endpoint.rpartition(":")
    plan, ready = tmp_path / "crowd.json", tmp_path / "ready"
    shape = {"server": [host, int(port)], "publicKey": b64decode(key).decode(), "target": "10.8.0.1"}
    plan.touch(mode=0o600)
    plan.write_text(json.dumps({**shape, "interval": INTERVAL, "ready": str(ready), "peers": people}))
    command = home.command(sys.executable, "-m", "tests.node.crowd", str(plan))
    crowd = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY)
    try:
        wait_for("everybody's first answer", ready.exists, 120)
        quiet = time.time()
        time.sleep(BASELINE)
        before, began, old, term = pods(tenant), time.time(), active(tenant), terms(tenant)
        # What an upgrade of the operator changes, the image, is not there twice here; this makes the same rollout.
        tenant.patch("wgs", "berlin", dataPlane={"resources": {"requests": {"memory": "32Mi"}}})
        wait_for("another pod to serve", lambda: active(tenant) != old, 180)
        moved = time.time()
        wait_for("other pods", lambda: len(pods(tenant)) == 2 and not before & pods(tenant), 180)
        wait_for("a standby", lambda: standby(tenant), 60)
        time.sleep(3)
        ended = time.time()
    finally:
        crowd.send_signal(signal.SIGINT)
        output = crowd.communicate(timeout=60)[0]
    tell(tenant)
    people_said = [person["answers"] for person in json.loads(output)["peers"]]
    print(f"\n{LIVE} live peers, a ping each {INTERVAL} s; without an answer beyond that:")
    print(f"  {BASELINE:.0f} s before the rollout: {figures(people_said, quiet, began)}")
    print(f"  the rollout, {ended - began:.0f} s: {figures(people_said, began, ended)}")
    print(f"  5 s around the hand-over: {figures(people_said, moved - 4, moved + 1)}")
    assert terms(tenant) == term + 1, "the pod that serves is replaced last, so that there is one hand-over only"
    base = worst(people_said, quiet, began)[-1]
    assert worst(people_said, began, ended)[-1] < (2 + INTERVAL) * patience() + base


def worst(answers: list[list[float]], began: float, ended: float) -> list[float]:
    """The longest time without an answer beyond the interval, by peer, sorted."""
    inside = [[moment for moment in one if began < moment < ended] for one in answers]
    return sorted(longest_gap(one, began, ended) - INTERVAL for one in inside)


def figures(answers: list[list[float]], began: float, ended: float) -> str:
    """Quantiles in words."""
    gaps = worst(answers, began, ended)
    return ", ".join(
        f"{name} {max(0.0, gaps[int(share * (len(gaps) - 1))]):.2f} s" for name, share in QUANTILES.items()
    )


def terms(tenant: Tenant) -> int:
    """How often another pod has begun to serve."""
    service = json.loads(tenant.kubectl("get", "service", "berlin-wireguard", "-o", "json"))
    return int(service["metadata"]["annotations"]["wireguard.dotmac.io/term"])


def active(tenant: Tenant) -> str:
    """The pod that serves."""
    return str(tenant.status("wgs", "berlin").get("dataPlane", {}).get("activePod"))
