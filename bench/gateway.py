"""Row ``gateway``: how long the REST API takes to answer about a tenant with many peers.

No controller runs: peers get a status as it would write one, so that answers are as long as they would be. The gateway
is a process of its own with a tenant's token; requests go over one kept connection, one after the other and then eight
at a time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tools.controlplane import ControlPlane
from tools.controlplane.paths import REPOSITORY, say
from tools.lab.gateway import Gateway
from wireguard_operator.api.base import API_VERSION
from wireguard_operator.kube.resources import NAMESPACES, PEERS, SERVERS

from .client import ApiError, BareClient, Object
from .figures import Figure, at_most, percentile, spread
from .usage import cpu_seconds, memory

ROW = "gateway"
TENANT = "isp"
SERVER = "berlin"
REQUESTS = 400
AT_ONCE = 8
GOAL_MS = 50
CPU_MS = 20
"""Of a single request, with the two thousand peers of the short measurement."""
SAMPLE = "{n} peers: {what}, {count} requests over a kept connection, each from before it is sent to its last byte"
TIME = "2030-01-01T00:00:00Z"


async def measure_short(peers: int) -> list[Figure]:
    """CPU time only, which others on the machine hardly change."""
    return [
        Figure(
            ROW, name.replace("p99", "CPU"), figure.detail["cpu_ms"], "ms", figure.how, at_most(CPU_MS), figure.detail
        )
        for figure in await measure(peers)
        if "cpu_ms" in figure.detail and (name := figure.name)
    ]


async def measure(peers: int) -> list[Figure]:
    """Fill a tenant, start a gateway, and ask it."""
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder, ControlPlane(Path(folder) / "plane") as plane:
        plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        plane.wait_for_definitions()
        async with BareClient(plane.kubeconfig, 32) as client:
            ids = await _fill(client, peers)
        gateway = Gateway(plane, Path(folder), [TENANT])
        gateway.start()
        try:
            return await _ask(gateway, peers, ids)
        finally:
            gateway.end()


async def _fill(client: BareClient, peers: int) -> list[str]:
    """A server and its peers, with statuses; the ids of the peers."""
    await client.create(NAMESPACES, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TENANT}})
    spec = {"endpoint": {"host": "vpn.example.net"}, "networks": ["10.0.0.0/8"]}
    await client.create(SERVERS, TENANT, _object("WireGuardServer", SERVER, spec))
    ids = [str(uuid.uuid4()) for _ in range(peers)]
    began = time.monotonic()

    async def one(number: int) -> None:
        await client.create(PEERS, TENANT, _peer(number, ids[number]))
        await client.patch(PEERS, TENANT, f"p{number}", {"status": _status(number)}, "status")

    await client.each(range(peers), one)
    say(f"{peers} peers written in {time.monotonic() - began:.0f} s")
    return ids


def _object(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": TENANT}, "spec": spec}


def _peer(number: int, id_: str) -> Object:
    subscriber = {"customerId": f"customer-{number // 3}", "subscriberId": f"line-{number}", "externalId": id_}
    return _object("WireGuardPeer", f"p{number}", {"serverRef": {"name": SERVER}, "subscriber": subscriber})


def _status(number: int) -> Object:
    types = ("Accepted", "AddressAllocated", "KeysReady", "Programmed", "Ready")
    conditions = [{"type": t, "status": "True", "reason": t, "message": "", "lastTransitionTime": TIME} for t in types]
    return {
        "observedGeneration": 1,
        "phase": "Active" if number % 2 else "Inactive",
        "conditions": [entry | {"observedGeneration": 1} for entry in conditions],
        "serverRef": {"name": SERVER, "namespace": TENANT},
        "addresses": [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}/32"],
        "publicKey": "q2Gp4sxmxSO6Q5ZYRhTgqGMdM0gLrGNkKXiX4zLJ7BY=",
        "secretRef": {"name": f"p{number}-wireguard"},
        "configRevision": "0123456789abcdef",
        "online": bool(number % 2),
        "traffic": {"rxBytes": number * 1000, "txBytes": number * 9000, "since": TIME},
        "lastStatsTime": TIME,
    }


async def _ask(gateway: Gateway, peers: int, ids: list[str]) -> list[Figure]:
    asked: dict[str, tuple[str, Callable[[int], str]]] = {
        "a page of 100": ("pages of 100 peers from all over the list", lambda n: f"/peers?offset={n * 97 % peers}"),
        "a page of one status": ("pages of 100 active peers", lambda n: "/peers?status=active"),
        "a customer's peers": (
            "the three peers of a customer",
            lambda n: f"/customers/customer-{n % (peers // 3)}/peers",
        ),
        "one peer": ("one peer by its id", lambda n: f"/peers/{ids[n * 31 % peers]}"),
        "the dashboard": ("the figures of all", lambda n: "/dashboard"),
    }
    process = gateway.daemon.process
    assert process is not None  # noqa: S101 - it was started
    headers = {"Authorization": f"Bearer {gateway.token(TENANT)}"}
    figures: list[Figure] = []
    async with aiohttp.ClientSession(f"{gateway.url}/api/v1/wireguard/", headers=headers) as session:
        for name, (what, path) in asked.items():
            before = cpu_seconds(process.pid)
            samples = [await _time(session, path(number)) for number in range(REQUESTS)]
            cpu = {"cpu_ms": round((cpu_seconds(process.pid) - before) / REQUESTS * 1000, 2)}
            how = SAMPLE.format(n=peers, what=what, count=REQUESTS)
            p99 = percentile(samples, 0.99)
            figures.append(Figure(ROW, f"{name}, p99", p99, "ms", how, at_most(GOAL_MS), spread(samples) | cpu))
        began = time.monotonic()
        numbers = iter(range(REQUESTS * 2))

        async def worker() -> None:
            for number in numbers:
                await _time(session, asked["a page of 100"][1](number))

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        rate = REQUESTS * 2 / (time.monotonic() - began)
    how = f"{peers} peers: pages of 100 peers, {AT_ONCE} requests at a time, one process"
    figures.append(Figure(ROW, "pages of 100 a second", rate, "/s", how))
    how = f"RSS of the gateway with {peers} peers, after all these requests"
    figures.append(Figure(ROW, "gateway, RSS", memory(process.pid).rss, "MiB", how))
    return figures


async def _time(session: aiohttp.ClientSession, path: str) -> float:
    """Milliseconds of one request. Raises ApiError."""
    began = time.monotonic()
    async with session.get(path.lstrip("/")) as answer:
        body: Any = await answer.read()
        if answer.status != 200:
            raise ApiError(f"GET {path}: {answer.status}: {body[:300]!r}")
    return (time.monotonic() - began) * 1000
