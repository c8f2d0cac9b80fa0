"""The controller's port for agents: real TLS and real WebSockets on loopback, before an API server that is none."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from wireguard_operator.agent import controller_port, dial, joining, protocol, tls
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.controller_port import PortError
from wireguard_operator.agent.dial import Dialer
from wireguard_operator.agent.exchange import Exchange
from wireguard_operator.agent.identity import Identity
from wireguard_operator.agent.store import Store
from wireguard_operator.api.base import Key
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.controller.agents import enrolment
from wireguard_operator.controller.agents.authority import Authority
from wireguard_operator.controller.agents.client import AgentError, AgentUnreachable
from wireguard_operator.controller.agents.dial_in import DialIn
from wireguard_operator.controller.agents.dialled import Dialled, DialledAgent, Link
from wireguard_operator.controller.agents.enrolment import Enrolments
from wireguard_operator.controller.metrics.process import Metrics
from wireguard_operator.domain import certificates, host_tokens
from wireguard_operator.domain.certificates import Usage
from wireguard_operator.domain.host_tokens import HostToken
from wireguard_operator.kube.errors import Conflict, KubeError, NotFound, Unavailable
from wireguard_operator.kube.resources import ResourceType

BERLIN, PARIS = Key("isp", "berlin"), Key("isp", "paris")


def server(key: Key = BERLIN, **host: Any) -> WireGuardServer:
    return WireGuardServer.model_validate(
        {
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": f"uid of {key}"},
            "spec": {"networks": ["10.8.0.0/24"], "dataPlane": {"type": "Host", "host": host or {"dial": True}}},
        }
    )


class Cluster:
    """Servers and Secrets."""

    def __init__(self) -> None:
        self.servers = {BERLIN: server()}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.refuse_get: KubeError | None = None
        self.refuse_delete: KubeError | None = None

    async def get(self, kind: ResourceType, namespace: str, name: str) -> dict[str, Any]:
        if self.refuse_get is not None:
            raise self.refuse_get
        await asyncio.sleep(0)
        if name not in self.secrets:
            raise NotFound(name)
        return self.secrets[name]

    async def delete(self, kind: ResourceType, namespace: str, name: str, *, uid: str | None = None) -> None:
        if self.refuse_delete is not None:
            raise self.refuse_delete
        await asyncio.sleep(0)
        if name not in self.secrets:
            raise NotFound(name)
        if self.secrets[name]["metadata"]["uid"] != uid:
            raise Conflict(name)
        del self.secrets[name]


class Site:
    """The port, and hosts that come to it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.authority = Authority(certificates.make_authority(self.now), lambda: self.now)
        self.cluster = Cluster()
        self.dialled = Dialled(is_open=True)
        self.connected: list[Key] = []
        self.dialled.connected = self.connected.append
        enrolments = Enrolments(
            self.cluster, self.cluster.servers.get, self.authority, lambda: self.now, timedelta(days=90)
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.port = DialIn(self.authority, enrolments, self.dialled, self.may_dial)

    def may_dial(self, key: Key) -> bool:
        found = self.cluster.servers.get(key)
        host = found.spec.data_plane.host if found is not None else None
        return host is not None and host.dial

    def token(self, life: timedelta = timedelta(hours=1)) -> HostToken:
        authority = certificates.fingerprint(self.authority.ca.certificate)
        token, body = host_tokens.make(self.cluster.servers[BERLIN], authority, self.now, life)
        body["metadata"]["uid"] = token.identifier
        self.cluster.secrets[body["metadata"]["name"]] = body
        return token

    def bundle(self, key: Key = BERLIN, usage: Usage = Usage.HOST) -> Bundle:
        """An identity that was not enrolled for."""
        own = self.authority.issue_agent(protocol.agent_name(key.namespace, key.name), usage)
        return Bundle(
            server=str(key), listen="", certificate=own.certificate, private_key=own.private_key,
            ca=self.authority.ca.certificate, controller=self.url,
        )  # fmt: skip


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(enrolment, "PENALTY_SECONDS", 0.01)
    site = Site()
    await site.port.start(site.listener)
    yield site
    await site.port.close()
    site.listener.close()


async def test_a_host_makes_its_key_and_gets_a_certificate_for_its_server(site: Site) -> None:
    bundle = await controller_port.enrol(site.url + "/", site.token())
    assert (bundle.server, bundle.listen, bundle.controller) == ("isp/berlin", "", site.url)
    assert site.authority.accepts(bundle.certificate, protocol.agent_name("isp", "berlin"))
    tls.server_context(bundle)  # key and certificate belong together
    assert site.cluster.secrets == {}


async def test_a_host_that_can_be_called_is_told_where_to_listen(site: Site) -> None:
    site.cluster.servers[BERLIN] = server(url="https://[2001:db8::1]:8443/agent")
    assert (await controller_port.enrol(site.url, site.token())).listen == "[2001:db8::1]:8443"


async def test_of_many_who_come_with_one_token_exactly_one_enrols(site: Site) -> None:
    token = site.token()
    results = await asyncio.gather(*(controller_port.enrol(site.url, token) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, Bundle) for result in results) == 1
    losers = [result for result in results if isinstance(result, PortError)]
    assert len(losers) == 7 and all(loser.is_final and "host-token" in str(loser) for loser in losers)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda site: setattr(site.cluster, "refuse_get", Unavailable("etcd is away")),
            "cannot be looked up now: etcd",
        ),
        (lambda site: setattr(site.cluster, "refuse_delete", Unavailable("etcd is away")), "cannot be used up"),
        (lambda site: setattr(site.cluster, "refuse_delete", Conflict("another")), "was used a moment ago"),
        (lambda site: site.cluster.servers.clear(), "is not known"),
        (lambda site: setattr(site, "now", site.now + timedelta(hours=2)), "expired at"),
    ],
)
async def test_a_refused_token_gives_no_certificate_and_says_why(site: Site, change: Any, words: str) -> None:
    token = site.token()
    change(site)
    with pytest.raises(PortError, match=words) as caught:
        await controller_port.enrol(site.url, token)
    assert token.secret not in str(caught.value)
    assert len(site.cluster.secrets) == 1


async def test_a_request_that_cannot_be_signed_does_not_cost_the_token(site: Site) -> None:
    token = site.token()
    message = joining.Enrolment("isp", "berlin", token.identifier, token.secret, "nonsense")
    context = tls.trusting(site.authority.ca.certificate)
    async with aiohttp.ClientSession() as session, session.post(
        site.url + joining.ENROLMENT_PATH, data=protocol.encode(message), ssl=context,
        server_hostname=protocol.CONTROLLER_NAME,
    ) as answer:  # fmt: skip
        assert answer.status == 400
        assert "PKCS #10" in await answer.text()
    assert len(site.cluster.secrets) == 1


async def test_a_port_of_another_ca_is_not_told_the_token(site: Site) -> None:
    token = site.token()
    strange = HostToken(token.server, token.identifier, token.secret, "sha256:" + "0" * 64)
    with pytest.raises(PortError, match="somebody may be in between"):
        await controller_port.enrol(site.url, strange)
    assert len(site.cluster.secrets) == 1


async def test_renewal_takes_a_certificate_of_a_server_that_there_is(site: Site) -> None:
    bundle = site.bundle()
    renewed = await controller_port.renew(bundle)
    assert renewed.private_key != bundle.private_key and renewed.certificate != bundle.certificate
    assert site.authority.accepts(renewed.certificate, protocol.agent_name("isp", "berlin"))
    tls.server_context(renewed)
    with pytest.raises(PortError, match="there is no WireGuardServer isp/paris"):
        await controller_port.renew(site.bundle(PARIS))
    strange = Authority(certificates.make_authority(site.now), lambda: site.now)
    own = strange.issue_agent(protocol.agent_name("isp", "berlin"), Usage.HOST)
    forged = bundle.model_copy(update={"certificate": own.certificate, "private_key": own.private_key})
    with pytest.raises(PortError):
        await controller_port.renew(forged)
    # The controller's own certificate, and a pod's, are not hosts'.
    for usage in (Usage.CONTROLLER, Usage.AGENT):
        name = protocol.CONTROLLER_NAME if usage is Usage.CONTROLLER else protocol.agent_name("isp", "berlin")
        own = site.authority.issue_agent(name, usage)
        with pytest.raises(PortError):
            await controller_port.renew(
                bundle.model_copy(update={"certificate": own.certificate, "private_key": own.private_key})
            )


async def test_without_a_certificate_nothing_but_the_ca_is_had(site: Site) -> None:
    context = tls.trusting(site.authority.ca.certificate)
    async with aiohttp.ClientSession() as session:
        for method, path in (("POST", joining.CERTIFICATE_PATH), ("GET", joining.LINK_PATH)):
            async with session.request(
                method, site.url + path, ssl=context, server_hostname=protocol.CONTROLLER_NAME
            ) as answer:
                assert answer.status == 403
                assert "host-enroll" in await answer.text()


class Slow(Exchange):
    """An agent's answers, when they are let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200

    async def answer(self, method: str, path: str, query: Any, body: bytes) -> tuple[int, bytes]:
        self.asked.append((method, path, dict(query), body))
        await self.go.wait()
        return self.status, protocol.encode(protocol.AgentStatus("1", "Userspace", "d", None))


def dialling(site: Site, exchange: Exchange, tmp_path: Path, key: Key = BERLIN) -> asyncio.Task[None]:
    return asyncio.create_task(Dialer(Identity(site.bundle(key), Store(tmp_path)), exchange).run())


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_controller_asks_on_the_link_and_answers_find_their_questions(site: Site, tmp_path: Path) -> None:
    exchange = Slow()
    task = dialling(site, exchange, tmp_path)
    await until(lambda: site.connected == [BERLIN])
    agent = site.dialled.agent(BERLIN, Metrics())
    both = [asyncio.create_task(agent.status()), asyncio.create_task(agent.status())]
    await until(lambda: len(exchange.asked) == 2)
    exchange.go.set()
    assert [(await one).implementation for one in both] == ["Userspace"] * 2
    with suppress(AgentError):
        await agent.counters("a=b", more=True)
    assert exchange.asked[-1] == ("GET", protocol.COUNTERS_PATH, {"cursor": "a=b", "more": "true"}, b"")
    await stop(task)
    await until(lambda: site.dialled._links == {})
    with pytest.raises(AgentUnreachable, match="not connected"):
        site.dialled.agent(BERLIN, Metrics())


async def test_a_link_that_breaks_fails_what_is_under_way_and_is_made_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "FIRST_PAUSE", 0.01)
    exchange = Slow()
    task = dialling(site, exchange, tmp_path)
    await until(lambda: len(site.connected) == 1)
    asked = asyncio.create_task(site.dialled.agent(BERLIN, Metrics()).status())
    await until(lambda: len(exchange.asked) == 1)
    await site.dialled._links[BERLIN].close("test")
    with pytest.raises(AgentUnreachable, match="broke"):
        await asked
    exchange.go.set()
    await until(lambda: len(site.connected) == 2)
    assert (await site.dialled.agent(BERLIN, Metrics()).status()).device == "d"
    await stop(task)


async def test_the_newest_of_two_links_counts_and_the_end_of_the_old_one_does_not_take_it_away(
    site: Site, tmp_path: Path
) -> None:
    exchanges = [Slow(), Slow()]
    first = dialling(site, exchanges[0], tmp_path / "a")
    await until(lambda: len(site.connected) == 1)
    old = site.dialled._links[BERLIN]
    await stop(first)
    second = dialling(site, exchanges[1], tmp_path / "b")
    await until(lambda: len(site.connected) == 2)
    assert site.dialled._links[BERLIN] is not old
    exchanges[1].go.set()
    assert (await site.dialled.agent(BERLIN, Metrics()).status()).device == "d"
    assert exchanges[0].asked == []
    await stop(second)


async def test_a_host_that_may_not_dial_says_why_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dial, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(dial, "LAST_PAUSE", 0.02)
    task = dialling(site, Slow(), tmp_path, PARIS)
    await until(lambda: "refused with status 403: there is no WireGuardServer isp/paris" in caplog.text)
    await asyncio.sleep(0.2)
    assert caplog.text.count("refused with status 403") == 1
    await stop(task)


async def test_an_answer_that_never_comes_is_not_waited_for_for_ever(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wireguard_operator.controller.agents.client.QUICK", aiohttp.ClientTimeout(total=0.1))
    task = dialling(site, Slow(), tmp_path)
    await until(lambda: len(site.connected) == 1)
    with pytest.raises(AgentUnreachable, match="does not answer within"):
        await site.dialled.agent(BERLIN, Metrics()).standing()
    await stop(task)


async def test_an_ordinary_question_is_waited_for_as_long_as_one_to_any_other_agent(clock: None) -> None:
    class Silent:
        async def send_bytes(self, _: bytes) -> None:
            """Nobody answers."""

    agent = DialledAgent(Link(BERLIN, cast(web.WebSocketResponse, Silent()), "192.0.2.7"), Metrics())
    began = time.monotonic()
    with pytest.raises(AgentUnreachable, match="does not answer within 60 s"):
        await agent.status()
    assert time.monotonic() - began == pytest.approx(60)


async def test_a_controller_without_the_port_says_how_to_open_it() -> None:
    with pytest.raises(AgentError, match="--dial-in"):
        Dialled().agent(BERLIN, Metrics())


async def test_an_agent_that_talks_nonsense_loses_its_link(site: Site) -> None:
    bundle = site.bundle()
    async with aiohttp.ClientSession() as session, session.ws_connect(
        site.url + joining.LINK_PATH, ssl=tls.client_context(bundle), server_hostname=protocol.CONTROLLER_NAME
    ) as link:  # fmt: skip
        await link.send_bytes(b"nonsense")
        assert (await link.receive(10)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    await until(lambda: site.dialled._links == {})
