"""The UDP port of the device: closed while another pod serves, and who sends to it while this one does.

A standby has every peer on its device and must answer none. That its port is closed in the packet filter, both ways,
holds for every driver, and needs no second way to bring a device up. The kernel notes who sends: a client that does
not know yet that its session has ended goes on with data packets, which WireGuard drops without a word, though they
tell from where the client can be reached, and by the receiver's index (WireGuard paper, section 5.4.6) who it is.

Where another pod may take over the port is open only while the agent says so again and again. A machine that is frozen
is given up; when it thaws the device has timers that are due, and would speak to clients before its agent can know what
happened. The kernel's clock went on meanwhile, so nothing gets out.

Nor does a device behind a Service speak first. What does not answer a packet that came through the Service, for the
kernel's connection tracking, leaves the node from another port than the Service's, and clients would follow it there.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from ..device import DeviceError
from . import program
from .table import table_name

HEARD_SECONDS = 20
"""How long the kernel remembers a sender after its last packet."""
KEPT_SECONDS = 2.0
"""For which the word of the agent holds; after two looks of a second the controller gives a silent pod up."""
SENDERS = 65536
"""The most that it remembers of each IP version; WireGuard's own limit of peers in user space."""


class State(Enum):
    """What the port is."""

    FREE = "free"
    """Not looked after."""
    CLOSED = "closed"
    """No packet comes in or goes out."""
    OPEN = "open"
    """Senders are noted."""
    KEPT = "kept"
    """Open, for ``KEPT_SECONDS`` after each ``Port.keep``."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends data packets."""

    endpoint: str
    """host:port, IPv6 in brackets."""
    session: int
    """The index that the server gave the session."""


def port_table(interface: str) -> str:
    """The table of an interface's port; no interface's own table has such a name."""
    return f"port_of_{table_name(interface)}"


def rules(interface: str, port: int, state: State) -> str:
    """The transaction that makes the table so, whatever there is."""
    name = f"inet {port_table(interface)}"
    lines = [f"table {name} {{}}", f"delete table {name}"]
    if state is State.CLOSED:
        lines += [
            f"table {name} {{",
            # Before connection tracking: packets that nobody answers need no entries there.
            f"  chain in {{ type filter hook prerouting priority -310; udp dport {port} counter drop; }}",
            f"  chain out {{ type filter hook output priority -310; udp sport {port} counter drop; }}",
            "}",
        ]
    elif state is not State.FREE:
        lines.append(f"table {name} {{")
        if state is State.KEPT:
            lines += [
                "  set kept {",
                f"    type inet_service; flags dynamic,timeout; timeout {KEPT_SECONDS:g}s; elements = {{ {port} }};",
                "  }",
                "  chain out { type filter hook output priority -310;",
                f'    oifname "lo" udp dport {port} update @kept {{ udp dport }} drop',
                f"    udp sport {port} udp sport != @kept counter drop",
                "  }",
            ]
        for version, address in ((4, "ip saddr"), (6, "ip6 saddr")):
            lines.append(
                f"  set heard{version} {{ typeof {address} . udp sport . @th,96,32; flags dynamic,timeout;"
                f" timeout {HEARD_SECONDS}s; size {SENDERS}; }}"
            )
        # Behind connection tracking, at -200. For hosts there is no such table.
        lines.append("  chain answers { type filter hook output priority -150;")
        lines.append(f"    udp sport {port} ct direction original counter drop")
        lines.append("  }")
        lines.append("  chain in { type filter hook prerouting priority -310;")
        for version, address in ((4, "ip saddr"), (6, "ip6 saddr")):
            # Behind the UDP header (64 bits): type 4 is a data packet, and the index follows after three empty bytes.
            key = f"{address} . udp sport . @th,96,32"
            lines.append(f"    udp dport {port} @th,64,8 4 update @heard{version} {{ {key} }}")
        lines += ["  }", "}"]
    return "\n".join(lines) + "\n"


def read_senders(text: str) -> list[Sender]:
    """What nft's JSON of the table says."""
    senders = []
    for item in json.loads(text)["nftables"]:
        found = item.get("set", {})
        for element in found.get("elem", ()) if str(found.get("name")).startswith("heard") else ():
            address, port, session = element["elem"]["val"]["concat"]
            host = f"[{address}]" if ":" in address else address
            senders.append(Sender(f"{host}:{port}", session))
    return senders


class Port:
    """The port of one interface's device. Orders come while the device is looked after, so calls may be concurrent."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._port: int | None = None
        self._made: tuple[int, State] | None = None
        self._state = State.FREE
        self._voice: socket.socket | None = None
        self._lock = asyncio.Lock()

    async def ensure(self, port: int) -> None:
        """The device listens, or is about to listen, there. Raises DeviceError."""
        async with self._lock:
            self._port = port
            # That nobody opened a closed port by hand is seen to whenever the device is looked after.
            if self._made != (port, self._state) or self._state is State.CLOSED:
                await self._make(port, self._state)

    async def become(self, state: State) -> None:
        """From now on the port is so. Raises DeviceError."""
        async with self._lock:
            self._state = state
            if self._port is not None and self._made != (self._port, state):
                await self._make(self._port, state)

    async def heard(self) -> list[Sender]:
        """Who sent lately to the open port. Raises DeviceError."""
        if self._made is None or self._made[1] not in (State.OPEN, State.KEPT):
            return []
        return read_senders(await program.list_table(port_table(self._interface)) or '{"nftables": []}')

    def keep(self) -> None:
        """A port in state KEPT stays open for a while. Waits for nothing: a packet to oneself, which goes nowhere."""
        if self._made is None or self._made[1] is not State.KEPT:
            return  # nobody would drop the packet, and the device would get it
        if self._voice is None:
            self._voice = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._voice.setblocking(False)
        with suppress(OSError):  # that it was dropped
            self._voice.sendto(b"", ("127.0.0.1", self._made[0]))

    async def remove(self) -> None:
        """Let go of the port. Raises DeviceError."""
        await self.become(State.FREE)
        if self._voice is not None:
            self._voice.close()
            self._voice = None

    async def _make(self, port: int, state: State) -> None:
        if not program.is_installed():
            if state is State.CLOSED:
                raise DeviceError("a standby needs the program nft, to answer nobody: install nftables")
            return
        before, self._made = self._made, None
        if state is not State.FREE or before is not None:
            await program.load(rules(self._interface, port, state))
        self._made = None if state is State.FREE else (port, state)
