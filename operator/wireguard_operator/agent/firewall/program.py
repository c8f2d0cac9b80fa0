"""Runs nft: a transaction on its standard input is carried out as a whole or not at all."""

from __future__ import annotations

import asyncio
import shutil

from ..device import DeviceError
from .table import table_name


class Refused(DeviceError):
    """nft or the kernel did not take a transaction; nothing of it has happened."""


def is_installed() -> bool:
    """Whether there is an nft to run."""
    return shutil.which("nft") is not None


async def load(text: str, *, check: bool = False) -> None:
    """Carry out a transaction; ``check``: only see whether it could be. Raises Refused."""
    code, _, errors = await _run(*(["-c"] if check else []), "-f", "-", text=text)
    if code:
        raise Refused(f"nft does not take the rules: {_reason(errors, code)}")


async def listing(interface: str) -> str | None:
    """The table of an interface in nft's JSON, without counters; None when there is no table."""
    return await list_table(table_name(interface))


async def list_table(name: str) -> str | None:
    """A table of ours in nft's JSON, without counters; None when there is no such table."""
    code, output, _ = await _run("-j", "-s", "list", "table", "inet", name)
    return output if code == 0 else None


async def _run(*arguments: str, text: str = "") -> tuple[int, str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            "nft",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:  # no process or no file is to be had; that may pass
        raise DeviceError(f"nft cannot be started: {error.strerror}") from error
    output, errors = await process.communicate(text.encode())
    return process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace")


def _reason(errors: str, code: int) -> str:
    """nft's first sentence, without the place in a text that nobody has before them."""
    first = next(iter(errors.strip().splitlines()), f"exit code {code}")
    return first.partition("Error: ")[2] or first
