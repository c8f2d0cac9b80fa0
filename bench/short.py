"""What CI runs: figures that do not depend on the machine, with few peers. A missed goal means that the code is worse.

Counts of writes are exact. Growth compares CPU time of the controller's process per peer at two sizes, which others on
the machine hardly change.
"""

from __future__ import annotations

from typing import Any

from tools.controlplane.paths import say

from . import bulk, footprint, restart
from .figures import Figure, at_most
from .fleet import Fleet

ROW = "short"
SMALL, LARGE = 500, 2000
LIVES = 10
STATUS, SECRET, BLOCK = "patch wireguardpeers/status", "create secrets", "wireguardaddressblocks"

WRITES_PER_LIFE = {
    STATUS: 3,  # Ready, disabled, enabled; a peer that is deleted has no status
    SECRET: 1,
    f"create {BLOCK}": 0.1,  # one for all of them
    f"update {BLOCK}": 2,  # the address is taken and given back
    "create events": 3,
    "patch wireguardservers/status": 4,  # its numbers follow each step, several at a time
}
"""Most writes of each kind over a peer's life, one peer at a time; any other kind is one too many."""
PER_NEW_PEER = 1.01
"""Most statuses and Secrets of a new peer: one, and some slack for an API server that has to be asked twice."""
OTHERS_PER_NEW_PEER = 0.05
"""Most writes of all other kinds, which many peers share."""
GROWTH = 1.5
"""Most CPU per peer of the larger size against the smaller; proportional growth is 1."""


async def measure(fleet: Fleet) -> list[Figure]:
    """Fill to two sizes, let some peers live, and start the controller anew."""
    small = await bulk.fill(fleet, 0, SMALL)
    await fleet.until_idle("the controller", fleet.controller)
    mark = fleet.audit.mark()
    large = await bulk.fill(fleet, SMALL, LARGE - SMALL)
    await footprint.until_counted(fleet)
    large["writes"] = fleet.audit.writes(mark)
    lives = await footprint.writes_of_lives(fleet, LIVES)
    per_life = {kind: count / LIVES for kind, count in lives.items()}
    quiet = await restart.come_back(fleet)
    say("done")
    return [
        growth(small, large),
        *bulk_writes(large),
        *life_writes(per_life),
        Figure(ROW, "writes at a restart", quiet["writes"], "count", restart.HOW_WRITES, at_most(0), quiet),
    ]


def growth(small: dict[str, Any], large: dict[str, Any]) -> Figure:
    """How the controller's work per peer grows; both are what ``bulk.fill`` told."""
    first = small["cpu_seconds"]["controller"] / SMALL
    second = large["cpu_seconds"]["controller"] / (LARGE - SMALL)
    how = f"CPU of the controller per peer, from {SMALL} to {LARGE} peers, against that of the first {SMALL}"
    detail = {"small": small, "large": large}
    return Figure(ROW, "growth of the CPU per peer", second / first, "x", how, at_most(GROWTH), detail)


def bulk_writes(large: dict[str, Any]) -> list[Figure]:
    """A peer that comes is one Secret and one status; what it shares with others is far less."""
    count = LARGE - SMALL
    how = f"writes of the controller per peer while {count} are created and their counters read once, {{kind}}"
    writes = {kind: number / count for kind, number in large["writes"].items()}
    blocks = sum(number for kind, number in writes.items() if BLOCK in kind)
    rest = sum(number for kind, number in writes.items() if kind not in (STATUS, SECRET) and BLOCK not in kind)
    return [
        Figure(
            ROW,
            "statuses of a new peer",
            writes.get(STATUS, 0),
            "count",
            how.format(kind=STATUS),
            at_most(PER_NEW_PEER),
        ),
        Figure(
            ROW, "Secrets of a new peer", writes.get(SECRET, 0), "count", how.format(kind=SECRET), at_most(PER_NEW_PEER)
        ),
        Figure(
            ROW, "blocks of a new peer", blocks, "count", how.format(kind=BLOCK), at_most(OTHERS_PER_NEW_PEER), writes
        ),
        Figure(
            ROW,
            "other writes of a new peer",
            rest,
            "count",
            how.format(kind="all others"),
            at_most(OTHERS_PER_NEW_PEER),
            writes,
        ),
    ]


def life_writes(per_life: dict[str, float]) -> list[Figure]:
    """Writes over a peer's life by kind, each against its limit, and those that nobody expects."""
    how = footprint.HOW_WRITES.format(lives=LIVES)
    strange = sum(count for kind, count in per_life.items() if kind not in WRITES_PER_LIFE)
    return [
        *(
            Figure(ROW, f"life: {kind}", per_life.get(kind, 0), "count", how, at_most(limit), per_life)
            for kind, limit in WRITES_PER_LIFE.items()
        ),
        Figure(ROW, "life: any other kind", strange, "count", how, at_most(0), per_life),
    ]
