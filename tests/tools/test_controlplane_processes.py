"""Processes and locks: ended are exactly those that were meant, and nothing waits for the dead."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from tools.controlplane.locks import file_lock
from tools.controlplane.paths import REPOSITORY
from tools.controlplane.processes import ProcessRecord, end, record_of, spawn, this_process

STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 5
    while text not in path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_of_another_start_or_boot_is_a_stranger() -> None:
    me = this_process("me")

    assert me.alive()
    assert not replace(me, start_time=me.start_time + 1).alive()
    assert not replace(me, boot_id="an earlier boot").alive()


def test_a_stranger_with_the_same_pid_is_never_signalled() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        record = replace(record_of("gone", stranger.pid), start_time=1)

        assert not end(record, grace=0.1)
        assert stranger.poll() is None
        stranger.kill()


def test_what_obeys_is_not_killed(tmp_path: Path) -> None:
    record = spawn("sleep", ["/bin/sleep", "60"], tmp_path / "log")

    assert record.alive()
    assert not end(record, grace=5)
    assert not record.alive()
    assert record.exit_code() == -signal.SIGTERM


def test_what_does_not_obey_is_killed_after_the_grace(tmp_path: Path) -> None:
    record = spawn("stubborn", STUBBORN, tmp_path / "log")
    wait_for(tmp_path / "log", "ready")

    assert end(record, grace=0.2)
    assert not record.alive()


def test_a_process_that_ends_at_once_is_dead_and_has_an_exit_code(tmp_path: Path) -> None:
    record = spawn("false", ["/bin/sh", "-c", "echo why >&2; exit 7"], tmp_path / "log")
    wait_for(tmp_path / "log", "why")
    while record.exit_code() is None:
        time.sleep(0.01)

    assert not record.alive()
    assert record.exit_code() == 7


def test_a_process_gets_a_session_of_its_own_and_nothing_of_the_environment(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/production")
    monkeypatch.setenv("ETCD_NAME", "surprise")
    record = spawn("shell", ["/bin/sh", "-c", "env; echo ready; exec sleep 60"], tmp_path / "log")
    try:
        wait_for(tmp_path / "log", "ready")
        assert os.getsid(record.pid) == record.pid
        assert "production" not in (tmp_path / "log").read_text()
        assert "surprise" not in (tmp_path / "log").read_text()
    finally:
        end(record, grace=5)


def test_ending_what_never_ran_is_nothing() -> None:
    assert not end(ProcessRecord("never", 2**22 + 1, 1, "no boot"), grace=0.1)


HOLDER = """
import sys
sys.path.append(sys.argv[1])
from pathlib import Path
from tools.controlplane.locks import file_lock
with file_lock(Path(sys.argv[2]), "held"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_waited_for_and_its_holders_death_frees_it(tmp_path: Path, capfd) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(REPOSITORY), str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -9 {holder.pid}"])
        with file_lock(lock, "somebody builds"):
            assert holder.wait(5) == -signal.SIGKILL
        killer.wait()
    assert "waiting for another process: somebody builds" in capfd.readouterr().err


def test_a_daemon_that_was_started_under_a_lock_does_not_keep_it(tmp_path: Path) -> None:
    with file_lock(tmp_path / "lock", "it starts something"):
        daemon = spawn("sleep", ["/bin/sleep", "60"], tmp_path / "log")
    try:
        with file_lock(tmp_path / "lock", "it is free"):
            assert daemon.alive()
    finally:
        end(daemon, grace=5)
