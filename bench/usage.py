"""CPU and memory of processes, as the kernel counts them (proc(5)).

CPU time is steadier than wall time on a machine that others use, too. Of the two ways to count memory, RSS counts
shared pages in full, PSS by share; the peak (VmHWM) exists for RSS only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes in MiB."""

    rss: float
    peak: float
    pss: float


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, of all its threads, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def busy_seconds() -> float:
    """CPU time that all processes of the machine have used, of all cores, since it booted."""
    user, nice, system, _idle, _iowait, irq, softirq = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) / _TICKS


def memory(pid: int) -> Memory:
    """Memory of a process at this moment, and its peak."""
    status = _sizes(Path(f"/proc/{pid}/status"))
    return Memory(status["VmRSS"], status["VmHWM"], _sizes(Path(f"/proc/{pid}/smaps_rollup"))["Pss"])


def children(pid: int) -> list[int]:
    """Process ids of the direct children."""
    text = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for child in text.split()]


def _sizes(path: Path) -> dict[str, float]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = round(int(value.split()[0]) / 1024, 1)
    return found
