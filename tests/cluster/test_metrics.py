"""``/metrics`` of a real controller, with real traffic through a tunnel and a real API server."""

import socket
import urllib.error
import urllib.request

import pytest
from isp import apply_peer, apply_server, patch, reason, status

from tests.unit.controller.metrics.pages import Page
from tools.lab import Daemon, Lab, wait_for

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def page(port: int, accept: str = OPENMETRICS) -> Page:
    """The page; empty as long as nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - our own URL
            return Page(answer.read().decode())
    except urllib.error.URLError:
        return Page("")


def controller(lab: Lab, *options: str) -> tuple[Daemon, int]:
    """A controller with a page of metrics, started."""
    port = free_port()
    lab.controller = lab.new_controller("controller", "--metrics-port", str(port), *options)
    lab.start_controller()
    return lab.controller, port


def of_alice(lab: Lab) -> dict[str, str]:
    return {"namespace": lab.namespace, "peer": "alice", "server_namespace": lab.namespace, "server": "berlin"}


def of_server_and_peer(found: Page, server: dict[str, str], peer: dict[str, str]) -> bool:
    """Whether a server has sent as much as its peer has been sent."""
    sent = found.value("wireguard_server_transmit_bytes_total", server)
    return sent is not None and sent == found.value("wireguard_peer_transmit_bytes_total", peer)


@pytest.fixture
def tunnel_with_page(lab: Lab) -> tuple[Lab, int]:
    """A tunnel that answers, and the port of its controller's page."""
    apply_server(lab)
    apply_peer(lab, "alice")
    _, port = controller(lab, "--traffic-interval", "3600")
    lab.join_host()
    lab.wait_ready("wgp", "alice")
    lab.connect()
    wait_for("the first ping through the tunnel", lab.ping, 15)
    return lab, port


def test_a_subscriber_s_bytes_and_the_controller_s_work_are_on_the_page(tunnel_with_page: tuple[Lab, int]) -> None:
    lab, port = tunnel_with_page
    labels, berlin = of_alice(lab), {"namespace": lab.namespace, "server": "berlin"}

    def received() -> float:
        return page(port).value("wireguard_peer_receive_bytes_total", labels) or 0

    # The server counts what the subscriber has sent: a status of an hour ago would lag behind.
    def counts_alike() -> bool:
        return 0 < received() == lab.client_bytes()[1]

    wait_for("the bytes of the subscriber's own device", counts_alike)
    before = received()
    for _ in range(5):
        assert lab.ping()
    wait_for("more bytes", lambda: received() > before and counts_alike())
    assert status(lab, "alice")["traffic"]["rxBytes"] < received()
    found = wait_for("online", lambda: (p := page(port)).value("wireguard_peer_online", labels) == 1 and p)
    sent = found.value("wireguard_peer_transmit_bytes_total", labels)
    assert sent is not None and sent > 0
    # The only peer is all that its server has.
    wait_for("the server's bytes", lambda: of_server_and_peer(page(port), berlin, labels))
    assert found.value("wireguard_peers", {"phase": "Active"}) == 1
    wait_for(
        "the server's count", lambda: page(port).value("wireguard_server_peers", {**berlin, "state": "online"}) == 1
    )
    assert found.value("wireguard_server_ready", berlin) == 1
    assert found.value("wireguard_operator_leader") == 1
    created = {"verb": "create", "resource": "secrets", "code": "201"}
    assert (found.value("wireguard_operator_api_requests_total", created) or 0) >= 3  # of the CA, server and peer
    listed = {"verb": "list", "resource": "wireguardpeers", "code": "200"}
    assert found.value("wireguard_operator_api_requests_total", listed)
    written = {"kind": "wireguardpeers", "outcome": "written"}
    assert found.value("wireguard_operator_status_writes_total", written)
    assert found.value("wireguard_operator_agent_requests_total", {"operation": "counters", "outcome": "ok"})
    expiry = found.value("wireguard_operator_ca_expiry_timestamp_seconds")
    assert expiry is not None and expiry > 1.9e9


def test_a_cut_and_a_change_are_timed_and_totals_stay(tunnel_with_page: tuple[Lab, int]) -> None:
    lab, port = tunnel_with_page
    labels = of_alice(lab)
    wait_for("online", lambda: page(port).value("wireguard_peer_online", labels) == 1)
    before = page(port).value("wireguard_peer_receive_bytes_total", labels)
    patch(lab, "wgp", "alice", enabled=False)
    wait_for("the cut", lambda: reason(lab, "alice") == "Disabled")
    found = wait_for("offline", lambda: (p := page(port)).value("wireguard_peer_online", labels) == 0 and p)
    after = found.value("wireguard_peer_receive_bytes_total", labels)
    assert before is not None and after is not None and after >= before
    assert found.value("wireguard_peers", {"phase": "Disabled"}) == 1
    done = "wireguard_operator_programming_duration_seconds_count"
    assert found.value(done, {"kind": "cut"}) == 1
    patch(lab, "wgp", "alice", enabled=True)
    wait_for("the change", lambda: page(port).value(done, {"kind": "change"}) == 1)
    assert page(port).value(done, {"kind": "cut"}) == 1


def test_without_peer_metrics_the_page_has_no_series_for_single_peers(lab: Lab) -> None:
    apply_server(lab)
    apply_peer(lab, "alice")
    _, port = controller(lab, "--no-peer-metrics")
    lab.join_host()
    lab.wait_ready("wgp", "alice")
    found = wait_for("the peer", lambda: (p := page(port)).value("wireguard_peers", {"phase": "Inactive"}) == 1 and p)
    assert not [name for name, _ in found.samples if name.startswith("wireguard_peer_")]
    assert found.of("wireguard_server_peers")


def test_a_replica_that_stands_by_says_so_and_nothing_of_servers(lab: Lab) -> None:
    apply_server(lab)
    _, port = controller(lab, "--leader-elect")
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    standby_port = free_port()
    standby = lab.new_controller("standby", "--leader-elect", "--metrics-port", str(standby_port))
    try:
        standby.start()
        found = wait_for("its page", lambda: (p := page(standby_port)).samples and p)
        assert found.value("wireguard_operator_leader") == 0
        assert not found.of("wireguard_server_ready")
        assert page(port).value("wireguard_operator_leader") == 1
        lab.controller.end()
        wait_for("the takeover", lambda: page(standby_port).value("wireguard_operator_leader") == 1)
        wait_for("the server", lambda: page(standby_port).of("wireguard_server_ready"))
    finally:
        standby.end()
