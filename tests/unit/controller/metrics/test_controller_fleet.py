"""What Prometheus is told of servers and peers is what the controller knows of them."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.unit.controller.metrics.pages import Page
from tests.unit.controller.world import NAMESPACE, World, serving
from wireguard_operator.api.base import Key
from wireguard_operator.controller.metrics.exposition import render
from wireguard_operator.controller.metrics.fleet import Fleet
from wireguard_operator.controller.metrics.peers import Peers
from wireguard_operator.controller.settings import Settings
from wireguard_operator.kube.resources import PEERS, SERVERS

BERLIN = {"namespace": NAMESPACE, "server": "berlin"}
ALICE = {"namespace": NAMESPACE, "peer": "alice", "server_namespace": NAMESPACE, "server": "berlin"}
RECEIVED, SENT = "wireguard_peer_receive_bytes_total", "wireguard_peer_transmit_bytes_total"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def page(world: World, accept: str = "") -> Page:
    """The page of the controller that runs now."""
    metrics = world.services.metrics
    if not any(isinstance(one, Fleet) for one in metrics.registry._collector_to_names):
        metrics.registry.register(Fleet(world.cache, metrics))
    return Page(render(metrics, Peers(world.cache), accept)[1].decode())


async def used(world: World, received: int, sent: int, name: str = "alice") -> None:
    """The device has counted so much, and the controller has read it."""
    key = world.status(name)["publicKey"]
    world.agent.counted[key], world.agent.handshakes[key] = (received, sent), int(time.time())
    peer = world.cache.peers[Key(NAMESPACE, name)]
    counted = peer.facts.traffic.sample if peer.facts.traffic else None
    assert counted is None or (counted.rx_bytes, counted.tx_bytes) != (received, sent)
    await until(
        lambda: (t := peer.facts.traffic) is not None and t.sample is not None and t.sample.rx_bytes == received
    )
    await world.settle()


async def until(probe: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return when it is so; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


@pytest.fixture
def counting(world: World) -> World:
    """A world whose controller reads counters all the time, and hardly ever writes them."""
    world.settings = Settings(stats_interval=0.02, traffic_interval=3600)
    return world


@pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "OpenMetrics"])
async def test_a_served_peer_is_told_of_with_its_bytes_its_handshake_and_its_server(
    counting: World, accept: str
) -> None:
    await serving(counting, "alice", "bob")
    await used(counting, 1_000_000_000_001, 23)
    found = page(counting, accept)
    assert (found.value(RECEIVED, ALICE), found.value(SENT, ALICE)) == (1_000_000_000_001, 23)
    assert found.value("wireguard_peer_online", ALICE) == 1
    assert found.value("wireguard_peer_online", ALICE | {"peer": "bob"}) == 0
    handshake = found.value("wireguard_peer_last_handshake_timestamp_seconds", ALICE)
    assert handshake is not None and 0 <= time.time() - handshake < 60
    assert found.value("wireguard_peer_last_handshake_timestamp_seconds", ALICE | {"peer": "bob"}) is None
    assert found.value("wireguard_peers", {"phase": "Active"}) == 1
    assert found.value("wireguard_peers", {"phase": "Inactive"}) == 1
    assert found.value("wireguard_peers", {"phase": "Failed"}) == 0


async def test_a_server_is_told_of_with_its_counts_its_agent_and_its_revisions(counting: World) -> None:
    await serving(counting, "alice", "bob", maxPeers=5)
    await used(counting, 100, 10)
    await until(lambda: page(counting).value("wireguard_server_peers", BERLIN | {"state": "online"}) == 1)
    found = page(counting)
    peers = {state: found.value("wireguard_server_peers", BERLIN | {"state": state}) for state in ("total", "active")}
    assert peers == {"total": 2, "active": 2}
    assert found.value("wireguard_server_capacity_peers", BERLIN) == 5
    assert found.value("wireguard_server_ready", BERLIN) == 1
    assert found.value("wireguard_server_agent_connected", BERLIN) == 1
    about = {"implementation": "Userspace", "version": "1", "type": "Host"}
    assert found.value("wireguard_server_info", BERLIN | about) == 1
    read = found.value("wireguard_server_counters_read_timestamp_seconds", BERLIN)
    assert read is not None and 0 <= time.time() - read < 60
    acknowledged = found.value("wireguard_server_acknowledged_revision", BERLIN)
    assert acknowledged == counting.agent.revision == found.value("wireguard_server_desired_revision", BERLIN)


async def test_an_agent_that_is_away_is_told_of_and_so_is_its_return(counting: World) -> None:
    await serving(counting, "alice")
    counting.agent.down = True
    await until(lambda: page(counting).value("wireguard_server_agent_connected", BERLIN) == 0)
    await until(lambda: page(counting).value("wireguard_server_ready", BERLIN) == 0)
    counting.agent.down = False
    await until(lambda: page(counting).value("wireguard_server_agent_connected", BERLIN) == 1)
    await until(lambda: page(counting).value("wireguard_server_ready", BERLIN) == 1)


async def test_totals_are_not_told_smaller_after_a_restart_than_before_it(counting: World) -> None:
    await serving(counting, "alice")
    await used(counting, 100, 10)
    await used(counting, 900, 90)
    assert page(counting).value(RECEIVED, ALICE) == 900
    assert counting.status()["traffic"]["rxBytes"] < 900, "the status lags behind, or this shows nothing"
    counting.settings = Settings(stats_interval=3600, traffic_interval=3600)
    await counting.restart()
    await counting.settle()
    assert page(counting).value(RECEIVED, ALICE) is None
    assert page(counting).value("wireguard_peer_online", ALICE) == 1
    counting.settings = Settings(stats_interval=0.02, traffic_interval=3600)
    await counting.restart()
    await until(lambda: page(counting).value(RECEIVED, ALICE) is not None)
    assert page(counting).value(RECEIVED, ALICE) == 900


async def test_totals_of_a_peer_that_is_off_the_device_are_those_of_its_status_from_the_start(counting: World) -> None:
    await serving(counting, "alice")
    await used(counting, 900, 90)
    await counting.patch(PEERS, "alice", enabled=False)
    await until(lambda: counting.reason("alice") == "Disabled")
    counting.settings = Settings(stats_interval=3600)
    await counting.restart()
    await counting.settle()
    assert page(counting).value(RECEIVED, ALICE) == 900
    assert page(counting).value("wireguard_peer_online", ALICE) == 0


async def test_the_bytes_of_a_server_go_on_growing_when_a_peer_is_deleted(counting: World) -> None:
    await serving(counting, "alice", "bob")
    await used(counting, 1000, 100)
    await used(counting, 50, 5, "bob")
    assert page(counting).value("wireguard_server_receive_bytes_total", BERLIN) == 1050
    await counting.delete(PEERS, "alice")
    await until(lambda: page(counting).value(RECEIVED, ALICE) is None)
    await used(counting, 60, 6, "bob")
    found = page(counting)
    assert found.value("wireguard_server_receive_bytes_total", BERLIN) == 1060
    assert found.value("wireguard_server_transmit_bytes_total", BERLIN) == 106


async def test_a_server_that_is_gone_is_not_told_of_any_more(counting: World) -> None:
    await serving(counting)
    assert page(counting).value("wireguard_server_ready", BERLIN) is not None
    await counting.delete(SERVERS, "berlin")
    await until(lambda: not page(counting).of("wireguard_server_ready"))
    assert not [name for name, _ in page(counting).samples if name.startswith("wireguard_server")]


async def test_a_peer_without_a_server_has_empty_labels_for_it(world: World) -> None:
    await world.start()
    await world.peer("alice", serverSelector={"matchLabels": {"tier": "gold"}})
    await world.settle()
    assert page(world).value("wireguard_peer_online", ALICE | {"server_namespace": "", "server": ""}) == 0


@pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "OpenMetrics"])
async def test_a_reference_that_is_no_name_does_not_spoil_the_page_for_the_others(world: World, accept: str) -> None:
    odd = 'a"} 1\n\\b'
    await world.start()
    await world.peer("alice", serverRef={"name": odd, "namespace": "x"})
    await world.peer("bob", serverRef={"name": "berlin"})
    await world.settle()
    found = page(world, accept)
    assert found.value("wireguard_peer_online", ALICE | {"server_namespace": "x", "server": odd}) == 0
    assert found.value("wireguard_peer_online", ALICE | {"peer": "bob"}) == 0


async def test_labels_have_names_of_objects_and_nothing_about_subscribers(counting: World) -> None:
    await serving(counting)
    subscriber = {"customerId": "customer-4711", "subscriberId": "line-0815", "externalId": "crm-99"}
    await counting.peer("alice", subscriber=subscriber, description="Alice Smith")
    await counting.settle()
    await used(counting, 100, 10)
    text = render(counting.services.metrics, Peers(counting.cache))[1].decode()
    assert 'peer="alice"' in text
    hidden = (*subscriber.values(), "Alice Smith", counting.status()["publicKey"], "10.8.0.")
    assert not [word for word in hidden if word in text]
