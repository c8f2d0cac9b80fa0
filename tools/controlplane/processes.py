"""Start, identify and end background processes.

A plane outlives the process that started it, so whoever stops it knows only what was written down. A bare
pid is not enough for that: pids are reused, and a SIGKILL to a stranger is unforgivable. A process is
identified by pid, start time (in clock ticks since boot, from /proc) and the boot it belongs to.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Popen objects of our own children. They are needed to reap them and to learn exit codes, and an object that
# is dropped while its child runs warns about it, although a child that stays is the intention here.
_children: dict[int, "subprocess.Popen[bytes]"] = {}

_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG")


@dataclass(frozen=True)
class ProcessRecord:
    """Names exactly one process, for ever."""

    name: str
    pid: int
    start_time: int
    boot_id: str

    def alive(self) -> bool:
        """Tell whether this very process runs; a zombie or a stranger with its pid does not count."""
        if (child := _children.get(self.pid)) is not None:
            child.poll()  # reaps it, so that our own dead children do not stay zombies
        return self.boot_id == boot_id() and start_time_of(self.pid) == self.start_time

    def exit_code(self) -> int | None:
        """Return the exit code, known only to the process that started it."""
        child = _children.get(self.pid)
        return child.poll() if child is not None else None


def boot_id() -> str:
    """Return the id of the running kernel's boot: start times count from there."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time_of(pid: int) -> int | None:
    """Return the start time of a living process, in clock ticks since boot; None: there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses and may itself contain blanks and parentheses.
    fields = stat.rsplit(")", 1)[1].split()
    state, start_time = fields[0], int(fields[19])
    return None if state in ("Z", "X") else start_time


def record_of(name: str, pid: int) -> ProcessRecord:
    """Describe a process that runs now."""
    return ProcessRecord(name, pid, start_time_of(pid) or 0, boot_id())


def this_process(name: str) -> ProcessRecord:
    """Describe the calling process."""
    return record_of(name, os.getpid())


def spawn(name: str, command: Sequence[str], log: Path) -> ProcessRecord:
    """Start `command` in a session of its own, with all output in `log`.

    An own session keeps it out of the reach of Ctrl-C and of a test runner that kills its worker's group. Of
    the environment only harmless variables pass: no KUBECONFIG, no ETCD_*, no proxy for loopback.
    """
    environment = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
        )
    _children[child.pid] = child
    return record_of(name, child.pid)


def end(record: ProcessRecord, grace: float) -> bool:
    """End this process: SIGTERM, then SIGKILL after `grace` seconds. Return whether it was needed to kill."""
    _signal(record, signal.SIGTERM)
    if _gone_within(record, grace):
        return False
    _signal(record, signal.SIGKILL)
    _gone_within(record, 10.0)
    return True


def _signal(record: ProcessRecord, number: signal.Signals) -> None:
    """Signal through a pidfd: between the check and the signal the pid cannot come to mean another process."""
    try:
        descriptor = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return
    try:
        if record.alive():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _gone_within(record: ProcessRecord, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while record.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
