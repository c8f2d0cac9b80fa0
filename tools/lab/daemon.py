"""A child process with a log file."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path


class Daemon:
    """A child process with a log file."""

    def __init__(self, name: str, log: Path, command: list[str]) -> None:
        self.name, self.log, self.command = name, log, command
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, stdin: str | None = None, *extra: str, pass_fds: tuple[int, ...] = ()) -> None:
        """Start it; ``stdin`` is written and closed."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *extra], stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=pass_fds
            )
        if self.process.stdin is not None:
            with suppress(BrokenPipeError), self.process.stdin as pipe:
                pipe.write((stdin or "").encode())

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def end(self, *, kill: bool = False) -> None:
        """SIGTERM, or SIGKILL; wait for its end."""
        if self.process is not None and self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)
        self.process = None
