"""Is there a Docker engine, and what to do if not."""

import shutil
import subprocess

from tools.kind import commands

_HINT = (
    "Install Docker Engine (https://docs.docker.com/engine/install/) or start it, "
    "or run the same tests on a node that needs none: make node"
)


class EngineError(RuntimeError):
    """There is no Docker engine on this machine; the message says what was tried and what else there is."""


def require_engine() -> str:
    """Return the engine's version. Raises EngineError."""
    if shutil.which("docker") is None:
        raise EngineError(f"make kind-e2e needs a Docker engine: there is no docker command on PATH. {_HINT}")
    try:
        asked = subprocess.run(commands.engine(), capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"make kind-e2e needs a Docker engine: {error}. {_HINT}") from None
    version = asked.stdout.strip()
    if asked.returncode != 0 or not version:
        said = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        raise EngineError(f"make kind-e2e needs a Docker engine: docker says {said!r}. {_HINT}")
    return version
