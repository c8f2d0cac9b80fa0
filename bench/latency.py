"""Row ``latency``: from one change in the API to the device, on a server that is full already.

Every time begins before the request is sent, so the API server's own work is in it, and ends with the device's own
word (see ``device``). Cuts under load are begun by the clock, whether those before them are done or not: who waits for
the answer before asking again measures the good moments only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tools.controlplane.paths import say
from tools.lab import sh
from wireguard_operator.kube.resources import PEERS

from . import bulk
from .figures import Figure, at_most, percentile, spread
from .fleet import STALL, Fleet, peer_body
from .watch import Stalled

ROW = "latency"
SAMPLES = 200
PAUSE = 0.25
"""Seconds between two cuts while others are being created."""
POLL = 0.01
"""Seconds between looks into what was read from the device; the times themselves are of the reader."""
GOAL_MS = 500.0

HOW = (
    "from before the request is sent to the API server to the line of wireguard-go's log that says it is done, with "
    "{n} peers on the server"
)
CUTS: tuple[dict[str, Any], ...] = ({"suspensions": [{"reason": "non-payment"}]}, {"enabled": False})
LIFTS: tuple[dict[str, Any], ...] = ({"suspensions": None}, {"enabled": True})


@dataclass(frozen=True, slots=True)
class Sample:
    """One change; milliseconds from its beginning."""

    answered: float
    """To the answer of the API server, which has it then."""
    done: float
    """To the device."""


async def measure(fleet: Fleet, peers: int) -> list[Figure]:
    """Create, cut and lift one at a time, then cut while as many peers again are being created."""
    how = HOW.format(n=peers)
    await fleet.until_idle("the controller", fleet.controller)
    say(f"creating {SAMPLES} peers, one after the other")
    names = [f"one{number}" for number in range(SAMPLES)]
    created = [await _create(fleet, name) for name in names]
    keys = [fleet.watch.peers[name]["publicKey"] for name in names]
    say("suspending or disabling each of them, and lifting it again")
    cuts, lifts = [], []
    for number, (name, key) in enumerate(zip(names, keys, strict=True)):
        cuts.append(await _change(fleet, name, CUTS[number % 2], key, fleet.device.stopped))
        lifts.append(await _change(fleet, name, LIFTS[number % 2], key, fleet.device.started))
    say(f"cutting one every {PAUSE} s while {peers} others are being created")
    loaded = await _under_load(fleet, peers)
    await _compare(fleet, [fleet.watch.peers[f"p{number}"]["publicKey"] for number in range(len(loaded))])
    return [
        *_figures("apply to programmed", created, f"a create, {how}"),
        *_figures("suspend or disable to cut", cuts, f"one at a time, {how}"),
        *_figures("lift to programmed", lifts, f"the suspension lifted or the peer enabled, {how}"),
        *_figures(
            "cut while others are created", loaded, f"one every {PAUSE} s with {peers} more being created, {how}"
        ),
    ]


async def _create(fleet: Fleet, name: str) -> Sample:
    began = time.monotonic()
    await fleet.operator.create(PEERS, fleet.namespace, peer_body(name))
    answered = time.monotonic()
    await fleet.watch.until(f"peer {name} to be Ready", lambda: name in fleet.watch.ready, STALL)
    # The operator makes the key, so it is not known before.
    done = await _moment(fleet.watch.peers[name]["publicKey"], began, fleet.device.started)
    return Sample((answered - began) * 1000, (done - began) * 1000)


async def _change(
    fleet: Fleet, name: str, spec: dict[str, Any], key: str, happened: Callable[[str, float], float | None]
) -> Sample:
    began = time.monotonic()
    await fleet.operator.patch(PEERS, fleet.namespace, name, {"spec": spec})
    answered = time.monotonic()
    done = await _moment(key, began, happened)
    return Sample((answered - began) * 1000, (done - began) * 1000)


async def _moment(key: str, began: float, happened: Callable[[str, float], float | None]) -> float:
    while (moment := happened(key, began)) is None:
        if time.monotonic() - began > STALL:
            raise Stalled(f"the device did not tell of a change of peer {key} within {STALL:.0f} s")
        await asyncio.sleep(POLL)
    return moment


async def _under_load(fleet: Fleet, peers: int) -> list[Sample]:
    """Cuts that begin at regular times until all of the new peers are Ready."""
    keys = [fleet.watch.peers[f"p{number}"]["publicKey"] for number in range(peers)]
    filling = asyncio.create_task(bulk.fill(fleet, 0, peers, "more"))
    cutting: list[asyncio.Task[Sample]] = []
    async with asyncio.TaskGroup() as group:
        for number, key in enumerate(keys):
            await asyncio.sleep(PAUSE)
            if filling.done():
                break
            change = _change(fleet, f"p{number}", CUTS[number % 2], key, fleet.device.stopped)
            cutting.append(group.create_task(change))
    await filling
    return [task.result() for task in cutting]


async def _compare(fleet: Fleet, cut: list[str]) -> None:
    """The device itself must soon agree with what its log said. Raises Stalled."""
    host = fleet.lab.host

    def gone() -> bool:
        shown = sh("ip", "netns", "exec", host.netns, "wg", "show", host.interface, "peers")
        return set(cut).isdisjoint(shown.split())

    await fleet.until("the device to have none of the peers that were cut", gone)


def _figures(name: str, samples: list[Sample], how: str) -> list[Figure]:
    times = [sample.done for sample in samples]
    detail = {"done": spread(times), "answered": spread([sample.answered for sample in samples])}
    return [
        Figure(ROW, f"{name}, p50", percentile(times, 0.5), "ms", how, None, detail),
        Figure(ROW, f"{name}, p99", percentile(times, 0.99), "ms", how, at_most(GOAL_MS), detail),
    ]
