"""Who answers on a socket: whoever began to listen, or a child that it was passed on to."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wireguard_operator.agent import daemon, uapisocket
from wireguard_operator.agent.device import DeviceGoneError

PASS_ON = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
reader, writer = os.pipe()
if os.fork():
    os.read(reader, 1)
    os._exit(0)
os.setsid()
os.write(1, str(os.getpid()).encode())
os.close(1)
os.write(writer, b"x")
while True:
    connection, _ = listener.accept()
    connection.recv(100)
    connection.sendall(b"errno=0\\n\\n")
"""
"""Begins to listen and passes the socket on, as wireguard-go does that goes into the background."""


@contextmanager
def in_background(path: Path) -> Iterator[tuple[int, int]]:
    """The pids of who began to listen, and has ended, and of who answers."""
    done = subprocess.Popen([sys.executable, "-c", PASS_ON, str(path)], stdout=subprocess.PIPE, text=True)
    assert done.stdout is not None
    child = int(done.stdout.read())
    done.wait(10)
    done.stdout.close()
    try:
        yield done.pid, child
    finally:
        os.kill(child, signal.SIGKILL)


async def test_the_child_is_found_that_the_socket_was_passed_on_to(tmp_path: Path) -> None:
    path = tmp_path / "wg0.sock"
    with in_background(path) as (listener, child):
        for _ in range(2):
            process, reply = await daemon.call(path, b"get=1\n\n")
            assert process.pid == child != listener
            assert reply == b"errno=0\n\n"
        assert daemon.in_own_network(process, path)


def test_who_listens_itself_is_found_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wg0.sock"))
        listener.listen()
        assert uapisocket.holder(tmp_path / "wg0.sock", os.getpid()) == os.getpid()


def test_the_number_of_a_process_that_ended_may_be_anybody_s(tmp_path: Path) -> None:
    with in_background(tmp_path / "wg0.sock") as (_, child):
        assert uapisocket.holder(tmp_path / "wg0.sock", os.getpid()) == child


def test_a_socket_of_another_network_is_left_to_who_began_to_listen(tmp_path: Path) -> None:
    assert uapisocket.inode(tmp_path / "wg0.sock") is None
    assert uapisocket.holder(tmp_path / "wg0.sock", 4711) == 4711


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("wireguard-go\0wg0\0", True),
        ("/usr/bin/boringtun-cli\0-f\0wg0\0", True),
        ("tcpdump\0-i\0wg0\0", False),
        ("wireguard-go\0wg1\0", False),
        ("", False),
    ],
)
def test_a_process_that_does_not_show_what_it_has_open_is_known_by_its_command_line(
    line: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wg0.sock"
    (tmp_path / "proc" / "77").mkdir(parents=True)
    (tmp_path / "proc" / "77" / "cmdline").write_text(line)

    def refuse(*_: object) -> bool:
        raise PermissionError

    monkeypatch.setattr(uapisocket, "_has_open", refuse)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        if found:
            assert uapisocket.holder(path, 1, tmp_path / "proc") == 77
        else:
            with pytest.raises(DeviceGoneError, match="nobody has the socket"):
                uapisocket.holder(path, 1, tmp_path / "proc")
