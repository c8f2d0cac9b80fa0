"""The Lease by which one of several replicas works."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tests.unit.controller.world import World
from wireguard_operator.controller import lease as module
from wireguard_operator.controller import main
from wireguard_operator.controller.lease import Lease
from wireguard_operator.controller.settings import Settings
from wireguard_operator.controller.watch.sweep import Sweep
from wireguard_operator.kube.client import KubeClient, Object
from wireguard_operator.kube.errors import NotFound, Unavailable
from wireguard_operator.kube.resources import SERVERS


class Kube:
    """One Lease, on an API server that may stop answering."""

    def __init__(self) -> None:
        self.body: Object | None = None
        self.hangs = False

    async def get(self, *_: Any) -> Object:
        if self.hangs:
            await asyncio.sleep(30)
        if self.body is None:
            raise NotFound("none", 404)
        return self.body

    async def create(self, _kind: Any, _namespace: str, body: Object) -> Object:
        return await self.replace(None, "", "", body)

    async def replace(self, _kind: Any, _namespace: str, _name: str, body: Object) -> Object:
        if self.hangs:
            await asyncio.sleep(30)
        self.body = {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}
        return self.body


async def test_a_lease_is_given_up_in_time_when_the_api_server_does_not_answer(
    clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.5)
    monkeypatch.setattr(module, "RETRY", 0.1)
    kube = Kube()
    lease = Lease(cast(KubeClient, kube), "system", lambda: datetime.now(UTC))
    await lease.acquire()
    kube.hangs = True
    began = time.monotonic()
    await asyncio.wait_for(lease.keep(), 5)
    assert time.monotonic() - began < 1.0


async def test_a_lease_is_renewed_while_the_objects_are_read_and_lost_ones_end_all_work(
    monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.5)
    monkeypatch.setattr(module, "RETRY", 0.1)
    worked, renewals, open_when_lost, stop = list[str](), list[int](), list[bool](), asyncio.Event()
    await world.server()

    async def fill(sweep: Sweep) -> None:
        await asyncio.sleep(1.0)
        renewals.append(sum(call[:2] == ("replace", "leases") for call in world.kube.calls))
        for (kind, _), body in world.kube.objects.items():
            if kind == SERVERS:
                sweep._cache.see_server(body)

    async def watch(*_: Any) -> None:
        worked.append("watch")
        world.kube.refuse = away
        try:
            await stop.wait()
        finally:
            # kopf takes its time to end.
            open_when_lost.append(any(task.get_name().startswith("pipeline") for task in asyncio.all_tasks()))

    def away(*_: Any) -> None:
        raise Unavailable("away")

    @asynccontextmanager
    async def connected() -> AsyncIterator[Any]:
        yield world.kube

    async def connection(*_: Any, **__: Any) -> Any:
        return connected()

    async def load(*_: Any) -> Any:
        return world.authority

    monkeypatch.setattr(main.KubeClient, "connect", connection)
    monkeypatch.setattr(main.authority, "load", load)
    monkeypatch.setattr(main.Sweep, "fill", fill)
    monkeypatch.setattr(main.watches, "run", watch)
    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(main._main(Settings(leader_elect=True, stats_interval=60)), 10)
    assert worked == ["watch"] and renewals[0] >= 3
    assert caught.value.split(main.LeaseLost)[1] is None
    assert open_when_lost == [False]
