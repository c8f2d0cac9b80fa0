"""``python -m bench``: measure, print one table, write it as JSON. Progress goes to stderr."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from tools.controlplane import ControlPlaneError
from tools.controlplane.paths import REPOSITORY, say
from tools.lab import LabError

from . import agent, bulk, footprint, gateway, latency, machine, restart, scale, short, table, throughput
from .client import ApiError
from .figures import Figure
from .fleet import Fleet
from .watch import Stalled

FORMAT = 1
"""Of the JSON file; grows when a field changes its meaning."""
PEERS = 10_000
IN_FLEET: dict[str, Callable[[Fleet, int], Awaitable[list[Figure]]]] = {
    bulk.ROW: bulk.measure,
    restart.ROW: restart.measure,
    footprint.ROW: footprint.measure,
    latency.ROW: latency.measure,
}
"""Rows about one server, in the order in which one fleet serves them all: the first fills it, the last doubles it."""
ALONE: dict[str, Callable[[int], Awaitable[list[Figure]]]] = {
    agent.ROW: agent.measure,
    throughput.ROW: throughput.measure,
    gateway.ROW: gateway.measure,
    scale.ROW: scale.measure,
}
"""Rows that bring their own surroundings."""
ROWS = (*IN_FLEET, *ALONE)

Take = Callable[[list[Figure]], None]


async def measure(rows: list[str], peers: int | None, take: Take) -> None:
    """Measure rows, those about one server in one fleet that is filled once."""
    wanted = [name for name in IN_FLEET if name in rows]
    if wanted:
        async with Fleet() as fleet:
            await fleet.open()
            if bulk.ROW not in wanted:
                await bulk.fill(fleet, 0, peers or PEERS)
                await fleet.settle()
            for name in wanted:
                say(f"row {name}")
                take(await IN_FLEET[name](fleet, peers or PEERS))
    for name in ALONE:
        if name in rows:
            say(f"row {name}")
            default = scale.PEERS_TOTAL if name == scale.ROW else PEERS
            take(await ALONE[name](peers or default))


async def measure_short(take: Take) -> None:
    """Measure what does not depend on the machine."""
    async with Fleet() as fleet:
        await fleet.open()
        take(await short.measure(fleet))
    take(await gateway.measure_short(short.LARGE))


def run(work: Callable[[Take], Awaitable[None]], path: Path) -> int:
    """Measure, print, write; the exit code: 0, 1 when a goal is missed, 2 when it could not be measured."""
    figures: list[dict[str, Any]] = []
    began, load, whole = time.monotonic(), machine.load(), False

    def take(found: list[Figure]) -> None:
        new = [figure.as_json() for figure in found]
        figures.extend(new)
        say(table.text(new))

    async def main() -> None:
        await work(take)

    try:
        asyncio.run(main())
        whole = True
    except (ApiError, ControlPlaneError, LabError, Stalled, aiohttp.ClientError, OSError) as error:
        say(f"error: {error}")
    except BaseExceptionGroup as group:
        say(f"error: {group.exceptions[0]!r}")
    # What was measured before something failed is worth keeping.
    report = {
        "format": FORMAT,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "complete": whole,
        "machine": machine.describe(),
        "load_average": {"before": load, "after": machine.load()},
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(table.text(figures))
    say(f"written to {path}")
    missed = any(figure["met"] is False for figure in figures)
    return 2 if not whole else 1 if missed else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument(
        "--peers", type=int, metavar="N", help=f"default: {PEERS}, and {scale.PEERS_TOTAL} in row scale"
    )
    parser.add_argument("--short", action="store_true", help="only what does not depend on the machine, 2 to 3 minutes")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "dist" / "bench.json", metavar="FILE")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        say("the benchmark makes network namespaces and WireGuard interfaces: run it as root")
        return 2
    try:
        if arguments.short:
            return run(measure_short, arguments.json)
        rows = arguments.only or list(ROWS)
        return run(lambda take: measure(rows, arguments.peers, take), arguments.json)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
