"""What systemd is told."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from wireguard_operator.agent import notify


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(10)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return listener


def test_the_service_manager_is_told(manager: socket.socket) -> None:
    with manager:
        notify.tell("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_an_abstract_socket_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"wireguard-operator-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify.tell("STOPPING=1")
        assert listener.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "vsock:2:1"])
def test_without_a_service_manager_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify.tell("READY=1")


async def test_the_watchdog_is_fed_more_often_than_it_asks(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "90000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    with manager:
        feeding = asyncio.create_task(notify.feed_watchdog())
        for _ in range(3):
            assert await asyncio.to_thread(manager.recv, 100) == b"WATCHDOG=1"
        feeding.cancel()


@pytest.mark.parametrize(("asked", "pid"), [("", ""), ("soon", ""), ("90000", "1")])
async def test_nobody_else_s_watchdog_is_fed(asked: str, pid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", asked)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    async with asyncio.timeout(5):
        await notify.feed_watchdog()
