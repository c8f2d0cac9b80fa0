"""A WireGuard device that runs on this host, whatever carries it: asked with ``wg`` and ``ip``, nothing is changed.

Both come with every installation that has such a device. ``wg show dump`` tells keys on a pipe, so none is on a command
line or in a file.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ...domain.keys import Hidden
from .found import Device, Peer, SourceError

SECONDS = 60.0
_NONE = "(none)"


def read(interface: str) -> Device:
    """The device behind an interface of this host. Raises SourceError."""
    dump = _run("wg", "show", interface, "dump")
    links = json.loads(_run("ip", "-json", "address", "show", "dev", interface))
    return parse(interface, dump, links)


def parse(interface: str, dump: str, links: Sequence[Mapping[str, Any]]) -> Device:
    """The device from what ``wg show dump`` and ``ip -json address show`` print. Raises SourceError."""
    lines = [line.split("\t") for line in dump.splitlines()]
    if not lines or len(lines[0]) != 4 or any(len(line) != 8 for line in lines[1:]):
        raise SourceError(f"`wg show {interface} dump` prints something else than wg(8) says")
    private, _, port, mark = lines[0]
    if private == _NONE:
        raise SourceError(f"{interface} has no private key yet; configure it first, e.g. with wg-quick up {interface}")
    link = links[0] if links else {}
    return Device(
        Hidden(private),
        int(port),
        tuple(_addresses(link)),
        tuple(_peer(columns) for columns in lines[1:]),
        link.get("mtu"),
        ("FwMark",) if mark != "off" else (),
    )


def _peer(columns: Sequence[str]) -> Peer:
    public, preshared, _, allowed, _, _, _, keepalive = columns
    return Peer(
        public,
        tuple(allowed.split(",")) if allowed != _NONE else (),
        Hidden(preshared) if preshared != _NONE else None,
        keepalive=int(keepalive) if keepalive != "off" else 0,
    )


def _addresses(link: Mapping[str, Any]) -> list[str]:
    found = [ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}") for entry in link.get("addr_info", ())]
    # The kernel gives every interface a link-local IPv6 address of its own.
    return [str(address) for address in found if not (address.version == 6 and address.is_link_local)]


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise SourceError(f"the program {command[0]} is missing: install wireguard-tools and iproute2") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"`{' '.join(command)}` does not end within {SECONDS:.0f} s") from None
    if done.returncode:
        raise SourceError(f"`{' '.join(command)}`: {done.stderr.strip()}; it needs root, on the host of the device")
    return done.stdout
