"""The agent's unit under a systemd that runs: what it is promised to stand, and what its sandbox must leave it.

The tests follow one another on one host, as an operator would meet them: installed, used, killed, stopped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import stat
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.agent.agent_lab import Client, Lab, Ping, end, eventually, make_peers, sh
from tests.systemd.host import (
    INTERFACE,
    SERVICE,
    START_SECONDS,
    STATE,
    WATCHDOG_SECONDS,
    UnitAgent,
    journal,
    main_pid,
    show,
    systemctl,
)
from wireguard_operator.agent import protocol

INTERVAL = 0.2
"""Seconds between pings: more of them would slow the emulated processor down."""
NET_BIND_SERVICE, NET_ADMIN = 1 << 10, 1 << 12
FED = "WatchdogTimestampMonotonic"
"""When the agent last said that it lives."""


async def started_again(agent: UnitAgent, before: int, seconds: float) -> protocol.AgentStatus:
    """Wait until systemd runs another process, and has heard that it is ready; its status."""

    async def ask() -> bool:
        await asyncio.sleep(1)  # asking takes what the agent starts with: this processor
        found = show("MainPID", "ActiveState")
        return found["ActiveState"] == "active" and int(found["MainPID"]) not in (0, before)

    await eventually(ask, seconds=seconds)
    return await agent.status()


def link() -> str:
    """The interface's number and names; a new one would have others."""
    return sh("ip", "-d", "link", "show", INTERFACE)


def mode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_uid


def test_host_install_starts_the_service_now_and_at_every_boot(agent: UnitAgent) -> None:
    found = show("ActiveState", "SubState", "Type", "UnitFileState", "NRestarts", "WatchdogUSec", "NeedDaemonReload")
    assert found == {
        "ActiveState": "active",  # of Type=notify: READY=1 has come
        "SubState": "running",
        "Type": "notify",
        "UnitFileState": "enabled",
        "NRestarts": "0",
        "WatchdogUSec": f"{WATCHDOG_SECONDS}s",
        "NeedDaemonReload": "no",
    }
    assert SERVICE in systemctl("list-dependencies", "--plain", "multi-user.target")


def test_the_process_has_what_the_unit_leaves_it_and_no_more(agent: UnitAgent) -> None:
    lines = Path(f"/proc/{main_pid()}/status").read_text().splitlines()
    status = {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
    for name in ("CapBnd", "CapPrm", "CapEff"):
        assert int(status[name], 16) == NET_ADMIN | NET_BIND_SERVICE
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    limits = Path(f"/proc/{main_pid()}/limits").read_text()
    assert next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4:6] == [
        "0",
        "0",
    ]
    inside = ("nsenter", "--mount", f"--target={main_pid()}", "sh", "-c")
    for folder in ("/etc", "/opt", "/usr", "/var", "/var/log"):
        refused = sh(*inside, f"touch {folder}/x 2>&1", check=False)
        assert "Read-only file system" in refused, folder
    for folder in ("/home", "/root", "/tmp", "/var/tmp"):
        assert sh(*inside, f"ls -A {folder}") == "", folder
    sh(*inside, f"touch {STATE}/{INTERFACE}/x /run/wireguard/x && rm {STATE}/{INTERFACE}/x /run/wireguard/x")


async def test_it_answers_the_controllers_certificate_and_nobody_else(agent: UnitAgent, tmp_path: Path) -> None:
    assert (await agent.status()).implementation == "Kernel"
    nobody: ssl.SSLContext = agent.pki.client_context(tmp_path, None)
    with pytest.raises(aiohttp.ClientError):
        await agent.request("GET", protocol.STATUS_PATH, context=nobody)


async def test_a_tunnel_of_the_kernel_works_with_the_packet_filter_loaded(
    agent: UnitAgent, lab: Lab, client: Client
) -> None:
    assert await asyncio.to_thread(lab.client.ping, "10.8.0.1")
    assert (await agent.status()).errors == {}
    assert INTERFACE in sh("ip", "-o", "link", "show", "type", "wireguard")
    assert "10.8.0.2" in sh("nft", "list", "table", "inet", f"wireguard_{INTERFACE}")
    assert set(agent.wg("allowed-ips")) == {client.keys.public}
    for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        assert Path(f"/proc/sys/net/{name}").read_text() == "1\n"


async def test_keys_and_state_are_for_root_alone(agent: UnitAgent, client: Client) -> None:
    assert mode(STATE) == mode(STATE / INTERFACE) == (0o700, 0)
    assert mode(Path("/run/wireguard")) == (0o755, 0)
    assert mode(Path(f"/etc/systemd/system/{SERVICE.replace(INTERFACE, '')}")) == (0o644, 0)
    files = sorted((STATE / INTERFACE).iterdir())
    assert {"bundle.json", "state.json"} <= {file.name for file in files}
    assert {mode(file) for file in files} == {(0o600, 0)}


async def test_an_agent_that_is_killed_is_started_again_and_the_tunnel_does_not_notice(
    agent: UnitAgent, lab: Lab, client: Client
) -> None:
    before, device, peers, killed = await agent.status(), link(), agent.wg("allowed-ips"), main_pid()
    ping = Ping(lab.client, "10.8.0.1", INTERVAL)
    os.kill(killed, signal.SIGKILL)
    after = await started_again(agent, killed, START_SECONDS)
    sent, lost = ping.lost()
    assert sent > 0 == lost
    assert show("NRestarts")["NRestarts"] == "1"
    assert (link(), agent.wg("allowed-ips")) == (device, peers)
    assert (after.applied, after.device) == (before.applied, before.device)
    ack = await agent.delta(after.applied, upsert=make_peers(1))
    assert ack.errors == {}
    assert len(agent.wg("allowed-ips")) == 2


async def test_an_agent_that_stands_still_is_ended_by_the_watchdog_and_started_again(
    agent: UnitAgent, lab: Lab, client: Client
) -> None:
    device, peers, stopped = link(), agent.wg("allowed-ips"), main_pid()
    restarts, fed = int(show("NRestarts")["NRestarts"]), show(FED)

    async def feeding() -> dict[str, str]:
        await asyncio.sleep(1)
        return show(FED)

    await eventually(feeding, lambda now: now != fed, WATCHDOG_SECONDS)
    ping = Ping(lab.client, "10.8.0.1", INTERVAL)
    os.kill(stopped, signal.SIGSTOP)
    await started_again(agent, stopped, WATCHDOG_SECONDS + START_SECONDS)
    sent, lost = ping.lost()
    assert sent > 0 == lost
    assert int(show("NRestarts")["NRestarts"]) == restarts + 1
    assert "Failed with result 'watchdog'" in journal()
    assert (link(), agent.wg("allowed-ips")) == (device, peers)


async def test_stopping_the_service_leaves_the_tunnels(agent: UnitAgent, lab: Lab, client: Client) -> None:
    device, peers = link(), agent.wg("allowed-ips")
    ping = Ping(lab.client, "10.8.0.1", INTERVAL)
    await asyncio.to_thread(systemctl, "stop", SERVICE)
    found = show("ActiveState", "Result", "MainPID")
    assert found == {"ActiveState": "inactive", "Result": "success", "MainPID": "0"}
    assert (link(), agent.wg("allowed-ips")) == (device, peers)
    assert "10.8.0.2" in sh("nft", "list", "table", "inet", f"wireguard_{INTERFACE}")
    assert await asyncio.to_thread(lab.client.ping, "10.8.0.1")
    sent, lost = ping.lost()
    assert sent > 0 == lost


async def test_after_a_reboot_the_tunnel_is_there_before_the_controller_is(
    agent: UnitAgent, lab: Lab, client: Client
) -> None:
    """As the kernel has it after a boot: no interface, no table, no forwarding."""
    peers = agent.wg("allowed-ips")
    await asyncio.to_thread(systemctl, "stop", SERVICE)
    sh("ip", "link", "delete", INTERFACE)
    sh("nft", "flush", "ruleset")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    await asyncio.to_thread(systemctl, "start", SERVICE)
    assert agent.wg("allowed-ips") == peers
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"
    client.forget()
    await lab.reach()


async def test_wireguard_go_works_in_the_sandbox_and_outlives_its_agent(
    agent: UnitAgent, lab: Lab, client: Client
) -> None:
    await asyncio.to_thread(systemctl, "stop", SERVICE)
    sh("ip", "link", "delete", INTERFACE)
    program = Path("/opt/bin/wireguard-go")
    program.parent.mkdir()
    shutil.copy(lab.binary, program)
    await asyncio.to_thread(agent.install, "--driver", "userspace", bundle=False)
    assert (await agent.status()).implementation == "Userspace"
    client.forget()
    await lab.reach()
    carrier, device, killed = agent.wireguard_go(), link(), main_pid()
    assert SERVICE in Path(f"/proc/{carrier}/cgroup").read_text()
    ping = Ping(lab.client, "10.8.0.1", INTERVAL)
    os.kill(killed, signal.SIGKILL)
    await started_again(agent, killed, START_SECONDS)
    assert (agent.wireguard_go(), link()) == (carrier, device)
    await asyncio.to_thread(systemctl, "stop", SERVICE)
    assert (agent.wireguard_go(), link()) == (carrier, device)
    assert await asyncio.to_thread(lab.client.ping, "10.8.0.1")
    sent, lost = ping.lost()
    assert sent > 0 == lost
    end(carrier)
