"""Row ``footprint``: what peers cost when nothing is asked of them: memory, writes over a life, CPU of an hour.

Traffic is made without subscribers: the device is told an endpoint for a tenth of the peers and sends them handshakes,
which nobody answers. Its counters grow, so agent and controller have all the work that traffic makes for them.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from tools.controlplane.paths import say
from tools.lab import sh
from wireguard_operator.controller.settings import Settings
from wireguard_operator.kube.resources import PEERS

from .figures import Figure
from .fleet import STALL, Fleet, peer_body
from .usage import Memory

ROW = "footprint"
LIVES = 50
TRAFFIC_SHARE = 10
"""One peer in so many has traffic."""
IDLE_SECONDS = 120
"""Four reads of counters and two writes of traffic, at the default intervals."""
KEEPALIVE = 25
STATS_INTERVAL = Settings().stats_interval
HOUR = 3600.0

HOW_MEMORY = (
    "{which} of the {part} with {n} peers, less its RSS with none, for each 10,000 peers; wireguard-go not counted"
)
HOW_WRITES = (
    "writes of the controller in the audit log while {lives} peers, one after the other, are created, disabled, "
    "enabled and deleted, divided by their number; before they are disabled their counters are read once"
)
HOW_HOUR = "CPU of controller and agent in {seconds} s at default intervals, scaled to an hour; {n} peers, {traffic}"


async def measure(fleet: Fleet, peers: int) -> list[Figure]:
    """Memory when the server had just been filled, then lives, then hours."""
    figures = _memory(fleet, peers)
    writes = await writes_of_lives(fleet, LIVES)
    per_life = {name: count / LIVES for name, count in writes.items()}
    how = HOW_WRITES.format(lives=LIVES)
    figures.append(Figure(ROW, "writes over a peer's life", sum(per_life.values()), "count", how, None, per_life))
    figures.append(await _hour(fleet, "an idle hour", peers, "none with traffic"))
    share = max(1, peers // TRAFFIC_SHARE)
    keys = [fleet.watch.peers[f"p{number}"]["publicKey"] for number in range(share)]
    await _make_traffic(fleet, keys)
    figures.append(await _hour(fleet, "an hour with traffic", peers, f"{share} of them with traffic"))
    _keep_alive(fleet, keys, 0)
    return figures


def _memory(fleet: Fleet, peers: int) -> list[Figure]:
    figures = []
    for part, full, empty in zip(("controller", "agent"), fleet.full, fleet.empty, strict=True):
        detail = {"full": _plain(full), "empty": _plain(empty), "peers": peers}
        for which, value in (("RSS", full.rss), ("peak", full.peak)):
            per = (value - empty.rss) * 10_000 / peers
            how = HOW_MEMORY.format(which=which, part=part, n=peers)
            figures.append(Figure(ROW, f"{part}, {which}", per, "MiB", how, None, detail))
    return figures


def _plain(found: Memory) -> dict[str, float]:
    return {"rss": found.rss, "peak": found.peak, "pss": found.pss}


async def writes_of_lives(fleet: Fleet, lives: int) -> Counter[str]:
    """All that the controller writes for so many peers' lives; each step is taken by one peer after the other."""
    say(f"letting {lives} peers live: created, disabled, enabled and deleted, one after the other")
    mark, names = fleet.audit.mark(), [f"life{number}" for number in range(lives)]
    for name in names:
        await fleet.client.create(PEERS, fleet.namespace, peer_body(name))
        await _until_phase(fleet, name, "Inactive")
    await until_counted(fleet)
    for enabled, phase in ((False, "Disabled"), (True, "Inactive")):
        for name in names:
            await fleet.client.patch(PEERS, fleet.namespace, name, {"spec": {"enabled": enabled}})
            await _until_phase(fleet, name, phase)
    for name in names:
        key, began = fleet.watch.peers[name]["publicKey"], time.monotonic()
        await fleet.client.delete(PEERS, fleet.namespace, name)
        await _until_cut(fleet, key, began)
    await fleet.until_idle("the controller", fleet.controller)
    return fleet.audit.writes(mark, peers="life")


async def until_counted(fleet: Fleet) -> None:
    """Wait until the counters of all present peers have been read, and what follows from that is written."""
    say(f"  waiting for the counters to be read, {STATS_INTERVAL:g} s")
    await asyncio.sleep(STATS_INTERVAL)
    await fleet.until_idle("the controller", fleet.controller)


async def _until_cut(fleet: Fleet, key: str, began: float) -> None:
    await fleet.until(f"peer {key} to be cut", lambda: fleet.device.stopped(key, began) is not None)


async def _until_phase(fleet: Fleet, name: str, phase: str) -> None:
    await fleet.watch.until(
        f"peer {name} to be {phase} and Ready",
        lambda: name in fleet.watch.ready and fleet.watch.peers[name].get("phase") == phase,
        STALL,
    )


async def _make_traffic(fleet: Fleet, keys: list[str]) -> None:
    say(f"giving {len(keys)} peers traffic")
    _keep_alive(fleet, keys, KEEPALIVE)

    def told() -> bool:
        statuses = (fleet.watch.peers[f"p{number}"] for number in range(len(keys)))
        return all(status.get("traffic", {}).get("txBytes") for status in statuses)

    await fleet.until("the traffic to be in every status", told)


def _keep_alive(fleet: Fleet, keys: list[str], seconds: int) -> None:
    """Have the device send something to each peer every so many seconds; 0: nothing any more."""
    host = fleet.lab.host
    for key in keys:
        sh("ip", "netns", "exec", host.netns, "wg", "set", host.interface, "peer", key,
           "endpoint", f"{host.subscriber_address}:9", "persistent-keepalive", str(seconds))  # fmt: skip


async def _hour(fleet: Fleet, name: str, peers: int, traffic: str) -> Figure:
    say(f"measuring {name} for {IDLE_SECONDS} s")
    before, mark, began = fleet.cpu(), fleet.audit.mark(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - began
    used = {part: round(value * HOUR / seconds, 1) for part, value in fleet.cpu_since(before).items()}
    writes = fleet.audit.writes(mark)
    detail: dict[str, Any] = {
        "cpu_seconds": used,
        "writes": {kind: round(count * HOUR / seconds) for kind, count in writes.items()},
    }
    how = HOW_HOUR.format(seconds=IDLE_SECONDS, n=peers, traffic=traffic)
    return Figure(ROW, name, used["controller"] + used["agent"], "CPU s", how, None, detail)
