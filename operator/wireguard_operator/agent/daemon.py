"""The wireguard-go process: start it so that it outlives the agent, find it again, know when it dies.

A subscriber's tunnel must not depend on the agent's health. So wireguard-go runs in a session of its own with no
pipe to the agent, and nothing about it is kept on disk: whoever answers on its socket is found by it (``uapisocket``).
Under systemd the agent's unit needs ``KillMode=process`` for the same reason.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import uapi, uapisocket
from .device import DeviceError, DeviceGoneError

UAPI_DIRECTORY = Path("/var/run/wireguard")
START_SECONDS = 15.0
CALL_SECONDS = 120.0
"""65,536 peers, the most that wireguard-go takes, need some 15 s on a slow machine."""

_CAP_NET_ADMIN = 12
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Process:
    """One life of wireguard-go."""

    pid: int
    started: int
    """Clock ticks since the machine's boot (proc(5), stat field 22): tells a reused pid from the first one."""

    @property
    def identity(self) -> str:
        """Unique over reboots."""
        return f"{_BOOT_ID.read_text().strip()}.{self.pid}.{self.started}"


_serving: dict[Path, tuple[int, Process]] = {}
"""By socket: the process that began to listen there, and the one that answers."""


async def call(path: Path, request: bytes | None) -> tuple[Process, bytes]:
    """Who answers on a UAPI socket, and its whole reply to ``request`` (None: do not ask anything).

    Raises DeviceGoneError when nobody answers, DeviceError when somebody strange does.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await loop.sock_connect(connection, str(path))
                process = _peer_process(connection, path)
                if request is None:
                    return process, b""
                # After a bad line wireguard-go answers and hangs up without reading on; the answer is still there.
                with suppress(BrokenPipeError):
                    await loop.sock_sendall(connection, request)
                reply = bytearray()
                while not reply.endswith(uapi.END):
                    chunk = await loop.sock_recv(connection, 1 << 20)
                    if not chunk:
                        raise DeviceGoneError("wireguard-go hung up in the middle of a reply")
                    reply += chunk
                return process, bytes(reply)
        except (FileNotFoundError, ConnectionError):
            raise DeviceGoneError(f"no wireguard-go answers on {path}") from None
        except TimeoutError:
            raise DeviceError(f"wireguard-go does not answer on {path} within {CALL_SECONDS:.0f} s") from None


def preflight(binary: Path) -> None:
    """Raise DeviceError when this process could never start wireguard-go."""
    if not os.access(binary, os.X_OK):
        raise DeviceError(f"wireguard-go not found at {binary}; install it or name it with --wireguard-go")
    capabilities = next(
        int(line.split()[1], 16)
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff:")
    )
    if not capabilities >> _CAP_NET_ADMIN & 1:
        raise DeviceError("the agent makes network interfaces: run it as root, or with the capability NET_ADMIN")
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise DeviceError(
            f"/dev/net/tun cannot be opened ({error.strerror}): load the module tun, or give the pod this device"
        ) from None


async def start(binary: Path, interface: str, path: Path, log: Path) -> Process:
    """Start wireguard-go detached and wait until its socket at ``path`` answers. Raises DeviceError.

    Only what Go writes when it crashes goes to ``log``: its log of errors has a line for each packet to a peer
    without endpoint, and would fill the disk.
    """
    preflight(binary)
    pid = _spawn(binary, interface, log)
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if (status := reap(pid)) is not None:
            raise DeviceError(
                f"wireguard-go ended at once ({status}); see why with: LOG_LEVEL=error {binary} -f {interface}"
            )
        with suppress(DeviceGoneError):
            process, _ = await call(path, None)
            if process.pid == pid:
                return process
        await asyncio.sleep(0.01)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    raise DeviceError(f"wireguard-go does not answer on {path} within {START_SECONDS:.0f} s")


def _spawn(binary: Path, interface: str, log: Path) -> int:
    try:
        return os.posix_spawn(
            binary,
            [str(binary), "-f", interface],
            {"LOG_LEVEL": "silent", "WG_PROCESS_FOREGROUND": "1", "PATH": os.defpath},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
            ],
            setsid=True,
            # Python ignores these two, and what is ignored is inherited.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        raise DeviceError(f"{binary} cannot be run: {error.strerror}") from None


def reap(pid: int) -> str | None:
    """How a child ended, in words; None when it runs or is not a child (any more)."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def in_own_network(process: Process, path: Path) -> bool:
    """Whether a process is in this process's network namespace. UAPI sockets are files and cross namespaces."""
    try:
        return Path(f"/proc/{process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
    except FileNotFoundError:
        raise DeviceGoneError("wireguard-go has just ended") from None
    except PermissionError:  # it has capabilities that this process was not given; its socket tells as well
        return uapisocket.inode(path) is not None


def watch(process: Process) -> int:
    """A pidfd, readable when the process has ended; the caller closes it. Raises DeviceGoneError."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        raise DeviceGoneError("wireguard-go has just ended") from None
    # Between SO_PEERCRED and here the pid may have gone to somebody else.
    if _started(process.pid) != process.started:
        os.close(pidfd)
        raise DeviceGoneError("wireguard-go has just ended")
    return pidfd


def _peer_process(connection: socket.socket, path: Path) -> Process:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    listener = struct.unpack("3i", packed)[0]
    if listener == 0:
        raise DeviceError("the wireguard-go behind the socket runs in another PID namespace; stop it there first")
    known = _serving.get(path)
    if known is None or known[0] != listener or not _lives(known[1]):
        # Only seldom: to find out who has a socket open takes a look at all processes.
        pid = uapisocket.holder(path, listener)
        known = _serving[path] = listener, Process(pid, _started(pid))
    return known[1]


def _lives(process: Process) -> bool:
    try:
        return _started(process.pid) == process.started
    except DeviceGoneError:
        return False


def _started(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise DeviceGoneError("wireguard-go has just ended") from None
    # The second field is the program's name in parentheses and may hold anything, even a parenthesis.
    return int(stat.rpartition(")")[2].split()[19])
