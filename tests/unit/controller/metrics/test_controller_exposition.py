"""The HTTP side of ``/metrics``: formats, compression, and that a large page does not hold up the event loop."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import aiohttp
import pytest

from tests.unit.controller.metrics.pages import Page
from wireguard_operator.api.base import API_VERSION, Key
from wireguard_operator.api.peer import Traffic
from wireguard_operator.controller.metrics import exposition as exposition_module
from wireguard_operator.controller.metrics.exposition import Exposition, render
from wireguard_operator.controller.metrics.fleet import Fleet
from wireguard_operator.controller.metrics.peers import Peers
from wireguard_operator.controller.metrics.process import Metrics
from wireguard_operator.controller.supervisor import Supervisor
from wireguard_operator.controller.watch.cache import Cache

ONLINE = "wireguard_peer_online"


def cache(peers: int) -> Cache:
    """A server whose counters were read, and peers in use."""
    found, now = Cache(Supervisor()), datetime.now(UTC)
    server = {"networks": ["10.8.0.0/16"], "dataPlane": {"type": "Pod"}}
    found.see_server(body("WireGuardServer", "berlin", 1, server))
    found.servers[Key("isp", "berlin")].facts.stats_time = now
    for i in range(peers):
        found.see_peer(body("WireGuardPeer", f"subscriber-{i:05}", i + 2, {"serverRef": {"name": "berlin"}}))
    for i, record in enumerate(found.peers.values()):
        record.facts.traffic = Traffic(rx_bytes=10**12 + i, tx_bytes=i)
        record.facts.last_handshake, record.facts.online, record.facts.on_device = now, True, True
    return found


def body(kind: str, name: str, number: int, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "isp", "uid": f"uid-{number}", "resourceVersion": str(number), "generation": 1}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}


async def serve(peers: Peers | None, found: Cache, port: int) -> Exposition:
    metrics = Metrics()
    metrics.watch_queue("status", lambda: 7)
    metrics.registry.register(Fleet(found, metrics))
    exposition = Exposition(metrics, peers)
    await exposition.start(port)
    return exposition


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
        return found


@pytest.fixture
async def url(port: int) -> AsyncIterator[str]:
    """A page with three peers."""
    found = cache(3)
    exposition = await serve(Peers(found), found, port)
    yield f"http://127.0.0.1:{port}/metrics"
    await exposition.close()


async def get(url: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer,
    ):
        return answer, await answer.read()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;escaping=dots;q=0.5,text/plain;version=0.0.4;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
async def test_the_page_has_the_format_that_is_asked_for(url: str, accept: str, kind: str) -> None:
    answer, data = await get(url, Accept=accept, Accept_Encoding="identity")
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert data.endswith(b"# EOF\n") == ("openmetrics" in kind)
    found = Page(data.decode())
    assert len(found.of(ONLINE)) == 3
    assert found.value("wireguard_operator_queue_depth", {"queue": "status"}) == 7


async def test_both_formats_say_the_same(url: str) -> None:
    _, text = await get(url, Accept="text/plain", Accept_Encoding="identity")
    _, opened = await get(url, Accept="application/openmetrics-text", Accept_Encoding="identity")
    one, other = Page(text.decode()), Page(opened.decode())
    ours = {place for place in one.samples if place[0].startswith("wireguard_")}
    assert ours == {place for place in other.samples if place[0].startswith("wireguard_")}
    assert {place: one.samples[place] for place in ours} == {place: other.samples[place] for place in ours}


async def test_the_page_is_compressed_for_who_can_read_that(url: str) -> None:
    answer, data = await get(url, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(Page(gzip.decompress(data).decode()).of(ONLINE)) == 3


async def test_without_peers_there_is_nothing_about_single_ones_but_their_number(port: int) -> None:
    exposition = await serve(None, cache(3), port)
    try:
        _, data = await get(f"http://127.0.0.1:{port}/metrics", Accept_Encoding="identity")
    finally:
        await exposition.close()
    found = Page(data.decode())
    assert not [name for name in found.families if name.startswith("wireguard_peer_")]
    assert sum(found.of("wireguard_peers").values()) == 0  # no phase has been written yet
    assert found.of("wireguard_server_peers")


async def test_other_paths_are_not_there(url: str) -> None:
    answer, _ = await get(url.removesuffix("/metrics") + "/livez")
    assert answer.status == 404


async def test_the_event_loop_goes_on_while_a_page_of_ten_thousand_peers_is_made(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cache(10_000)
    exposition = await serve(Peers(found), found, port)
    beats, meanwhile = count(), 0

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.001)
            next(beats)

    def rendered(*arguments: Any) -> tuple[str, bytes]:
        nonlocal meanwhile
        before = next(beats)
        page = render(*arguments)
        meanwhile = next(beats) - before - 1
        return page

    monkeypatch.setattr(exposition_module, "render", rendered)
    heart = asyncio.create_task(beat())
    try:
        _, data = await get(f"http://127.0.0.1:{port}/metrics", Accept_Encoding="gzip")
    finally:
        heart.cancel()
        await exposition.close()
    text = gzip.decompress(data)
    assert text.count(b"\nwireguard_peer_receive_bytes_total{") == 10_000
    assert len(data) < 1_000_000 < len(text)
    assert meanwhile >= 3  # none at all if the page is made in the loop itself
