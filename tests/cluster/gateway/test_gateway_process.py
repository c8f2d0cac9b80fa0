"""The process: probes, metrics, what it does while the API server is away, TLS, and how it stops."""

from __future__ import annotations

import os
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from gateway_client import API, Provider, ok

from tools.controlplane import ControlPlane, state
from tools.controlplane.pki import Authority
from tools.lab import REPOSITORY, wait_for
from tools.lab.gateway import Gateway


def get(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def test_the_probes_and_the_description_of_the_api_need_no_token(gateway: Provider) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/swagger-ui-bundle.js"):
        answer = get(gateway.process.url + path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    assert get(f"{gateway.process.url}/docs/passwd").status_code == 404


def test_nothing_on_the_page_of_the_description_comes_from_third_parties(gateway: Provider) -> None:
    page = get(f"{gateway.process.url}/docs").text
    assert "swagger-ui-bundle.js" in page
    assert "https://" not in page
    assert "http://" not in page


def test_a_path_that_is_not_there_is_answered_in_the_form_of_all_errors(gateway: Provider) -> None:
    assert ok(gateway.one.get("/nothing"), 404)["detail"].startswith("there is nothing at /api/v1/wireguard/nothing")
    assert "PUT is not possible" in ok(gateway.one.put("/peers"), 405)["detail"]
    answer = gateway.one.post("/peers", content=b"{", headers={"Content-Type": "application/json"})
    assert "the body is not JSON" in ok(answer, 422)["detail"]


def test_a_request_has_an_id_that_the_caller_may_choose_within_reason(gateway: Provider) -> None:
    assert gateway.one.get("/peers", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    forged = gateway.one.get("/peers", headers={"X-Request-ID": "a b\tc" + "x" * 99}).headers["X-Request-ID"]
    assert len(forged) == 32
    wait_for("the id in the log", lambda: "[abc-1]" in gateway.log())


def test_metrics_tell_of_requests_by_route_and_never_by_id(gateway: Provider) -> None:
    peer = ok(gateway.one.get("/peers"))["peers"][0]["id"]
    ok(gateway.one.get(f"/peers/{peer}"))
    page = get(f"http://127.0.0.1:{gateway.process.metrics_port}/metrics").text
    assert 'wireguard_gateway_requests_total{method="GET",route="/peers/{peer_id}",status="200"}' in page
    assert 'wireguard_gateway_reviews_total{review="token",source="cache"}' in page
    assert 'wireguard_gateway_cached_objects{kind="wireguardpeers"}' in page
    assert peer not in page
    assert gateway.tenant not in page


@pytest.fixture
def plane_of_its_own(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path / "plane") as plane:
        plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        plane.wait_for_definitions()
        plane.kubectl("create", "namespace", "isp")
        yield plane


def test_when_the_api_server_comes_back_the_gateway_goes_on(plane_of_its_own: ControlPlane, tmp_path: Path) -> None:
    """Without it: 503, and nobody let in. A request that is under way when the process is told to stop is answered."""
    with ExitStack() as stack:
        process = Gateway(plane_of_its_own, tmp_path, ["isp"], "--create-wait", "2")
        stack.callback(process.daemon.end)
        process.start()
        token = process.token("isp")
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=process.url + API, headers=headers, timeout=30, trust_env=False)
        stack.callback(client.close)
        server = {"name": "s", "public_endpoint": "vpn.example.net:51820", "server_ipv4": "10.8.0.1/24"}
        made = ok(client.post("/servers", json=server), 202)
        with paused(plane_of_its_own):
            answer = client.get("/peers", headers={"Authorization": "Bearer unknown"})
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            assert get(f"{process.url}/healthz").status_code == 200
        wait_for("answers", lambda: client.get(f"/servers/{made['id']}").status_code == 200)
        body = '{"apiVersion": "wireguard.dotmac.io/v1alpha1", "kind": "WireGuardPeer", "metadata": {"name": "late"},'
        body += '"spec": {"serverRef": {"name": "s"}}}'
        plane_of_its_own.kubectl("apply", "-n", "isp", "-f", "-", stdin=body)
        wait_for("the watch to go on", lambda: ok(client.get("/peers"))["total"] == 1)
        answers: list[int] = []
        peer = {"server_id": made["id"], "name": "last"}
        asking = threading.Thread(target=lambda: answers.append(client.post("/peers", json=peer).status_code))
        asking.start()
        wait_for("the peer", lambda: plane_of_its_own.kubectl("get", "wgp", "last", "-n", "isp", "-o", "name"))
        assert process.daemon.process is not None
        process.daemon.process.send_signal(signal.SIGTERM)
        asking.join(20)
        assert answers == [202]
        assert process.daemon.process.wait(20) == 0


class paused:  # noqa: N801 - reads as a word
    """The API server is stopped as if the machine hung, until the block ends."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def _signal(self, number: int) -> None:
        found = state.read(self._plane.directory)
        assert found is not None
        record = next(record for record in found.processes if record.name == "kube-apiserver")
        os.kill(record.pid, number)

    def __enter__(self) -> None:
        self._signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)


def test_with_a_certificate_it_speaks_tls(plane_of_its_own: ControlPlane, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "pki")
    pair = authority.server("gateway", "gateway", ["127.0.0.1"])
    options = ("--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key))
    process = Gateway(plane_of_its_own, tmp_path, ["isp"], *options)
    try:
        process.daemon.start()
        url = process.url.replace("http://", "https://")

        def answers() -> bool:
            context = ssl.create_default_context(cafile=str(authority.files.certificate))
            try:
                return httpx.get(f"{url}/healthz", verify=context, trust_env=False).status_code == 200
            except httpx.ConnectError:
                return False

        wait_for("an answer over TLS", answers)
    finally:
        process.daemon.end()
