"""The controller's own figures: each call counts where the page says, and the parts that call are connected."""

from typing import cast

import pytest

from tests.unit.controller.metrics.pages import Page
from tests.unit.controller.world import World
from wireguard_operator.api.base import Key
from wireguard_operator.api.reasons import Reason
from wireguard_operator.controller.metrics.exposition import render
from wireguard_operator.controller.metrics.process import Metrics
from wireguard_operator.controller.watch.sweep import Sweep
from wireguard_operator.controller.writes import event_recorder
from wireguard_operator.controller.writes.event_recorder import EventRecorder
from wireguard_operator.domain.events import News
from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.resources import PEERS

OWN = "wireguard_operator_"


def page(metrics: Metrics) -> Page:
    return Page(render(metrics, None)[1].decode())


def test_each_call_is_counted_under_its_labels() -> None:
    metrics = Metrics()
    metrics.turn(0.02)
    metrics.programmed("cut", 0.3)
    metrics.api_request("patch", "wireguardpeers/status", 200, 0.004)
    metrics.api_request("list", "secrets", 0, 30.0)
    metrics.status_written("wireguardpeers", "refused")
    metrics.agent_request("delta", "ok", 0.01, 1234)
    metrics.leads(True)
    metrics.authority_expires(2_000_000_000)
    found = page(metrics)
    assert found.value(f"{OWN}turn_duration_seconds_bucket", {"le": "0.01"}) == 0
    assert found.value(f"{OWN}turn_duration_seconds_bucket", {"le": "0.025"}) == 1
    assert found.value(f"{OWN}programming_duration_seconds_sum", {"kind": "cut"}) == 0.3
    request = {"verb": "patch", "resource": "wireguardpeers/status"}
    assert found.value(f"{OWN}api_requests_total", {**request, "code": "200"}) == 1
    assert found.value(f"{OWN}api_request_duration_seconds_count", request) == 1
    assert found.value(f"{OWN}api_requests_total", {"verb": "list", "resource": "secrets", "code": "error"}) == 1
    assert found.value(f"{OWN}status_writes_total", {"kind": "wireguardpeers", "outcome": "refused"}) == 1
    assert found.value(f"{OWN}agent_requests_total", {"operation": "delta", "outcome": "ok"}) == 1
    assert found.value(f"{OWN}agent_bytes_total", {"operation": "delta"}) == 1234
    assert found.value(f"{OWN}leader") == 1
    assert found.value(f"{OWN}ca_expiry_timestamp_seconds") == 2_000_000_000
    assert found.value("process_resident_memory_bytes")


def test_the_page_says_which_version_runs_and_no_series_of_times_of_creation() -> None:
    metrics = Metrics()
    metrics.turn(1)
    found = page(metrics)
    assert "version" in {label for labels in found.labels(f"{OWN}build_info") for label in labels}
    assert not [name for name, _ in found.samples if name.endswith("_created")]


def test_two_processes_in_one_interpreter_share_no_figures() -> None:
    one, two = Metrics(), Metrics()
    one.event_dropped()
    assert page(one).value(f"{OWN}events_dropped_total") == 1
    assert page(two).value(f"{OWN}events_dropped_total") == 0


def test_depths_that_several_say_of_one_queue_are_added_until_one_of_them_ends() -> None:
    metrics = Metrics()
    end = metrics.watch_queue("change", lambda: 3)
    metrics.watch_queue("change", lambda: 4)
    metrics.watch_queue("cut", lambda: 0)
    metrics.read_queues()
    assert page(metrics).of(f"{OWN}queue_depth") == {
        frozenset({("queue", "change")}): 7,
        frozenset({("queue", "cut")}): 0,
    }
    end()
    metrics.read_queues()
    assert page(metrics).value(f"{OWN}queue_depth", {"queue": "change"}) == 4


def test_the_last_one_who_ends_leaves_an_empty_queue() -> None:
    metrics = Metrics()
    end = metrics.watch_queue("change", lambda: 3)
    metrics.read_queues()
    end()
    metrics.read_queues()
    assert page(metrics).value(f"{OWN}queue_depth", {"queue": "change"}) == 0


def test_bytes_of_a_server_only_grow() -> None:
    metrics = Metrics()
    metrics.traffic_counted(Key("isp", "berlin"), 10, 1)
    metrics.traffic_counted(Key("isp", "berlin"), -5, -5)
    assert metrics.traffic[Key("isp", "berlin")] == (10, 1)


async def test_a_sweep_counts_what_it_finds_how_long_it_takes_and_whether_watches_deliver(world: World) -> None:
    await world.server()
    await world.peer("alice")
    await world.start()
    await world.settle()
    metrics = Metrics()
    sweep = Sweep(cast(KubeClient, world.kube), world.cache, (), world.supervisor.look_for_orphans, metrics)
    world.kube.watch = None  # nobody tells of what follows
    await world.delete(PEERS, "alice")
    await sweep.find_ghosts()
    assert page(metrics).value(f"{OWN}sweep_ghosts_total", {"resource": "wireguardpeers"}) == 1
    metrics.swept(0.2, stalled=True)
    found = page(metrics)
    assert found.value(f"{OWN}watch_stalled") == 1 and found.value(f"{OWN}sweep_duration_seconds_count") == 1
    metrics.swept(0.2, stalled=False)
    assert page(metrics).value(f"{OWN}watch_stalled") == 0


async def test_events_that_find_no_room_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_recorder, "WAITING", 2)
    await world.server()
    await world.peer("alice")
    await world.start()
    await world.settle()
    metrics = Metrics()
    recorder = EventRecorder(cast(KubeClient, world.kube), world.clock, metrics)
    peer = next(iter(world.cache.peers.values())).peer
    for i in range(3):
        recorder.tell(PEERS, peer, News(Reason.READY, f"news {i}"))
    metrics.read_queues()
    assert page(metrics).value(f"{OWN}queue_depth", {"queue": "event"}) == 2
    assert page(metrics).value(f"{OWN}events_dropped_total") == 1
