"""Masquerade and isolation: one nft table of the agent's own, replaced in one transaction.

It is there before the first peer is (policy before admission), and touches nothing that others set up.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil

from ..domain.device import Interface
from .device import DeviceError

logger = logging.getLogger(__name__)


def table_name(interface: str) -> str:
    """The table of an interface; nft takes fewer characters in names than the kernel does in those of interfaces."""
    return f"wireguard_{re.sub(r'[^A-Za-z0-9_]', '_', interface)}"


def ruleset(name: str, interface: Interface | None) -> str:
    """What ``nft -f -`` is given: the old table goes and the new one comes, or nothing of it happens."""
    table = f"table inet {table_name(name)}"
    lines = [f"{table} {{}}", f"delete {table}"]
    if interface is not None and (interface.masquerade or interface.isolation):
        lines += [f"{table} {{"]
        if interface.isolation:
            lines += [
                "  chain forward {",
                "    type filter hook forward priority filter; policy accept;",
                f'    iifname "{name}" oifname "{name}" counter drop',
                "  }",
            ]
        if interface.masquerade:
            lines += [
                "  chain postrouting {",
                "    type nat hook postrouting priority srcnat; policy accept;",
                f'    iifname "{name}" oifname != "{name}" masquerade',
                "  }",
            ]
        lines += ["}"]
    return "\n".join(lines) + "\n"


class Firewall:
    """The table of one interface. Calls are never concurrent."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._applied: str | None = None

    async def ensure(self, interface: Interface) -> None:
        """Make the table so. Raises DeviceError."""
        wanted = ruleset(self._name, interface)
        if wanted == self._applied:
            return
        if shutil.which("nft") is None:
            if interface.masquerade or interface.isolation:
                raise DeviceError("egress.masquerade and egress.isolation need the program nft: install nftables")
            return
        await self._load(wanted)
        self._applied = wanted

    async def remove(self) -> None:
        """Take the table away. Raises DeviceError."""
        if shutil.which("nft") is not None:
            await self._load(ruleset(self._name, None))
        self._applied = None

    async def _load(self, rules: str) -> None:
        process = await asyncio.create_subprocess_exec(
            "nft",
            "-f",
            "-",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate(rules.encode())
        if process.returncode:
            text = errors.decode(errors="replace").strip().splitlines()
            raise DeviceError(f"nft does not take the rules: {text[0] if text else f'exit code {process.returncode}'}")
