"""Where peers are, from one device to the other: everything once, then what changed."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import cast

import pytest

from wireguard_operator.agent.protocol import Endpoints, Seen, Standing
from wireguard_operator.controller.agents.client import AgentClient
from wireguard_operator.controller.server import relay as relay_module
from wireguard_operator.controller.server.relay import Relay

NOW = int(time.time())
HERE, THERE = Seen("192.0.2.2:1", NOW, (7,)), Seen("192.0.2.2:2", NOW, (8,))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time at which the sessions were seen, however long it took to come here."""
    monkeypatch.setattr(relay_module, "time", SimpleNamespace(time=lambda: NOW))


class Wire:
    """An agent that says what it is told to say, and remembers what it hears."""

    def __init__(self) -> None:
        self.page = Endpoints({}, "")
        self.asked: list[str] = []
        self.told: list[dict[str, Seen]] = []

    async def endpoints(self, cursor: str) -> Endpoints:
        self.asked.append(cursor)
        return self.page

    async def expect(self, endpoints: Endpoints) -> Standing:
        self.told.append(endpoints.seen)
        return Standing(0, None, serves=True, applied=None)

    @property
    def client(self) -> AgentClient:
        return cast(AgentClient, self)


async def test_a_device_is_told_everything_once_and_then_what_changed() -> None:
    relay, active, standby = Relay(), Wire(), Wire()
    active.page = Endpoints({"a": HERE, "b": HERE}, "one")
    await relay.read(active.client)
    await relay.tell("standby", standby.client)
    await relay.tell("standby", standby.client)
    active.page = Endpoints({"a": THERE}, "two")
    await relay.read(active.client)
    await relay.tell("standby", standby.client)
    assert active.asked == ["", "one"]
    assert standby.told == [{"b": HERE, "a": HERE}, {"a": THERE}]


async def test_a_device_that_is_new_under_the_name_is_told_everything() -> None:
    relay, active, standby = Relay(), Wire(), Wire()
    active.page = Endpoints({"a": HERE}, "one")
    await relay.read(active.client)
    await relay.tell("standby", standby.client)
    relay.keep_to({"another"})
    await relay.tell("standby", standby.client)
    assert standby.told == [{"a": HERE}, {"a": HERE}]


async def test_sessions_that_are_over_are_forgotten() -> None:
    relay, active, standby = Relay(), Wire(), Wire()
    active.page = Endpoints({"a": HERE, "old": Seen("192.0.2.2:3", NOW - 181)}, "one")
    await relay.read(active.client)
    await relay.tell("standby", standby.client)
    assert standby.told == [{"a": HERE}]


async def test_many_peers_go_in_batches() -> None:
    relay, active, standby = Relay(), Wire(), Wire()
    count = relay_module.BATCH + 1
    active.page = Endpoints({str(number): HERE for number in range(count)}, "one")
    await relay.read(active.client)
    await relay.tell("standby", standby.client)
    assert sorted(map(len, standby.told)) == [1, relay_module.BATCH]
    assert len({key for told in standby.told for key in told}) == count
