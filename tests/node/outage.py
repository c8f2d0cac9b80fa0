"""What subscribers notice when a server's pod goes: streams of pings and the longest time without an answer."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.node.outside import Site, Subscriber

_ANSWER = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes from", re.MULTILINE)


class Stream:
    """Pings in one direction, a thousand a second, so that some are always under way; from now on."""

    def __init__(self, site: Site, subscriber: Subscriber, address: str = "10.8.0.1") -> None:
        self.began = time.time()
        command = ("ping", "-n", "-D", "-O", "-i0.001", "-I", subscriber.interface, address)
        # A pipe would be full before it is read.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the pings have ended
        self._process = subprocess.Popen(site.command(*command), stdout=self._said, stderr=subprocess.STDOUT)

    def end(self) -> list[float]:
        """When answers came (Unix seconds)."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        with self._said:
            self._said.seek(0)
            return [float(moment) for moment in _ANSWER.findall(self._said.read().decode())]


def longest_gap(moments: list[float], began: float, ended: float) -> float:
    """The longest time without an answer."""
    assert moments, "no answer at all"
    return max(later - sooner for sooner, later in itertools.pairwise([began, *moments, ended]))


def patience() -> float:
    """By how much everything takes longer than on a machine that does nothing else: how many want each core."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def processes(pod: str) -> dict[str, int]:
    """Process ids of the agent and of wireguard-go in a pod of this machine, by name."""
    agent = next(pid for pid in _pids() if _says(pid, "environ", f"HOSTNAME={pod}") and _says(pid, "cmdline", "--boot"))
    found, inside = {"agent": agent}, Path(f"/proc/{agent}/ns/pid").readlink()
    for pid in _pids():
        try:
            if Path(f"/proc/{pid}/ns/pid").readlink() == inside and _says(pid, "cmdline", "wireguard-go"):
                found["wireguard-go"] = pid
        except OSError:
            continue
    return found


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _says(pid: int, file: str, text: str) -> bool:
    try:
        parts = Path(f"/proc/{pid}/{file}").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(part.startswith(text.encode()) or part.endswith(f"/{text}".encode()) for part in parts)
