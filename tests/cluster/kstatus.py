"""Asks kstatus, the library by which Flux and others judge objects, what they would say of ours.

It is the library itself, built from tools/kstatus: our conditions are to be right by its rules, not by our reading
of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from tools.controlplane import find_or_build


def kstatus(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the status (``Current``, ``InProgress``, ``Failed``, ...) of each object by its name."""
    asked = list(objects)
    done = subprocess.run(
        [find_or_build("kstatus")], input=json.dumps(asked), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, f"kstatus: {done.stderr.strip()}"
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    found = {name: status for name, status, _ in lines}
    assert len(found) == len(asked), f"the names must differ: {[name for name, *_ in lines]}"
    return found
