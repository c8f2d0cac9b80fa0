"""Who asks for patience is given it by all."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from tests.unit.controller.world import until
from wireguard_operator.controller import lease
from wireguard_operator.kube import client as client_module
from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.errors import TooManyRequests
from wireguard_operator.kube.pace import LONGEST_SECONDS, SPREAD, Pace
from wireguard_operator.kube.resources import PEERS


async def test_nobody_waits_before_somebody_asked_for_patience() -> None:
    began = time.monotonic()
    await Pace().wait()
    assert time.monotonic() - began < 0.1


async def test_no_pause_is_longer_than_a_lease_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    pace = Pace()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        pace._until = 0  # it is over

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pace.hold(3600)
    await pace.wait()
    assert LONGEST_SECONDS - 1 < pauses[0] <= LONGEST_SECONDS * 1.2


class Server:
    """Answers 429 so many times."""

    def __init__(self, refusals: int, after: str) -> None:
        self.refusals, self.after = refusals, after
        self.times: list[float] = []

    async def answer(self, _: web.Request) -> web.Response:
        self.times.append(time.monotonic())
        if self.refusals > 0:
            self.refusals -= 1
            return web.json_response({"message": "later"}, status=429, headers={"Retry-After": self.after})
        return web.json_response({"metadata": {"name": "alice"}})


async def serving(server: Server) -> tuple[web.AppRunner, KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, KubeClient(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}"))


async def test_a_request_is_repeated_after_the_time_that_the_api_server_names() -> None:
    server = Server(1, "1")
    runner, client = await serving(server)
    async with client:
        assert (await client.get(PEERS, "isp", "alice"))["metadata"]["name"] == "alice"
        assert server.times[1] - server.times[0] >= 1
    await runner.cleanup()


async def test_one_refusal_holds_back_all_others() -> None:
    server = Server(1, "1")
    runner, client = await serving(server)
    async with client:
        first = asyncio.create_task(client.get(PEERS, "isp", "alice"))
        await until(lambda: bool(server.times))
        await asyncio.sleep(0.1)  # the refusal is on its way back
        await asyncio.gather(first, *(client.get(PEERS, "isp", "bob") for _ in range(20)))
        assert len(server.times) == 22
        assert min(server.times[1:]) - server.times[0] >= 1
    await runner.cleanup()


async def test_endless_refusals_are_an_error_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TRIES", 2)
    server = Server(9, "0")
    runner, client = await serving(server)
    async with client:
        with pytest.raises(TooManyRequests, match="later"):
            await client.get(PEERS, "isp", "alice")
        assert len(server.times) == 2
    await runner.cleanup()


async def test_who_waits_already_waits_for_the_next_refusal_as_well(clock: None) -> None:
    pace, began = Pace(), time.monotonic()
    pace.hold(0.1)
    waiting = asyncio.create_task(pace.wait())
    await asyncio.sleep(0.05)
    pace.hold(0.3)
    await waiting
    assert time.monotonic() - began >= 0.35


def test_a_lease_is_renewed_in_time_after_the_longest_pause() -> None:
    assert lease.RETRY + LONGEST_SECONDS * (1 + SPREAD) < lease.DEADLINE
