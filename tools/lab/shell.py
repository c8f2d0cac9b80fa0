"""Commands, waiting and names: what every part of the lab needs."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class LabError(RuntimeError):
    """A command failed, or something did not happen in time; the text says what was seen last."""


def unique(prefix: str) -> str:
    """A name for an interface or a namespace, at most 15 characters (IFNAMSIZ)."""
    return f"{prefix}{uuid.uuid4().hex[:8]}"


def sh(*command: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; its output. Raises LabError with what it said."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(env or {})}
    )
    if done.returncode:
        raise LabError(f"{' '.join(command)}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what: str, probe: Callable[[], T], seconds: float = 60.0) -> T:
    """Ask until the answer is true, and return it. Raises LabError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer, trouble = probe(), ""
        except (LabError, RuntimeError, KeyError) as error:
            answer, trouble = None, str(error)
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:.0f} s for {what}; last answer: {answer!r} {trouble}")
        time.sleep(0.05)


def ignoring(*command: str) -> None:
    """Run a command whose failure does not matter."""
    with suppress(LabError, OSError):
        sh(*command)
