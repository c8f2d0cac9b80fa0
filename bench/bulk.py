"""Row ``bulk``: peers from nothing to all Ready, as a share of what the API server can take at all."""

from __future__ import annotations

import time
import uuid
from typing import Any

from tools.controlplane.paths import say
from wireguard_operator.kube.resources import PEERS

from .baseline import Baseline, Models, size
from .client import BareClient
from .figures import Figure, at_least
from .fleet import CONNECTIONS, STALL, Fleet, peer_body
from .watch import PeerWatch

ROW = "bulk"
MODEL = "model"
HOW = (
    "time in which a bare client writes {n} peers and, with as many connections again, their Secrets, statuses and "
    "full address blocks, divided by the time from the first create by the same client to the last peer Ready, as a "
    "watch tells; half of the baseline runs before and half after"
)


async def fill(fleet: Fleet, first: int, count: int, prefix: str = "p") -> dict[str, Any]:
    """Create peers at full speed and wait until all are Ready; times in seconds, CPU and writes of each part."""
    say(f"creating {count} peers and waiting until all are Ready")
    names = [f"{prefix}{number}" for number in range(first, first + count)]
    wanted = len(fleet.watch.ready) + count
    before, mark, began = fleet.cpu(), fleet.audit.mark(), time.monotonic()

    async def create(name: str) -> None:
        await fleet.client.create(PEERS, fleet.namespace, peer_body(name))

    await fleet.client.each(names, create)
    created = time.monotonic()
    await fleet.watch.until("all peers to be Ready", lambda: len(fleet.watch.ready) >= wanted, STALL)
    times = [fleet.watch.ready[name] for name in names]
    used = fleet.cpu_since(before)
    return {
        "seconds": round(max(times) - began, 2),
        "created_after": round(created - began, 2),
        "first_ready_after": round(min(times) - began, 2),
        "cpu_seconds": used,
        "writes": dict(fleet.audit.writes(mark)),
        "watches_renewed": fleet.watch.renewed,
    }


async def model(fleet: Fleet) -> Models:
    """The objects of one peer, which stays."""
    await fill(fleet, 0, 1, MODEL)
    return await Models.of(fleet.client, fleet.namespace, f"{MODEL}0")


async def measure(fleet: Fleet, peers: int) -> list[Figure]:
    """Fill an empty server, between the two halves of the baseline."""
    models = await model(fleet)
    async with BareClient(fleet.plane.kubeconfig, CONNECTIONS) as writer:
        baseline = Baseline(fleet.client, writer, models, f"bare-{uuid.uuid4().hex[:8]}")
        await baseline.open()
        before = await _half(fleet, baseline, 0, peers // 2)
        product = await fill(fleet, 0, peers)
        await fleet.settle()
        after = await _half(fleet, baseline, peers // 2, peers - peers // 2)
    detail = product | {
        "peers": peers,
        "baseline": [before, after],
        "connections": [CONNECTIONS, CONNECTIONS],
        "bytes": size(models),
    }
    share = (before["seconds"] + after["seconds"]) / product["seconds"]
    return [Figure(ROW, "share of the API server's speed", share, "ratio", HOW.format(n=peers), at_least(0.6), detail)]


async def _half(fleet: Fleet, baseline: Baseline, first: int, count: int) -> dict[str, Any]:
    """A half of the baseline, with a watch as the product has; the CPU of others tells how much it was disturbed."""
    async with (
        BareClient(fleet.plane.kubeconfig, CONNECTIONS) as observer,
        PeerWatch(observer, baseline.namespace),
    ):
        say(f"baseline: a bare client writes {count} peers")
        used = fleet.cpu()
        seconds = await baseline.run(first, count)
    return {"seconds": round(seconds, 2), "cpu_seconds": fleet.cpu_since(used)}
