"""Run a long command: quiet when it succeeds, with signs of life while it runs, with its last words when it fails."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from tools.controlplane.binaries import HEARTBEAT
from tools.controlplane.paths import say

_TAIL_LINES = 30


class ImageError(RuntimeError):
    """An image could not be made; the message ends with what the failed command printed."""


def run(command: Sequence[str], what: str, directory: Path, *, niceness: int = 0) -> str:
    """Run a command and return what it printed; say that it starts, lives and ends."""
    say(f"{what} ...")
    started = time.monotonic()
    command = ["nice", "-n", str(niceness), *command] if niceness else list(command)
    with TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
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
        raise ImageError(f"{what} failed, exit code {code} of {command[0]}:\n{tail}")
    say(f"  {what}: {time.monotonic() - started:.0f} s")
    return printed
