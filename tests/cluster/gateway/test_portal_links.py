"""Links on the real API server: used once, told apart, revoked, expired, swept; and nobody else's."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_client import Provider, ok

from tools.lab import REPOSITORY, wait_for
from tools.lab.gateway import Gateway
from wireguard_operator.domain import tickets

Json = dict[str, Any]


@pytest.fixture(scope="module")
def alice(gateway: Provider) -> str:
    """The id of peer alice."""
    return id_of(gateway, "alice")


def id_of(gateway: Provider, name: str) -> str:
    found = ok(gateway.one.get("/peers", params={"limit": 100}))["peers"]
    return str(next(peer["id"] for peer in found if peer["name"] == name))


def issue(gateway: Provider, peer: str, scope: str = "config", **more: Any) -> Json:
    answer: Json = ok(gateway.one.post(f"/peers/{peer}/tickets", json={"scope": scope} | more), 201)
    return answer


class Link:
    """What a browser makes of a link."""

    def __init__(self, url: str) -> None:
        self.page, _, fragment = url.partition("#")
        self.token = fragment.removeprefix("t=")

    def ask(self, path: str, method: str = "GET", token: str | None = None) -> httpx.Response:
        given = self.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        return httpx.request(method, f"{self.page}/{path}", headers=headers, timeout=30, trust_env=False)

    def reveal(self, token: str | None = None) -> httpx.Response:
        return self.ask("config", "POST", token)


def secret_of(gateway: Provider, name: str) -> Json:
    return gateway.lab.get("secret", name, gateway.tenant)


def test_a_configuration_link_gives_the_very_configuration_once(gateway: Provider, alice: str) -> None:
    ticket = issue(gateway, alice)
    link = Link(ticket["url"])
    about = ok(link.ask("ticket"))
    assert (about["name"], about["scope"], about["expires_at"]) == ("alice", "config", ticket["expires_at"])
    answer = ok(link.reveal())
    assert answer["config"] == gateway.lab.configuration("alice")
    for again in (link.reveal(), link.ask("ticket")):
        assert again.status_code == 410
        assert "used" in again.json()["detail"]


def test_of_many_at_once_one_is_served(gateway: Provider, alice: str) -> None:
    link = Link(issue(gateway, alice)["url"])
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: link.reveal(), range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 11


def test_opening_the_page_uses_nothing_up_and_shows_nothing(gateway: Provider, alice: str) -> None:
    link = Link(issue(gateway, alice)["url"])
    pages = [httpx.request(method, link.page, trust_env=False) for method in ("GET", "HEAD", "GET")]
    other = httpx.get(link.page.rpartition("/")[0] + "/t-" + "0" * 20, trust_env=False)
    assert [page.status_code for page in pages] == [200] * 3 and pages[0].content == other.content, (
        "whether a ticket exists is not told"
    )
    assert pages[0].headers["cache-control"] == "no-store" and pages[0].headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in pages[0].headers["content-security-policy"]
    assert ok(link.reveal())["has_private_key"] is True


def test_the_status_that_comes_with_a_configuration_shows_no_key(gateway: Provider, alice: str) -> None:
    answer = ok(Link(issue(gateway, alice)["url"]).reveal())
    status = Link(f"{gateway.process.url}/p/{answer['status_ticket']}#t={answer['status_token']}")
    for _ in range(2):
        told = ok(status.ask("status"))
        assert told["name"] == "alice" and told["addresses"] == ["10.8.0.2/32"]
    assert status.reveal().status_code == 410
    assert len(told["usage"]["download"]) == 48


def test_no_token_but_its_own_opens_a_ticket(gateway: Provider, alice: str) -> None:
    one, other = Link(issue(gateway, alice)["url"]), Link(issue(gateway, alice)["url"])
    status = Link(issue(gateway, alice, "status")["url"])
    account = gateway.process.plane.kubectl("create", "token", "wg-portal", "-n", gateway.tenant).strip()
    for token in ("", "x", other.token, status.token, gateway.token, account, one.token[:-4] + "AAAA", "x" * 5000):
        assert one.reveal(token).status_code == 410, token[:20]
        assert one.ask("ticket", token=token).status_code == 410
    assert status.ask("status", token=one.token).status_code == 410
    ok(one.reveal())


def test_a_tickets_token_is_worth_nothing_elsewhere(gateway: Provider, alice: str) -> None:
    link = Link(issue(gateway, alice, "status")["url"])
    with gateway.client(link.token) as holder:
        assert holder.get("/peers").status_code == 401
    plane = gateway.process.plane
    kubeconfig = json.loads(plane.kubectl("config", "view", "--raw", "-o", "json"))
    server = kubeconfig["clusters"][0]["cluster"]["server"]
    headers = {"Authorization": f"Bearer {link.token}"}
    answer = httpx.get(f"{server}/api/v1/namespaces", headers=headers, verify=False, trust_env=False)  # noqa: S501
    assert answer.status_code == 401


def test_links_are_listed_without_what_opens_them_and_revoked(gateway: Provider, alice: str) -> None:
    ticket = issue(gateway, alice, "status", expires_in=3600)
    link = Link(ticket["url"])
    ok(link.ask("status"))
    listed = ok(gateway.one.get(f"/peers/{alice}/tickets"))
    entry = next(entry for entry in listed["tickets"] if entry["name"] == ticket["name"])
    assert entry["scope"] == "status" and entry["issued_by"].endswith(":billing") and "url" not in entry
    path = f"/peers/{alice}/tickets/{ticket['name']}"
    assert gateway.one.delete(path).status_code == 204
    # At once, though the API server's review says yes for ten more seconds.
    assert link.ask("status").status_code == 410
    assert gateway.one.delete(path).status_code == 404


def test_a_ticket_that_is_over_is_refused_and_not_listed(gateway: Provider, alice: str) -> None:
    ticket = issue(gateway, alice)
    over = f"{tickets.EXPIRY_ANNOTATION}=2020-01-01T00:00:00Z"
    gateway.lab.kubectl("annotate", "--overwrite", "secret", ticket["name"], over)
    assert Link(ticket["url"]).reveal().status_code == 410
    listed = ok(gateway.one.get(f"/peers/{alice}/tickets"))["tickets"]
    assert ticket["name"] not in [entry["name"] for entry in listed]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"scope": "config", "expires_in": 60}, "expires_in: a ticket of scope config lives from 600 to 1800 seconds"),
        ({"scope": "config", "expires_in": 86400}, "not 86400"),
        ({"scope": "register"}, "scope"),
        ({"scope": "admin"}, "scope"),
    ],
)
def test_a_link_that_cannot_be_is_refused_with_what_can(gateway: Provider, alice: str, body: Json, told: str) -> None:
    assert told in ok(gateway.one.post(f"/peers/{alice}/tickets", json=body), 422)["detail"]


def test_another_tenant_neither_issues_nor_sees_nor_revokes(gateway: Provider, alice: str) -> None:
    ticket = issue(gateway, alice)
    paths: list[tuple[str, str, Json | None]] = [
        ("POST", "/peers/{}/tickets", {"scope": "config"}),
        ("GET", "/peers/{}/tickets", None),
        ("GET", "/peers/{}/usage", None),
        ("DELETE", f"/peers/{{}}/tickets/{ticket['name']}", None),
    ]
    missing = "00000000-0000-4000-8000-000000000000"
    for method, path, body in paths:
        foreign = gateway.other.request(method, path.format(alice), json=body)
        nobody = gateway.other.request(method, path.format(missing), json=body)
        assert (foreign.status_code, foreign.text) == (404, nobody.text.replace(missing, alice))
    ok(Link(ticket["url"]).reveal())


def test_who_may_not_make_links_is_told_so(gateway: Provider, alice: str) -> None:
    rules = [
        {"apiGroups": ["wireguard.dotmac.io"], "resources": ["wireguardpeers"], "verbs": ["get", "list", "create"]}
    ]
    with gateway.client(gateway.process.token(gateway.tenant, "support", rules)) as support:
        wait_for("the role", lambda: support.get("/peers").status_code == 200)
        answer = support.post(f"/peers/{alice}/tickets", json={})
    assert answer.status_code == 403 and "may not create wireguardpeers/tickets" in answer.json()["detail"]


def test_a_link_of_a_deleted_peer_is_dead_even_if_another_takes_its_name(gateway: Provider) -> None:
    lab = gateway.lab
    manifest = (REPOSITORY / "manifests" / "samples" / "peer.yaml").read_text().replace("name: alice", "name: carl")
    lab.kubectl("apply", "-f", "-", stdin=manifest)
    lab.wait_ready("wgp", "carl")
    carl = wait_for("carl in the cache", lambda: _found(gateway, "carl"))
    config, status = Link(issue(gateway, carl)["url"]), Link(issue(gateway, carl, "status")["url"])
    ok(status.ask("status"))
    lab.kubectl("delete", "wgp", "carl")
    assert config.reveal().status_code == status.ask("status").status_code == 410
    lab.kubectl("apply", "-f", "-", stdin=manifest)
    lab.wait_ready("wgp", "carl")
    assert config.reveal().status_code == status.ask("status").status_code == 410
    lab.kubectl("delete", "wgp", "carl")


def _found(gateway: Provider, name: str) -> str | None:
    try:
        return id_of(gateway, name)
    except StopIteration:
        return None


def test_a_link_is_not_spent_while_there_is_no_configuration(gateway: Provider) -> None:
    lab = gateway.lab
    waiting = {
        "apiVersion": "wireguard.dotmac.io/v1alpha1",
        "kind": "WireGuardPeer",
        "metadata": {"name": "early"},
        "spec": {"serverRef": {"name": "not-there-yet"}},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(waiting))
    early = wait_for("the peer in the cache", lambda: _found(gateway, "early"))
    link = Link(issue(gateway, early)["url"])
    for _ in range(2):
        answer = link.reveal()
        assert answer.status_code == 409 and "still good" in answer.json()["detail"]
    lab.kubectl("patch", "wgp", "early", "--type=merge", "-p", '{"spec":{"serverRef":{"name":"berlin"}}}')
    lab.wait_ready("wgp", "early")
    assert ok(link.reveal())["config"] == lab.configuration("early")
    lab.kubectl("delete", "wgp", "early")


def test_a_look_at_a_key_is_on_record_and_neither_key_nor_token_is(gateway: Provider, alice: str) -> None:
    ticket = issue(gateway, alice)
    link = Link(ticket["url"])
    configuration = ok(link.reveal())["config"]
    assert link.reveal().status_code == 410
    log = gateway.log()
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{") and ticket["name"] in line]
    issued, revealed = records
    assert (issued["verb"], issued["resource"]) == ("create", "wireguardpeers/tickets")
    assert (revealed["verb"], revealed["resource"], revealed["name"]) == ("get", "wireguardpeers/config", "alice")
    assert revealed["issued_by"] == issued["user"] and revealed["requestId"]
    private = next(line for line in configuration.splitlines() if line.startswith("PrivateKey")).split(" = ")[1]
    assert private not in log and link.token not in log and link.token[-40:] not in log


def test_the_command_makes_the_same_link(gateway: Provider) -> None:
    lab, plane = gateway.lab, gateway.process.plane
    command = [sys.executable, "-m", "wireguard_operator", "peer-link", "alice", "-n", lab.namespace]
    command += ["--url", gateway.process.url + "/", "--tickets-namespace", lab.namespace]
    done = subprocess.run(
        [*command, "--kubeconfig", str(plane.kubeconfig)], capture_output=True, text=True, timeout=60, check=True
    )
    link = Link(done.stdout.strip())
    assert link.page.startswith(f"{gateway.process.url}/p/t-")
    assert ok(link.reveal())["config"] == lab.configuration("alice")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["alice"], "--url must be the gateway's, e.g. https://vpn.example.net, not ''"),
        (["alice", "--url", "vpn.example.net"], "not 'vpn.example.net'"),
        (["alice", "--url", "https://x", "--expires-in", "5"], "lives from 600 to 1800 seconds, not 5"),
        (["nobody", "--url", "https://x"], "there is no WireGuardPeer"),
        (["alice", "--url", "https://x", "--tickets-namespace", "not-there"], "--tickets-namespace names another"),
    ],
)
def test_the_command_says_what_is_wrong(gateway: Provider, options: list[str], told: str) -> None:
    command = [sys.executable, "-m", "wireguard_operator", "peer-link", "-n", gateway.tenant, *options]
    command += ["--kubeconfig", str(gateway.process.plane.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and told in done.stderr


def test_a_gateway_with_a_brand_serves_it_and_ends_over_a_wrong_one(gateway: Provider, tmp_path: Path) -> None:
    (tmp_path / "brand.css").write_text(":root { --accent: #0a7a5c; }")
    (tmp_path / "en.json").write_text('{"provider": "Fjordnett"}')
    branded = Gateway(gateway.process.plane, tmp_path, gateway.process.tenants, "--portal-brand", str(tmp_path))
    branded.daemon.log = tmp_path.parent / "branded.log"
    branded.daemon.start()
    try:
        wait_for("the gateway to be ready", branded.is_ready, 60)
        assert "#0a7a5c" in httpx.get(f"{branded.url}/portal/brand.css", trust_env=False).text
        assert httpx.get(f"{branded.url}/portal/strings.json", trust_env=False).json()["provider"] == "Fjordnett"
    finally:
        branded.daemon.end()
    (tmp_path / "page.html").write_text("")
    branded.daemon.start()
    process = branded.daemon.process
    assert process is not None and process.wait(60) == 1
    assert "page.html: a brand consists of files" in branded.daemon.log.read_text()


def test_tickets_that_are_over_are_swept_and_the_others_stay(gateway: Provider, alice: str) -> None:
    over, good = issue(gateway, alice), issue(gateway, alice, "status")
    annotate: Callable[[str], str] = lambda value: gateway.lab.kubectl(  # noqa: E731
        "annotate", "--overwrite", "secret", over["name"], f"{tickets.EXPIRY_ANNOTATION}={value}"
    )
    annotate("2020-01-01T00:00:00Z")
    # A gateway that starts sweeps first.
    gateway.process.daemon.end()
    gateway.process.start()
    names = lambda: gateway.lab.kubectl("get", "secrets", "-l", tickets.SELECTOR, "-o", "name")  # noqa: E731
    wait_for("the sweep", lambda: over["name"] not in names(), 30)
    assert good["name"] in names()
    ok(Link(good["url"]).ask("status"))
