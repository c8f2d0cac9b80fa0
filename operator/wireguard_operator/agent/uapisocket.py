"""Who answers on a UAPI socket.

SO_PEERCRED names the process that began to listen. For a wireguard-go that the agent started that is the one that
answers; but one that wg-quick started put itself into the background, and passed the socket on to a child before it
ended. So the process that has the socket open is looked for, and its number may be anybody's when it is not verified.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from .device import DeviceError, DeviceGoneError

_LISTENS = 0x10000
"""__SO_ACCEPTCON of linux/net.h, in the column Flags."""
_FOREGROUND = ("-f", "--foreground")


def inode(path: Path, table: Path = Path("/proc/net/unix")) -> str | None:
    """The inode of the socket that listens at ``path``; None when it is of another network namespace."""
    # /var/run is /run: the folder may be spelt another way than by who made the socket.
    folder = path.parent.resolve()
    for line in table.read_text().splitlines()[1:]:
        columns = line.split(maxsplit=7)  # Num RefCount Protocol Flags Type St Inode Path
        if len(columns) < 8 or not int(columns[3], 16) & _LISTENS or Path(columns[7]).name != path.name:
            continue
        if Path(columns[7]).parent.resolve() == folder:
            return columns[6]
    return None


def holder(path: Path, listener: int, processes: Path = Path("/proc")) -> int:
    """The pid of the process that answers at ``path``, where ``listener`` began to listen.

    Raises DeviceGoneError when there is none, DeviceError when it cannot be told.
    """
    number = inode(path)
    if number is None:
        return listener
    unreadable = []
    others = (int(entry.name) for entry in processes.iterdir() if entry.name.isdecimal())
    for pid in (listener, *others):
        try:
            if _has_open(processes / str(pid), number):
                return pid
        except PermissionError:
            unreadable.append(pid)
        except OSError:
            continue  # it has ended
    # Processes with more capabilities than this one's do not show what they have open, but how they were called.
    likely = {pid for pid in unreadable if _serves(processes / str(pid), path.stem)}
    if len(likely) > 1:
        raise DeviceError(
            f"several processes may be the WireGuard of {path.stem}: {', '.join(map(str, sorted(likely)))}"
        )
    if not likely:
        raise DeviceGoneError(f"nobody has the socket {path} open")
    return likely.pop()


def _has_open(process: Path, number: str) -> bool:
    for descriptor in (process / "fd").iterdir():
        with suppress(FileNotFoundError):
            if str(descriptor.readlink()) == f"socket:[{number}]":
                return True
    return False


def _serves(process: Path, interface: str) -> bool:
    """Whether a command line is like ``wireguard-go wg0`` or ``boringtun-cli -f wg0``."""
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return False
    return words[-1] == interface and (len(words) == 2 or (len(words) == 3 and words[1] in _FOREGROUND))
