"""What happens on the device, as it happens: wireguard-go's own log, read from a pipe.

To ask a device with 10,000 peers what it has costs tens of milliseconds each time, which would be measured along. So
the agent is given a wrapper in the place of wireguard-go, that has it write its log of changes into a pipe. A line
comes when the device has done the thing: no poll, no claim of the agent.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import defaultdict
from pathlib import Path

_CHANGES = "Starting", "Stopping", "UAPI: Removing all allowedips"
_LINE = re.compile(f"peer\\((\\S{{4}})…(\\S{{4}})\\) - ({'|'.join(_CHANGES)})\n".encode())
_WRAPPER = """\
#!/bin/sh
LOG_LEVEL=verbose exec {binary} "$@" >{pipe}
"""


def short(public_key: str) -> str:
    """A public key as wireguard-go's log abbreviates it."""
    return public_key[:4] + public_key[39:43]


class DeviceLog:
    """When peers began to be served and ceased to be, in seconds of the monotonic clock."""

    def __init__(self, directory: Path, binary: Path) -> None:
        self.wrapper = directory / "wireguard-go"
        pipe = directory / "device.pipe"
        os.mkfifo(pipe, 0o600)
        self.wrapper.write_text(_WRAPPER.format(binary=binary, pipe=pipe))
        self.wrapper.chmod(0o700)
        # Open for writing, too, so that it neither waits for a writer nor ends with one.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
        self._change = threading.Condition()
        self._started: defaultdict[str, list[float]] = defaultdict(list)
        self._stopped: defaultdict[str, list[float]] = defaultdict(list)
        self._over = False
        self._thread = threading.Thread(target=self._read, name="device log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading. The device must have ended before: it would wait for a reader."""
        self._over = True
        os.write(self._pipe, b"\n")
        self._thread.join(10)
        os.close(self._pipe)

    def started(self, public_key: str, since: float) -> float | None:
        """When the device began to serve a peer, at or after ``since``; None: not yet."""
        return self._first(self._started, public_key, since)

    def stopped(self, public_key: str, since: float) -> float | None:
        """When the device had cut a peer off, at or after ``since``; None: not yet.

        That is when the peer has ended or has lost its allowed IPs, without which no packet passes in either direction;
        the latter happens to a peer that is only changed, too.
        """
        return self._first(self._stopped, public_key, since)

    def _first(self, times: defaultdict[str, list[float]], public_key: str, since: float) -> float | None:
        with self._change:
            return next((moment for moment in times[short(public_key)] if moment >= since), None)

    def _read(self) -> None:
        rest = b""
        while not self._over:
            chunk = os.read(self._pipe, 1 << 16)
            now = time.monotonic()
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            with self._change:
                for match in _LINE.finditer(whole + newline):
                    times = self._started if match[3] == b"Starting" else self._stopped
                    times[(match[1] + match[2]).decode()].append(now)
