"""What systemd is told (sd_notify(3)): that the agent serves, that it lives, that it stops. Elsewhere nothing happens.

The watchdog is fed from the event loop, which everything that the agent does goes through.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

FEEDINGS = 3
"""Within the time after which systemd loses patience."""


def tell(state: str) -> None:
    """Send a line such as ``READY=1``. A service manager that does not listen is no reason to fail."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        # A name that begins with @ is in the abstract namespace (unix(7)).
        connection.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


async def feed_watchdog() -> None:
    """Say that the agent lives, as long as it does. Returns at once where nobody asks."""
    seconds = _watchdog_seconds()
    while seconds:
        tell("WATCHDOG=1")
        await asyncio.sleep(seconds / FEEDINGS)


def _watchdog_seconds() -> float:
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(microseconds) / 1e6
