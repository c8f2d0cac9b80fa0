"""A host behind a router that translates addresses: it can call the world, and nobody can call it.

::

    subscriber and controller's port (198.51.100.1) ── (.2) router (192.168.88.1) ── (.2) host

The router passes on what belongs to connections from inside, and the UDP port of WireGuard, as administrators of such
hosts forward it. The controller's port is a socket that was opened in the subscriber's namespace and handed over.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from .daemon import Daemon
from .host import PYTHON
from .shell import ignoring, sh, unique

OUTSIDE, ROUTER, HOST = "198.51.100.1", "198.51.100.2", "192.168.88.2"
PORT, WIREGUARD_PORT = 8444, 51820
URL = f"https://{OUTSIDE}:{PORT}"

_RULES = f"""
table ip nat {{
  chain out {{ type nat hook postrouting priority srcnat; oifname "wan" masquerade; }}
  chain in {{ type nat hook prerouting priority dstnat; iifname "wan" udp dport {WIREGUARD_PORT} dnat to {HOST}; }}
}}
table ip filter {{
  counter refused {{ }}
  chain cut {{ }}
  chain forward {{
    type filter hook forward priority filter;
    jump cut
    ct state established,related accept
    iifname "wan" udp dport {WIREGUARD_PORT} accept
    iifname "wan" counter name refused drop
  }}
}}
"""
_OPEN = """
import socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
listener = socket.create_server((sys.argv[2], int(sys.argv[3])))
socket.send_fds(channel, [b"-"], [listener.fileno()])
"""


class NatHost:
    """The host, its router, and the controller's port outside."""

    def __init__(self, directory: Path, wireguard_go: Path, outside: str) -> None:
        """``outside``: the namespace of everybody else."""
        self._stack = ExitStack()
        self.outside = outside
        self.netns, self.router, self.interface = unique("wgs"), unique("wgr"), unique("wgs")
        self.state = directory / f"nat-{self.interface}"
        options = ["--interface", self.interface, "--state-dir", str(self.state)]
        self._enrol = ["ip", "netns", "exec", self.netns, *PYTHON, "host-enroll", "--controller", URL, *options]
        self.agent = Daemon(
            "agent behind NAT",
            directory / f"{self.interface}.log",
            ["ip", "netns", "exec", self.netns, *PYTHON, "agent", *options, "--driver", "userspace",
             "--wireguard-go", str(wireguard_go)],
        )  # fmt: skip

    def build(self) -> None:
        """Make namespaces, cables and rules."""
        for name in (self.netns, self.router):
            sh("ip", "netns", "add", name)
            self._stack.callback(ignoring, "ip", "netns", "delete", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        end = unique("wgc")
        for near, name, address, far, other, far_address in (
            (self.router, "wan", ROUTER, self.outside, end, OUTSIDE),
            (self.router, "lan", "192.168.88.1", self.netns, "eth0", HOST),
        ):
            sh("ip", "-n", near, "link", "add", name, "type", "veth", "peer", "name", other, "netns", far)
            for netns, device, own in ((near, name, address), (far, other, far_address)):
                sh("ip", "-n", netns, "address", "add", f"{own}/24", "dev", device)
                sh("ip", "-n", netns, "link", "set", device, "up")
        sh("ip", "-n", self.netns, "route", "add", "default", "via", "192.168.88.1")
        sh("ip", "netns", "exec", self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        sh("ip", "netns", "exec", self.router, "nft", "-f", "-", stdin=_RULES)
        self.port = self._stack.enter_context(_listen(self.outside, OUTSIDE, PORT))

    def enrol(self, token: str, *options: str) -> subprocess.CompletedProcess[str]:
        """``host-enroll`` with a token on stdin."""
        command = [*self._enrol, "--token-file", "-", *options]
        return subprocess.run(command, input=token, capture_output=True, text=True, timeout=60, check=False)

    def start_enrolment(self, directory: Path, token: Path) -> subprocess.Popen[str]:
        """As ``enrol`` with another directory and a token in a file, without waiting for its end."""
        command = [*self._enrol, "--state-dir", str(directory), "--token-file", str(token)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def cut(self) -> None:
        """Have the router drop, without a word, all that is between host and controller; tunnels go on."""
        for end in ("dport", "sport"):
            self._nft("add", "rule", "ip", "filter", "cut", "tcp", end, str(PORT), "drop")

    def mend(self) -> None:
        """End the ``cut``."""
        self._nft("flush", "chain", "ip", "filter", "cut")

    def refused(self) -> int:
        """Packets from outside that the router did not let in."""
        text = self._nft("-j", "list", "counter", "ip", "filter", "refused")
        return sum(int(entry["counter"]["packets"]) for entry in json.loads(text)["nftables"] if "counter" in entry)

    def _nft(self, *arguments: str) -> str:
        return sh("ip", "netns", "exec", self.router, "nft", *arguments)

    def wg(self, what: str) -> dict[str, str]:
        """``wg show`` on the host: public key → the rest of the line."""
        shown = sh("ip", "netns", "exec", self.netns, "wg", "show", self.interface, what)
        return dict(line.split("\t", 1) for line in shown.splitlines())

    def close(self) -> None:
        """End the agent and remove what was made."""
        self.agent.end()
        ignoring("ip", "-n", self.netns, "link", "delete", self.interface)
        self._stack.close()


def _listen(netns: str, address: str, port: int) -> socket.socket:
    """A listening socket of another network namespace: a socket stays in the one that it was made in."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = ["ip", "netns", "exec", netns, sys.executable, "-c", _OPEN, str(theirs.fileno()), address, str(port)]
        subprocess.run(command, pass_fds=[theirs.fileno()], check=True, timeout=60)
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=descriptors[0])
