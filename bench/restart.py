"""Row ``restart``: a controller that was killed comes back to a server full of peers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from tools.controlplane.paths import say
from wireguard_operator.kube.resources import PEERS

from .figures import Figure, at_most
from .fleet import SERVER, STALL, Fleet, peer_body
from .usage import cpu_seconds

ROW = "restart"
PROBE = "probe"
HOW_TIME = (
    "from the start of the controller's process to a new peer, created at that moment, being Ready: nothing is pushed "
    "to an agent before every one of its {n} peers has been looked at, so then all are reconciled"
)
HOW_WRITES = "writes of the controller in the audit log, from its start after SIGKILL until it is idle; nothing changed"


async def measure(fleet: Fleet, peers: int) -> list[Figure]:
    """Kill and start twice: once with nothing to do, once with a new peer."""
    quiet = await come_back(fleet)
    seconds, busy = await time_to_probe(fleet)
    return [
        Figure(ROW, "to fully reconciled", seconds, "s", HOW_TIME.format(n=peers), at_most(15), busy),
        Figure(ROW, "writes", quiet["writes"], "count", HOW_WRITES, at_most(0), quiet),
    ]


async def come_back(fleet: Fleet) -> dict[str, Any]:
    """Kill and start with nothing to do; how many writes that makes."""
    await fleet.until_idle("the controller", fleet.controller)
    say("killing the controller and starting it again, with nothing to do")
    fleet.lab.controller.end(kill=True)
    mark, began = fleet.audit.mark(), time.monotonic()
    fleet.lab.start_controller()
    await fleet.until_idle("the controller", fleet.controller)
    writes = fleet.audit.writes(mark)
    return {
        "writes": writes.total(),
        "by_kind": dict(writes),
        "cpu_seconds": round(cpu_seconds(fleet.controller), 2),
        "idle_after": round(time.monotonic() - began, 2),
    }


async def time_to_probe(fleet: Fleet, server: str = SERVER) -> tuple[float, dict[str, Any]]:
    """Kill and start with a new peer to serve; seconds until it is Ready."""
    say("killing the controller and starting it again, with a new peer to serve")
    fleet.lab.controller.end(kill=True)
    mark, began = fleet.audit.mark(), time.monotonic()
    fleet.lab.start_controller()
    await fleet.client.create(PEERS, fleet.namespace, peer_body(PROBE, serverRef={"name": server}))
    await fleet.watch.until("the new peer to be Ready", lambda: PROBE in fleet.watch.ready, STALL)
    seconds = fleet.watch.ready[PROBE] - began
    used = cpu_seconds(fleet.controller)
    writes: Counter[str] = fleet.audit.writes(mark)
    await fleet.client.delete(PEERS, fleet.namespace, PROBE)
    await asyncio.sleep(1)
    return seconds, {"cpu_seconds": round(used, 2), "writes": dict(writes)}
