"""A server host: an agent in a network namespace of its own, with a cable to the subscriber's.

The agent is reached through a listening socket that was opened outside and handed over (``--listen fd://N``), so
nothing is added to the machine's own network.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import ExitStack
from pathlib import Path

from .daemon import Daemon
from .shell import ignoring, sh, unique

PYTHON = (sys.executable, "-m", "wireguard_operator")


class Host:
    """One host. ``number`` tells the cables apart: its address is 192.0.``number``.1, the subscriber's .2."""

    def __init__(self, number: int, directory: Path, wireguard_go: Path) -> None:
        self._stack = ExitStack()
        self.number = number
        self.netns, self.interface = unique("wgs"), unique("wgs")
        # RFC 5737, TEST-NET-1, for the first; the others are of 192.0.0.0/16 and in namespaces only.
        self.address, self.subscriber_address = f"192.0.{number}.1", f"192.0.{number}.2"
        self._socket = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self.agent = Daemon(
            f"agent of {self.address}",
            directory / f"agent-{number}.log",
            ["ip", "netns", "exec", self.netns, *PYTHON, "agent", "--interface", self.interface,
             "--driver", "userspace",
             "--state-dir", str(directory / f"agent-{number}"), "--wireguard-go", str(wireguard_go),
             "--listen", f"fd://{self._socket.fileno()}"],
        )  # fmt: skip

    def build(self, subscriber: str) -> None:
        """Make the namespace and lay the cable to the namespace ``subscriber``."""
        sh("ip", "netns", "add", self.netns)
        self._stack.callback(ignoring, "ip", "netns", "delete", self.netns)
        sh("ip", "-n", self.netns, "link", "set", "lo", "up")
        end = unique("wgc")
        sh("ip", "-n", self.netns, "link", "add", "eth0", "type", "veth", "peer", "name", end, "netns", subscriber)
        for netns, device, address in (
            (self.netns, "eth0", self.address),
            (subscriber, end, self.subscriber_address),
        ):
            sh("ip", "-n", netns, "address", "add", f"{address}/24", "dev", device)
            sh("ip", "-n", netns, "link", "set", device, "up")

    def start(self, bundle: str | None = None) -> None:
        """Start the agent, the first time with the bundle of its server."""
        options = ("--bundle", "-") if bundle is not None else ()
        self.agent.start(bundle, *options, pass_fds=(self._socket.fileno(),))

    def allowed_ips(self) -> dict[str, str]:
        """Allowed IPs by public key, as the device has them; empty when there is no device."""
        try:
            shown = sh("ip", "netns", "exec", self.netns, "wg", "show", self.interface, "allowed-ips")
        except RuntimeError:
            return {}
        found = dict(line.split("\t") for line in shown.splitlines())
        return {key: "" if value == "(none)" else value for key, value in found.items()}

    def wireguard_go(self) -> int:
        """The pid of the device's process, which answers on its socket (unix(7), SO_PEERCRED)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(f"/var/run/wireguard/{self.interface}.sock")
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)

    def close(self) -> None:
        """End the agent and remove what was made."""
        self.agent.end()
        # wireguard-go outlives its agent on purpose; it ends with its interface.
        ignoring("ip", "-n", self.netns, "link", "delete", self.interface)
        self._stack.close()
