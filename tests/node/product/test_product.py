"""The whole product in a cluster: installed with Helm, servers in pods, a subscriber outside, and what can happen."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.node.cluster import OPERATOR, Cluster
from tests.node.outage import Stream, longest_gap, patience
from tests.node.outside import Site, Subscriber
from tests.node.pods import make_pod
from tests.node.tenant import Tenant, wait_until_all_are_gone
from tools.lab import wait_for


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[Cluster]:
    """The chart, installed."""
    cluster.install()
    yield cluster
    wait_until_all_are_gone(cluster)
    cluster.uninstall()


@pytest.fixture
def tenant(operator: Cluster) -> Iterator[Tenant]:
    """A namespace that admits server pods."""
    tenant = Tenant(operator, f"isp-{uuid.uuid4().hex[:8]}")
    tenant.create("privileged")
    yield tenant
    tenant.remove()


@pytest.fixture
def subscriber(home: Site) -> Iterator[Subscriber]:
    device = Subscriber(home)
    yield device
    device.disconnect()


@pytest.fixture
def connected(tenant: Tenant, subscriber: Subscriber) -> Tenant:
    """A server, a peer, and the subscriber's ping answered."""
    tenant.serve()
    tenant.apply("WireGuardPeer", "alice", serverRef={"name": "berlin"})
    tenant.wait_ready("wgs", "berlin")
    tenant.wait_ready("wgp", "alice")
    subscriber.connect(tenant, "alice")
    subscriber.wait_for_ping()
    return tenant


def replicas(cluster: Cluster, count: int) -> None:
    change = f'{{"spec":{{"replicas":{count}}}}}'
    cluster.kubectl("-n", OPERATOR, "patch", "deployment", "wireguard-operator", "--type=merge", "-p", change)


def controllers(cluster: Cluster) -> list[str]:
    return cluster.kubectl("-n", OPERATOR, "get", "pod", "-o", "name").split()


@pytest.mark.timeout(240)
def test_from_helm_install_to_the_first_ping_through_a_pod_takes_less_than_a_minute(
    cluster: Cluster, request: pytest.FixtureRequest
) -> None:
    began = time.monotonic()
    request.getfixturevalue("operator")
    tenant: Tenant = request.getfixturevalue("tenant")
    subscriber: Subscriber = request.getfixturevalue("subscriber")
    tenant.serve()
    tenant.apply("WireGuardPeer", "alice", serverRef={"name": "berlin"})
    tenant.wait_ready("wgp", "alice")
    subscriber.connect(tenant, "alice")
    subscriber.wait_for_ping()
    seconds = time.monotonic() - began
    print(f"\nfrom helm install to the first ping: {seconds:.1f} s")
    assert seconds < 60


@pytest.mark.timeout(240)
def test_a_subscriber_reaches_pods_and_the_internet_is_counted_and_cut_when_it_must_be(
    connected: Tenant, subscriber: Subscriber, internet: Site
) -> None:
    # A pod that no NetworkPolicy closes, as some clusters enforce those; the internet knows nothing of the tunnel's
    # addresses, nor of pods'.
    neighbour = make_pod("neighbour", connected.cluster.image, command=["sleep", "infinity"])
    connected.kubectl("apply", "-f", "-", stdin=json.dumps(neighbour))
    connected.wait_ready("pod", "neighbour")
    subscriber.wait_for_ping(connected.status("pod", "neighbour")["podIP"])
    subscriber.wait_for_ping(internet.address)
    wait_for("the bytes in the status", lambda: connected.status("wgp", "alice").get("traffic", {}).get("rxBytes"), 120)
    for cut, back in (
        ({"enabled": False}, {"enabled": True}),
        ({"suspensions": [{"reason": "x"}]}, {"suspensions": []}),
    ):
        connected.patch("wgp", "alice", **cut)
        began = time.monotonic()
        wait_for("the ping to stop", lambda: not subscriber.ping(seconds=0.3), 10)
        assert time.monotonic() - began < 1.5  # a third of a second of it is the ping's own
        connected.patch("wgp", "alice", **back)
        subscriber.wait_for_ping()
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    connected.patch("wgp", "alice", expiresAt=expiry)
    wait_for("the tunnel to expire", lambda: not subscriber.ping(seconds=0.3), 15)
    connected.patch("wgp", "alice", expiresAt=None)
    subscriber.wait_for_ping()
    connected.kubectl("delete", "wgp", "alice")
    wait_for("the ping to stop", lambda: not subscriber.ping(seconds=0.3), 5)


@pytest.mark.timeout(240)
def test_a_killed_pod_comes_back_and_serves_its_peers_with_the_controller_away(
    connected: Tenant, subscriber: Subscriber
) -> None:
    wait_for("the boot Secret", lambda: connected.get("secret", "berlin-boot-0"))
    replicas(connected.cluster, 0)
    wait_for("the controllers to be away", lambda: not controllers(connected.cluster))
    assert subscriber.ping()
    old = connected.pod()
    connected.kubectl("delete", "pod", old, "--grace-period=0", "--force")
    wait_for("a new pod", lambda: connected.pod() != old)
    began = time.monotonic()
    subscriber.wait_for_ping(seconds=60)
    print(f"\nthe ping came back {time.monotonic() - began:.1f} s after the new pod was made, without a controller")
    replicas(connected.cluster, 2)
    connected.patch("wgp", "alice", enabled=False)
    wait_for("the new controllers to obey", lambda: not subscriber.ping(seconds=0.3), 60)


@pytest.mark.timeout(240)
def test_a_pod_that_is_alone_and_new_is_told_where_its_peers_are(
    connected: Tenant, subscriber: Subscriber, home: Site
) -> None:
    # The controller has seen it there; it looks every 30 s.
    wait_for("the peer to be online", lambda: connected.status("wgp", "alice").get("online"), 60)
    busy, old = Stream(home, subscriber), connected.pod()
    time.sleep(1)
    connected.kubectl("delete", "pod", old, "--grace-period=0", "--force", "--wait=false")
    wait_for("a new pod", lambda: connected.pod() != old)
    connected.wait_ready("pod", connected.pod())
    began = time.time()
    time.sleep(10 * patience())
    ended = time.time()
    moments = busy.end()
    gap = longest_gap(moments, busy.began, ended)
    late = next((moment for moment in moments if moment > began), ended) - began
    print(f"\none pod, killed: {gap:.1f} s without an answer, {late:.1f} s of it after the new pod was ready")
    assert late < 5 * patience(), "WireGuard's own timers take 15 s"


@pytest.mark.timeout(240)
def test_a_killed_leader_is_replaced_and_an_upgrade_and_an_uninstallation_leave_the_tunnels(
    connected: Tenant, subscriber: Subscriber
) -> None:
    cluster = connected.cluster
    lease = ("-n", OPERATOR, "get", "lease", "wireguard-operator", "-o", "jsonpath={.spec.holderIdentity}")
    leader = cluster.kubectl(*lease)
    pod = next(name for name in controllers(cluster) if name.removeprefix("pod/") in leader)
    cluster.kubectl("-n", OPERATOR, "delete", pod, "--grace-period=0", "--force")
    assert subscriber.ping()
    connected.patch("wgp", "alice", enabled=False)
    wait_for("the other controller to obey", lambda: not subscriber.ping(seconds=0.3), 60)
    connected.patch("wgp", "alice", enabled=True)
    subscriber.wait_for_ping()
    old = connected.pod()
    cluster.install("--set", "controller.podAnnotations.upgraded=yes")
    cluster.kubectl("-n", OPERATOR, "rollout", "status", "deployment/wireguard-operator", "--timeout=60s")
    assert connected.pod() == old and subscriber.ping()
    cluster.uninstall()
    wait_for("the controllers to be away", lambda: not controllers(cluster))
    assert subscriber.ping(), "tunnels stay until servers are deleted"
    cluster.install()
    connected.wait_ready("wgs", "berlin")
    assert connected.pod() == old and subscriber.ping()


@pytest.mark.timeout(240)
def test_a_drained_node_gives_the_pod_up_and_serves_again_when_it_is_back(
    connected: Tenant, subscriber: Subscriber
) -> None:
    cluster = connected.cluster
    old = connected.pod()
    node: str = connected.get("pod", old)["spec"]["nodeName"]
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    try:
        cluster.kubectl(*drain, "--pod-selector=wireguard.dotmac.io/server", timeout=90)
        wait_for("the pod to go", lambda: not _runs(connected, old))
    finally:
        cluster.kubectl("uncordon", node)
    wait_for("a new pod", lambda: connected.pod() != old)
    connected.wait_ready("wgs", "berlin")
    subscriber.wait_for_ping(seconds=60)


def _runs(tenant: Tenant, pod: str) -> bool:
    return bool(tenant.kubectl("get", "pod", pod, "--ignore-not-found", "-o", "name"))


@pytest.mark.timeout(240)
def test_peers_are_isolated_where_the_server_says_so_and_see_one_another_where_not(
    tenant: Tenant, subscriber: Subscriber, internet: Site
) -> None:
    other = Subscriber(internet)
    try:
        tenant.serve()
        for name, device in (("alice", subscriber), ("bob", other)):
            tenant.apply("WireGuardPeer", name, serverRef={"name": "berlin"}, client={"allowedIPs": ["10.8.0.0/24"]})
            tenant.wait_ready("wgp", name)
            device.connect(tenant, name)
            device.wait_for_ping()
        bob = tenant.status("wgp", "bob")["addresses"][0].removesuffix("/32")
        subscriber.wait_for_ping(bob)
        tenant.patch("wgs", "berlin", egress={"isolation": True})
        wait_for("the ping to bob to stop", lambda: not subscriber.ping(bob, 0.3), 15)
        assert subscriber.ping() and other.ping(), "the server itself goes on"
        tenant.patch("wgs", "berlin", egress={"isolation": False})
        subscriber.wait_for_ping(bob)
    finally:
        other.disconnect()


@pytest.mark.timeout(120)
def test_a_namespace_that_admits_no_server_pods_is_told_as_the_reason(operator: Cluster) -> None:
    tenant = Tenant(operator, f"isp-{uuid.uuid4().hex[:8]}")
    tenant.create("restricted")
    try:
        tenant.serve()

        def told() -> str:
            conditions = tenant.status("wgs", "berlin").get("conditions", ())
            return next((c["message"] for c in conditions if c["type"] == "Programmed"), "")

        wait_for("Kubernetes' own words", lambda: "violates PodSecurity" in told(), 60)
    finally:
        tenant.remove()
