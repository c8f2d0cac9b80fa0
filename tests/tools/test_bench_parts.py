"""The parts that the benchmark measures with: the simulated agent, the device's log, and what counts as Ready."""

import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from bench.device import DeviceLog
from bench.simulated_agent import BYTES_A_LOOK, TRAFFIC_SHARE, SimulatedAgents
from bench.watch import is_ready
from tools.lab import wait_for
from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.protocol import CONTROLLER_NAME, agent_name
from wireguard_operator.controller.agents.client import AgentClient, tls_context
from wireguard_operator.controller.agents.link import DeviceLink
from wireguard_operator.domain.certificates import Usage, issue, make_authority
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair


def link_with(peers: int) -> DeviceLink:
    link = DeviceLink()
    link.set_interface(Interface(generate_pair().private.reveal(), 51820, 1420, ("10.8.0.1/16",)))
    for number in range(peers):
        link.put(DevicePeer(generate_pair().public, (f"10.8.1.{number}/32",)))
    return link


async def test_the_simulated_agent_acknowledges_truly_and_has_traffic_for_a_share_of_its_peers() -> None:
    now = datetime.now(UTC)
    authority, name = make_authority(now), agent_name("isp", "berlin")
    own = issue(authority, name, Usage.AGENT, now)
    bundle = Bundle(
        server="isp/berlin",
        listen="127.0.0.1:1",
        certificate=own.certificate,
        private_key=own.private_key,
        ca=authority.certificate,
    )
    agents, link, peers = SimulatedAgents(), link_with(5 * TRAFFIC_SHARE), 5 * TRAFFIC_SHARE
    tls = tls_context(issue(authority, CONTROLLER_NAME, Usage.CONTROLLER, now), authority.certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await agents.add(bundle, listener)
        try:
            async with aiohttp.ClientSession() as session:
                agent = AgentClient(session, tls, f"https://127.0.0.1:{listener.getsockname()[1]}", name)
                ack = await link.push(agent)
                assert ack is not None and ack.errors == {}
                assert (await agent.status()).applied == ack.applied
                first = await agent.counters("")
                assert len(first.peers) == peers and {peer.rx_bytes for peer in first.peers} == {0}
                assert (await agent.counters(first.cursor)).peers == ()
                agents.start_traffic()
                second = await agent.counters(first.cursor)
                assert [peer.rx_bytes for peer in second.peers] == [BYTES_A_LOOK] * 5
                link.clear()
                ack = await link.push(agent)
                assert ack is not None and len(ack.final) == peers
                assert (await agent.counters("")).peers == ()
        finally:
            await agents.close()


def test_the_device_s_log_tells_when_a_peer_began_to_be_served_and_when_it_was_cut(tmp_path: Path) -> None:
    log, key, other = DeviceLog(tmp_path, Path("/bin/echo")), generate_pair().public, generate_pair().public
    short = f"{key[:4]}…{key[39:43]}"
    before = time.monotonic()

    def tell(*events: str) -> None:
        descriptor = os.open(tmp_path / "device.pipe", os.O_WRONLY)
        for event in events:
            os.write(descriptor, f"DEBUG: (wg0) 2026/01/01 00:00:00 peer({short}) - {event}\n".encode())
        os.close(descriptor)

    def told(ask: Callable[[str, float], float | None], since: float) -> float:
        return wait_for("the log to be read", lambda: ask(key, since), 10)

    try:
        tell("UAPI: Created", "Starting")
        started = told(log.started, before)
        assert before <= started <= time.monotonic()
        assert log.stopped(key, before) is None and log.started(other, before) is None
        tell("UAPI: Removing", "Stopping")
        stopped = told(log.stopped, before)
        assert stopped >= started
        assert log.started(key, stopped + 0.001) is None
        tell("Starting")
        again = told(log.started, stopped)
        assert again >= stopped
        tell("UAPI: Removing all allowedips", "UAPI: Adding allowedip")
        assert told(log.stopped, again) >= again
    finally:
        log.close()


def test_a_peer_is_ready_when_its_condition_is_true_and_about_its_present_specification() -> None:
    def body(generation: int, observed: int, status: str) -> dict[str, object]:
        conditions = [{"type": "Accepted", "status": "True"}, {"type": "Ready", "status": status}]
        return {
            "metadata": {"generation": generation},
            "status": {"observedGeneration": observed, "conditions": conditions},
        }

    assert is_ready(body(2, 2, "True"))
    assert not is_ready(body(2, 1, "True"))
    assert not is_ready(body(2, 2, "False"))
    assert not is_ready({"metadata": {"generation": 1}})
