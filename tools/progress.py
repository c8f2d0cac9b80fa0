"""Run a long command: quiet when it succeeds, with signs of life while it runs, with its last words when it fails."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from tools.controlplane.paths import say

HEARTBEAT = 15.0
"""Seconds between signs of life: a silent minute looks like a hang, in CI above all."""
_TAIL_LINES = 30


class CommandError(RuntimeError):
    """A command failed; the message ends with what it printed."""


def run(
    command: Sequence[str],
    what: str,
    directory: Path,
    *,
    niceness: int = 0,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return what it printed; say that it starts, lives and ends. Take it along when interrupted."""
    say(f"{what} ...")
    started = time.monotonic()
    command = ["nice", "-n", str(niceness), *command] if niceness else list(command)
    with TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            while True:
                try:
                    code = process.wait(HEARTBEAT)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  still {what}, {time.monotonic() - started:.0f} s")
        except BaseException:
            process.terminate()
            process.wait()
            raise
        output.seek(0)
        printed = output.read()
    if code != 0:
        tail = "\n".join(printed.splitlines()[-_TAIL_LINES:])
        raise CommandError(f"{what} failed, exit code {code} of {command[0]}:\n{tail}")
    say(f"  {what}: {time.monotonic() - started:.0f} s")
    return printed
