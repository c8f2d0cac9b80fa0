"""How an agent starts, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from agent_lab import Agent, Lab, eventually, unique

AGENT = (sys.executable, "-m", "wireguard_operator.agent.main", "--driver", "userspace")


def start(lab: Lab, *options: str, prefix: tuple[str, ...] = (), bundle: str | None = None) -> tuple[int, str]:
    """Exit code and log of an agent that is expected to end."""
    command = ["ip", "netns", "exec", lab.server.name, *prefix, *AGENT, "--interface", unique("wgs"), *options]
    done = subprocess.run(command, input=bundle, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def options(lab: Lab, tmp_path: Path) -> tuple[str, ...]:
    return ("--state-dir", str(tmp_path / "state"), "--wireguard-go", str(lab.binary))


def test_without_a_bundle_it_says_where_to_get_one(lab: Lab, options: tuple[str, ...]) -> None:
    code, log = start(lab, *options)
    assert code == 1
    assert "host-bundle" in log
    assert "Traceback" not in log


def test_a_damaged_bundle_is_not_quoted(lab: Lab, options: tuple[str, ...], tmp_path: Path) -> None:
    agent = lab.make_agent()
    text = agent.bundle.model_dump_json()
    file = tmp_path / "bundle.json"
    file.write_text(text[: len(text) // 2])
    for source, bundle in ((str(file), None), ("-", text.replace('"server"', '"sever"'))):
        code, log = start(lab, *options, "--bundle", source, bundle=bundle)
        assert code == 1
        assert "bundle" in log
        assert "PRIVATE KEY" not in log and "Traceback" not in log
    code, log = start(lab, *options, "--bundle", "-", bundle=text.replace("BEGIN CERTIFICATE", "BEGIN NONSENSE"))
    assert code == 1
    assert "damaged" in log


def test_a_missing_wireguard_go_is_named(lab: Lab, tmp_path: Path) -> None:
    code, log = start(lab, "--state-dir", str(tmp_path / "state"), "--wireguard-go", "/nonexistent/wireguard-go")
    assert code == 1
    assert "/nonexistent/wireguard-go" in log


def test_without_the_right_to_make_interfaces_it_says_so(lab: Lab, options: tuple[str, ...]) -> None:
    prefix = ("setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin")
    code, log = start(lab, *options, prefix=prefix)
    assert code == 1
    assert "NET_ADMIN" in log


def test_without_a_tun_device_it_says_so(lab: Lab, options: tuple[str, ...]) -> None:
    script = 'mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && exec "$@"'
    code, log = start(lab, *options, prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    assert code == 1
    assert "/dev/net/tun" in log


def test_an_address_that_is_taken_is_named(lab: Lab, options: tuple[str, ...]) -> None:
    agent = lab.make_agent()
    for where in ("203.0.113.1:443", "nonsense", "fd://99", "127.0.0.1:99999"):
        code, log = start(lab, *options, "--bundle", "-", "--listen", where, bundle=agent.bundle.model_dump_json())
        assert code == 1
        assert f"cannot listen on {where!r}" in log


def test_a_bad_interface_name_is_a_usage_error(lab: Lab) -> None:
    code, log = start(lab, "--interface", "../../etc")
    assert code == 2
    assert "--interface" in log


async def test_two_agents_cannot_share_a_state_directory(lab: Lab, agent: Agent) -> None:
    await agent.status()
    code, log = start(lab, "--state-dir", str(agent.state), "--wireguard-go", str(lab.binary))
    assert code == 1
    assert "another agent runs" in log


async def test_it_listens_where_the_bundle_says(lab: Lab) -> None:
    agent = lab.make_agent()
    agent.bundle = agent.pki.bundle(listen="[::1]:7443")
    agent.start(listen=False)

    async def sockets() -> str:
        return await asyncio.to_thread(lab.server.run, "ss", "-Hltn")

    await eventually(sockets, lambda shown: "[::1]:7443" in shown)
