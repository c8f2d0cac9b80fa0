"""A server with two pods: one serves, one stands by, and what a subscriber notices when they change places."""

from __future__ import annotations

import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.node.cluster import OPERATOR, Cluster
from tests.node.outage import Stream, longest_gap, patience, processes
from tests.node.outside import Site, Subscriber
from tests.node.tenant import Tenant, wait_until_all_are_gone
from tools.lab import wait_for

SILENCE = 6.0
"""Seconds for which the idle subscriber says nothing before the failure."""
WATCH = 4.0
"""Seconds for which both are watched after it."""
UNPLANNED = ("pod killed", "agent killed", "wireguard-go killed")


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[Cluster]:
    cluster.install()
    yield cluster
    wait_until_all_are_gone(cluster)
    cluster.uninstall()


class Pair:
    """A server with two pods, a busy subscriber and an idle one."""

    def __init__(self, tenant: Tenant, home: Site, internet: Site, policy: str) -> None:
        self.tenant, self.home, self.internet, self.policy = tenant, home, internet, policy
        self.busy, self.idle = Subscriber(home), Subscriber(internet)
        self.places = "", ""

    def connect(self) -> None:
        self.tenant.serve(replicas=2, policy=self.policy)
        for name, device in (("alice", self.busy), ("bob", self.idle)):
            self.tenant.apply("WireGuardPeer", name, serverRef={"name": "berlin"})
            self.tenant.wait_ready("wgp", name)
            device.connect(self.tenant, name)
            device.wait_for_ping()
        self.places = self.busy.endpoint(), self.idle.endpoint()
        self.settle()

    def tell(self) -> None:
        """Print what controllers and agents have logged."""
        cluster = self.tenant.cluster
        print(cluster.kubectl("-n", OPERATOR, "logs", "-l", "app.kubernetes.io/name=wireguard-operator", "--tail=-1"))
        for pod in self.pods():
            print(f"--- {pod}\n{self.tenant.kubectl('logs', pod)}")

    def plane(self) -> dict[str, object]:
        found: dict[str, object] = self.tenant.status("wgs", "berlin").get("dataPlane", {})
        return found

    def active(self) -> str:
        return str(self.plane()["activePod"])

    def pods(self) -> list[str]:
        found = self.tenant.kubectl("get", "pod", "-l", "wireguard.dotmac.io/server=berlin", "-o", "name").split()
        return [name.removeprefix("pod/") for name in found]

    def told(self) -> str:
        """Why another pod took over, of all times so far."""
        return self.tenant.kubectl(
            "get", "event", "--field-selector=reason=TakenOver", "-o", "jsonpath={..note}{..message}"
        )

    def settle(self) -> None:
        """Two pods, one of which could take over, and both subscribers with a session that the standby knows of."""
        wait_for("two pods", lambda: len(self.pods()) == 2, 90)
        wait_for("a standby", lambda: self.plane().get("standbyPods") == 1 and self.active() in self.pods(), 90)
        self.busy.wait_for_ping()
        self.idle.wait_for_ping()
        time.sleep(SILENCE)

    def nobody_is_led_astray(self) -> None:
        """Whoever hears a pod from another port than the Service's follows it there, and is lost with the next pod."""
        assert (self.busy.endpoint(), self.idle.endpoint()) == self.places

    def outage(self, fail: Callable[[], object]) -> tuple[float, float]:
        """Seconds without an answer, of the busy subscriber and of the idle one that begins to send right then."""
        busy = Stream(self.home, self.busy)
        time.sleep(1)
        with ThreadPoolExecutor(1) as beside:
            failing = beside.submit(fail)
            idle = Stream(self.internet, self.idle)
            failing.result()
        time.sleep(WATCH)
        ended = time.time()
        moments, late = busy.end(), idle.end()
        self.nobody_is_led_astray()
        return longest_gap(moments, busy.began, ended), longest_gap(late, idle.began, ended)

    def outage_of_a_rollout(self) -> tuple[float, float]:
        """The same while both pods are replaced, one after the other; the idle subscriber begins afterwards."""
        busy, before = Stream(self.home, self.busy), set(self.pods())
        self.tenant.patch("wgs", "berlin", dataPlane={"resources": {"requests": {"memory": "32Mi"}}})
        wait_for("other pods", lambda: len(self.pods()) == 2 and not before & set(self.pods()), 120)
        wait_for("a standby", lambda: self.plane().get("standbyPods") == 1, 60)
        ended = time.time()
        gap = longest_gap(busy.end(), busy.began, ended)
        return gap, self.outage(lambda: None)[1]


@pytest.fixture(scope="module", params=["Local", "Cluster"])
def pair(operator: Cluster, home: Site, internet: Site, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Two subscribers that have a session; with Cluster the pods do not see the subscribers' addresses."""
    tenant = Tenant(operator, f"isp-{uuid.uuid4().hex[:8]}")
    tenant.create("privileged")
    pair = Pair(tenant, home, internet, request.param)
    try:
        pair.connect()
        yield pair
    finally:
        pair.tell()
        pair.busy.disconnect()
        pair.idle.disconnect()
        tenant.remove()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("what", [*UNPLANNED, "pod deleted", "rollout"])
def test_subscribers_notice_little(pair: Pair, what: str) -> None:
    old, tenant = pair.active(), pair.tenant

    def fail() -> object:
        if what == "pod deleted":
            return tenant.kubectl("delete", "pod", old, "--wait=false")
        victims = processes(old)
        for name in victims if what == "pod killed" else [what.removesuffix(" killed")]:
            os.kill(victims[name], signal.SIGKILL)
        # One that is deleted by force while it runs may lead subscribers astray (docs/data-plane.md).
        force = ("--wait=false", "--grace-period=0", "--force")
        return tenant.kubectl("delete", "pod", old, *force) if what == "pod killed" else None

    outage = pair.outage_of_a_rollout() if what == "rollout" else pair.outage(fail)
    print(f"\n{what} ({pair.policy}): busy {outage[0]:.2f} s, idle {outage[1]:.2f} s")
    assert max(outage) < (2.0 if what in UNPLANNED else 1.0) * patience()
    if what != "wireguard-go killed":
        wait_for("another pod to serve", lambda: pair.active() != old, 60)
    if what in ("pod deleted", "rollout"):
        told = f"{pair.active()} serves from term \\d+ on: the former one is being deleted"
        wait_for("an Event that tells of a hand-over", lambda: re.search(told, pair.told()), 10)
    pair.settle()


@pytest.mark.timeout(120)
def test_one_pod_answers_and_the_other_is_silent(pair: Pair) -> None:
    active = pair.active()
    (standby,) = [name for name in pair.pods() if name != active]
    table = ("nft", "list", "table", "inet", "port_of_wireguard_wg0")
    rules = {name: pair.tenant.kubectl("exec", name, "--", *table) for name in (active, standby)}
    assert "@kept" in rules[active], "it is open while its agent runs"
    assert "@kept" not in rules[standby]
    assert rules[standby].count("drop") == 2
    received = ("cat", "/sys/class/net/wg0/statistics/rx_bytes")
    heard = {name: int(pair.tenant.kubectl("exec", name, "--", *received)) for name in (active, standby)}
    assert heard[active] > 0 == heard[standby], "nobody's packet was ever taken by the one that stands by"
    roles = pair.tenant.kubectl("get", "pod", "-L", "wireguard.dotmac.io/role", "--no-headers")
    assert {line.split()[0]: line.split()[-1] for line in roles.splitlines()} == {active: "active", standby: "standby"}
    selector = pair.tenant.get("service", "berlin-wireguard")["spec"]["selector"]
    assert selector["wireguard.dotmac.io/pod"] == active


@pytest.mark.timeout(240)
def test_a_pod_that_was_frozen_is_replaced_and_says_nothing_more_when_it_thaws(pair: Pair) -> None:
    old = pair.active()
    victims = processes(old)
    busy = Stream(pair.home, pair.busy)
    time.sleep(1)
    for name in ("agent", "wireguard-go"):
        os.kill(victims[name], signal.SIGSTOP)
    try:
        wait_for("another pod to serve", lambda: pair.active() != old, 30)
        time.sleep(WATCH)
    finally:
        thawed = time.time()
        for name in ("wireguard-go", "agent"):
            os.kill(victims[name], signal.SIGCONT)
    time.sleep(2 * WATCH)
    ended = time.time()
    moments = busy.end()
    gap = longest_gap([moment for moment in moments if moment < thawed], busy.began, thawed)
    after = longest_gap([moment for moment in moments if moment > thawed], thawed, ended)
    print(f"\npod frozen ({pair.policy}): busy {gap:.2f} s, and {after:.2f} s when it thaws")
    assert gap < 4 * patience()
    assert after < 2 * WATCH - 1, "it is longer where subscribers follow the wrong pod"
    pair.nobody_is_led_astray()
    pair.settle()
