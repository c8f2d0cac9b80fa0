"""What a plane's directory remembers: ports and exactly which processes belong to it.

The file is also the mark that a directory was made by this tool. Nothing without it is ever cleaned up, so
that a wrong `--dir` cannot cost anybody their files. It is written after every single start of a process and
replaced in one step, because the starter can die at any moment.
"""

import json
import random
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.controlplane.commands import LOOPBACK, Ports
from tools.controlplane.processes import ProcessRecord

FILE_NAME = "state.json"
_PORT_RANGE = range(20000, 29999)


@dataclass(frozen=True)
class State:
    """One plane as it was started; processes in the order of their start."""

    ports: Ports
    processes: tuple[ProcessRecord, ...] = ()

    def with_process(self, record: ProcessRecord) -> "State":
        """Return the state after one more process was started."""
        return State(self.ports, (*self.processes, record))

    def dead(self) -> list[ProcessRecord]:
        """Return the processes that should run and do not."""
        return [record for record in self.processes if not record.alive()]


def read(directory: Path) -> State | None:
    """Return the state kept in `directory`, or None when no plane was started there."""
    try:
        found = json.loads((directory / FILE_NAME).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return State(Ports(**found["ports"]), tuple(ProcessRecord(**record) for record in found["processes"]))


def write(directory: Path, state: State) -> None:
    """Keep the state; a reader sees the old one or the new one."""
    scratch = directory / f".{FILE_NAME}"
    scratch.write_text(json.dumps(asdict(state), indent=2))
    scratch.replace(directory / FILE_NAME)


def port_is_free(port: int) -> bool:
    """Try to bind: the only reliable question."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(is_free: Callable[[int], bool] = port_is_free) -> Ports:
    """Choose free ports.

    They come from below the ephemeral range (and the node ports): a port that the kernel hands out for
    "port 0" can become the source port of any outgoing connection before its server has bound it.
    """
    chosen: list[int] = []
    candidates = list(_PORT_RANGE)
    random.SystemRandom().shuffle(candidates)
    for port in candidates:
        if is_free(port):
            chosen.append(port)
        if len(chosen) == 3:
            return Ports(*chosen)
    raise OSError(f"no three free ports between {_PORT_RANGE.start} and {_PORT_RANGE.stop}")
