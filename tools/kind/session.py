"""From an engine with nothing on it to the suite's exit code: image, cluster, places outside, tests, all of it away.

What does the work is a parameter, so the order, and what is cleaned up after which failure, is tested without Docker.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tools.controlplane.paths import REPOSITORY, say
from tools.image import OPERATOR_IMAGE
from tools.kind import commands
from tools.progress import run
from tools.suite import Suite

SITES = ("subscriber", "internet")
PATIENCE = 10.0
"""Seconds in which a container's first process, which is runc at first, has to become the `sleep`."""


class SessionError(RuntimeError):
    """A container that stands for a place outside is not what it should be; the message says how."""


class Shell(Protocol):
    """What runs commands."""

    def run(self, command: Sequence[str], what: str) -> str:
        """Run and return what was printed. Raises CommandError."""

    def attempt(self, command: Sequence[str]) -> None:
        """Run; a failure is none."""

    def call(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run at the terminal, with more variables, and return the exit code."""

    def program(self, pid: int) -> str:
        """Return the name of a process of this machine; empty: there is none."""


class Machine:
    """The shell that is real."""

    def run(self, command: Sequence[str], what: str) -> str:
        """See Shell."""
        return run(command, what, REPOSITORY, environment={**os.environ, **commands.ENVIRONMENT})

    def attempt(self, command: Sequence[str]) -> None:
        """See Shell."""
        subprocess.run(command, env={**os.environ, **commands.ENVIRONMENT}, capture_output=True, check=False)

    def call(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """See Shell."""
        code = subprocess.call(command, env={**os.environ, **environment}, cwd=REPOSITORY)
        return code if code >= 0 else 128 - code

    def program(self, pid: int) -> str:
        """See Shell."""
        try:
            return Path(f"/proc/{pid}/comm").read_text().strip()
        except OSError:
            return ""


class Session:
    """One cluster with its places outside."""

    def __init__(
        self,
        shell: Shell,
        kind: Path,
        folder: Path,
        logs: Path = REPOSITORY / "dist" / "kind-logs",
        patience: float = PATIENCE,
    ) -> None:
        """`folder` is private and takes the kubeconfig; `logs` is where the node's go when something fails."""
        self._shell, self._kind, self._logs, self._patience = shell, kind, logs, patience
        self.suite = Suite(folder / "kubeconfig", OPERATOR_IMAGE, *map(commands.site, SITES))

    def run(self, command: Sequence[str], keep: bool = False) -> int:
        """Make all of it, run the command and return its exit code. A failure leaves the node's logs behind."""
        self._shell.run(commands.build(self.suite.image, REPOSITORY), f"building {self.suite.image}")
        self.remove()  # what an earlier run was told to keep, or could not clean up
        code = 1
        try:
            self._make()
            code = self._shell.call(command, self.suite.environment())
        finally:
            if code != 0:
                self._shell.attempt(commands.export_logs(self._kind, self._logs))
                say(f"the logs of the node, if it came that far: {self._logs}")
            if keep:
                say(self._farewell(command))
            else:
                self.remove()
        return code

    def remove(self) -> None:
        """Remove the places and the cluster, as far as they are there."""
        for name in SITES:
            self._shell.attempt(commands.detach_site(name))
            self._shell.attempt(commands.remove_site(name))
        self._shell.run(commands.delete(self._kind, self.suite.kubeconfig), f"deleting cluster {commands.CLUSTER}")

    def _make(self) -> None:
        what = f"making cluster {commands.CLUSTER} (the first time with its image, 2-4 min)"
        self._shell.run(commands.create(self._kind, self.suite.kubeconfig), what)
        self._shell.run(commands.load(self._kind, self.suite.image), f"giving the node {self.suite.image}")
        for name in SITES:
            self._shell.run(commands.start_site(name, self.suite.image), f"making {commands.site(name)}")
            pid = self._pid(name)
            self._shell.run(commands.attach_site(name, pid), f"naming the network namespace of {commands.site(name)}")

    def _pid(self, name: str) -> int:
        """The container's process, when it is one of this machine: a namespace of somebody else must not be taken."""
        printed = self._shell.run(commands.site_pid(name), f"finding {commands.site(name)}").strip()
        if not printed.isdecimal() or printed == "0":
            raise SessionError(
                f"container {commands.site(name)} does not run; docker inspect says {printed!r} of its pid"
            )
        deadline = time.monotonic() + self._patience
        while (program := self._shell.program(int(printed))) != "sleep" and time.monotonic() < deadline:
            time.sleep(0.05)
        if program != "sleep":
            raise SessionError(
                f"process {printed}, the pid of container {commands.site(name)}, is {program or 'no process'} here, "
                "not sleep: the engine has to run on this machine, not behind DOCKER_HOST or in a virtual one"
            )
        return int(printed)

    def _farewell(self, command: Sequence[str]) -> str:
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.suite.environment().items())
        return (
            f"cluster {commands.CLUSTER} is kept. The tests again:\n  {variables} {shlex.join(command)}\n"
            "Away with it: python -m tools.kind delete"
        )
