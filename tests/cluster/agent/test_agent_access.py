"""Who may talk to an agent, what it answers to nonsense, and that no secret leaks on any way."""

from __future__ import annotations

import base64
import json
import signal
import ssl
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from agent_lab import AGENT_NAME, Agent, Lab, Pki, end, eventually, make_peers

from wireguard_operator.agent import parts, protocol
from wireguard_operator.domain.certificates import Usage
from wireguard_operator.domain.device import DevicePeer

CLIENT_ERRORS = (aiohttp.ClientError, ssl.SSLError)


async def test_no_certificate_is_refused(agent: Agent) -> None:
    with pytest.raises(CLIENT_ERRORS):
        await agent.request("GET", protocol.STATUS_PATH, context=agent.pki.client_context(agent.directory, None))


async def test_the_controller_of_another_ca_is_refused(agent: Agent) -> None:
    other = Pki().issue(protocol.CONTROLLER_NAME, Usage.CONTROLLER)
    with pytest.raises(CLIENT_ERRORS):
        await agent.request("GET", protocol.STATUS_PATH, context=agent.pki.client_context(agent.directory, other))


@pytest.mark.parametrize("name", [AGENT_NAME, protocol.CONTROLLER_NAME])
async def test_a_server_certificate_is_refused(agent: Agent, name: str) -> None:
    own = agent.pki.issue(name, Usage.AGENT)
    with pytest.raises(CLIENT_ERRORS):
        await agent.request("GET", protocol.STATUS_PATH, context=agent.pki.client_context(agent.directory, own))


async def test_a_client_of_another_name_is_refused(lab: Lab, agent: Agent) -> None:
    own = agent.pki.issue(AGENT_NAME, Usage.CONTROLLER)
    context = agent.pki.client_context(agent.directory, own)
    for method, path in (("GET", protocol.STATUS_PATH), ("PUT", protocol.STATE_PATH), ("GET", "/elsewhere")):
        code, body = await agent.request(method, path, lab.snapshot() if method == "PUT" else None, context)
        assert code == 403
        assert protocol.CONTROLLER_NAME in json.loads(body)["message"]
    assert (await agent.status()).applied is None


async def test_an_old_tls_is_refused(agent: Agent) -> None:
    with pytest.warns(DeprecationWarning):
        agent.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(CLIENT_ERRORS):
        await agent.status()


async def test_a_delta_for_another_state_is_a_conflict_that_tells_the_state(lab: Lab, agent: Agent) -> None:
    base = protocol.Applied(1, "0" * 64)
    request = protocol.DeltaRequest(base, 2)
    code, body = await agent.request("POST", protocol.DELTA_PATH, request)
    assert code == 409
    assert protocol.decode(protocol.AgentStatus, body).applied is None

    ack = await agent.put(lab.snapshot(*make_peers(1)))
    for wrong in (replace(ack.applied, revision=7), replace(ack.applied, digest="1" * 64)):
        code, body = await agent.request("POST", protocol.DELTA_PATH, protocol.DeltaRequest(wrong, 2))
        assert code == 409
        assert protocol.decode(protocol.AgentStatus, body).applied == ack.applied


async def test_a_delta_changes_the_interface(lab: Lab, agent: Agent) -> None:
    ack = await agent.put(lab.snapshot(*make_peers(2)))
    changed = replace(lab.snapshot().interface, listen_port=51999, addresses=("10.8.0.7/24",), mtu=1380)
    ack = await agent.delta(ack.applied, interface=changed)
    assert ack.applied == (await agent.status()).applied
    shown = lab.server.run("ip", "address", "show", agent.interface)
    assert "mtu 1380" in shown and "10.8.0.7/24" in shown and "10.8.0.1/24" not in shown
    assert lab.server.run("wg", "show", agent.interface, "listen-port").strip() == "51999"
    assert len(agent.wg("peers")) == 2


async def test_bad_peers_are_reported_by_name_until_they_are_right(lab: Lab, agent: Agent) -> None:
    good = make_peers(200)
    bad = DevicePeer("AAAA", ("10.8.0.9/32",))
    thief = DevicePeer(make_peers(1, first=300)[0].public_key, good[7].allowed_ips)
    own = DevicePeer(lab.server_key.public, ("10.8.0.10/32",))
    ack = await agent.put(lab.snapshot(*good[:100], bad, own, *good[100:], thief))
    assert ack.errors.keys() == {bad.public_key, own.public_key, thief.public_key}
    assert good[7].public_key in ack.errors[thief.public_key]
    assert agent.wg("peers").keys() == {peer.public_key for peer in good}

    ack = await agent.delta(ack.applied, remove=(good[7].public_key, bad.public_key))
    assert ack.errors.keys() == {own.public_key}
    assert agent.wg("allowed-ips")[thief.public_key] == list(thief.allowed_ips)


async def test_counters_are_paged_by_change(lab: Lab, agent: Agent) -> None:
    empty = await agent.counters()
    assert (empty.device, empty.peers) == ("", ())
    client = lab.make_client()
    ack = await agent.put(lab.snapshot(client.peer, *make_peers(20)))
    first = await agent.counters()
    assert first.device == ack.device
    assert len(first.peers) == 21
    assert (await agent.counters(first.cursor)).peers == ()
    await lab.reach()
    second = await agent.counters(first.cursor)
    assert [peer.public_key for peer in second.peers] == [client.keys.public]
    for nonsense in ("", "x", f"{first.cursor}9z", "9" * 5000):
        assert len((await agent.counters(nonsense)).peers) == 21
    agent.stop(signal.SIGKILL)
    agent.start(bundle=False)
    assert len((await agent.counters(second.cursor)).peers) == 21


async def test_two_thousand_peers_are_applied(lab: Lab, agent: Agent) -> None:
    peers = make_peers(2000)
    network = {"addresses": ("100.64.0.1/10",)}
    ack = await agent.put(lab.snapshot(*peers, **network))
    assert ack.errors == {}
    found = agent.wg("allowed-ips")
    assert found == {peer.public_key: list(peer.allowed_ips) for peer in peers}
    assert agent.routes() == set()
    ack = await agent.put(lab.snapshot(*peers[500:], revision=2, **network))
    assert {final.public_key for final in ack.final} == {peer.public_key for peer in peers[:500]}
    assert len(agent.wg("peers")) == 1500


async def test_no_secret_gets_into_logs_replies_or_command_lines(lab: Lab, agent: Agent) -> None:
    client = lab.make_client()
    private, preshared = lab.server_key.private.reveal(), make_peers(1)[0].preshared_key
    assert preshared is not None
    secrets = [private, preshared, agent.bundle.private_key.splitlines()[2]]
    forms = [text for secret in secrets for text in (secret, secret.rstrip("="))]
    forms += [base64.b64decode(secret).hex() for secret in secrets[:2]]
    replies: list[bytes] = []

    async def say(method: str, path: str, message: object | bytes | None = None) -> int:
        code, body = await agent.request(method, path, message)
        replies.append(body)
        return code

    async def put(content: bytes) -> int:
        (part,) = parts.cut(content, 1 << 20)
        return await say("PUT", protocol.STATE_PATH, part)

    snapshot = lab.snapshot(client.peer, *make_peers(1), DevicePeer("bad", (), preshared))
    assert await put(protocol.encode(snapshot)) == 200
    raw = protocol.encode(snapshot)
    wrong = [
        raw[:-20],
        b"\xff" + raw,
        raw.replace(b'"listen_port":51820', b'"listen_port":"%s"' % private.encode()),
        raw.replace(b'"mtu":1420', b'"mtu":1'),
        raw.replace(b'"allowed_ips":[', b'"allowed_ips":[%d,' % 7),
        raw.replace(b'"private_key":"', b'"private_key":"!'),
        raw.replace(b'"private_key":"' + private.encode() + b'"', b'"private_key":["' + private.encode() + b'"]'),
        json.dumps({"revision": private, "interface": private, "peers": private}).encode(),
        json.dumps(private).encode(),
    ]
    for body in wrong:
        assert await put(body) == 400, body
    assert await say("PUT", protocol.STATE_PATH, raw) == 400
    assert await say("POST", protocol.DELTA_PATH, raw) == 400
    assert await say("POST", protocol.STATE_PATH, raw) == 405
    assert await say("PUT", "/elsewhere", raw) == 404
    odd = replace(snapshot, peers=(DevicePeer(make_peers(2)[1].public_key, ("10.8.0.9/99",), preshared + "x"),))
    assert await put(protocol.encode(odd)) == 200
    for path in (protocol.STATUS_PATH, protocol.COUNTERS_PATH):
        assert await say("GET", path) == 200
    wireguard_go = agent.wireguard_go()
    commands = [
        Path(f"/proc/{pid}/{file}").read_bytes()
        for pid in (wireguard_go, agent.process.pid if agent.process else 0)
        for file in ("cmdline", "environ")
    ]
    end(wireguard_go)
    await eventually(agent.status, lambda status: status.applied is not None)
    agent.stop()
    state = agent.state / "state.json"
    state.write_bytes(state.read_bytes().replace(b"51820", b'"x"'))
    agent.start(bundle=False)
    assert (await agent.status()).applied is None
    agent.stop()
    (agent.state / "bundle.json").write_text(agent.bundle.model_dump_json()[:-9])
    agent.start(bundle=False)
    assert agent.process is not None and agent.process.wait(30) == 1

    log = agent.log.read_bytes()
    assert b"damaged" in log
    told = b"\n".join((log, *replies, *commands, (agent.state / "wireguard-go.log").read_bytes()))
    for form in forms:
        assert form.encode() not in told
    assert b"Traceback" not in log


async def test_files_are_for_the_owner_alone(lab: Lab, agent: Agent) -> None:
    await agent.put(lab.snapshot(*make_peers(1)))
    agent.stop()
    assert agent.state.stat().st_mode & 0o777 == 0o700
    files = {file.name: file.stat().st_mode & 0o777 for file in agent.state.iterdir()}
    assert set(files.values()) == {0o600}
    assert {"state.json", "bundle.json"} <= files.keys()


async def test_connections_do_not_outlive_a_stop(agent: Agent) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(agent.url + protocol.STATUS_PATH, ssl=agent.context, server_hostname=AGENT_NAME) as response,
    ):
        assert response.status == 200
        await response.read()
        assert agent.stop() == 0
