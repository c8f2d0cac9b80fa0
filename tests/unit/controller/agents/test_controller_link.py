"""The way to an agent: deltas while it is known what it holds, all of it in parts otherwise, and nothing twice."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from dataclasses import replace
from typing import cast

import pytest

from tests.unit.controller.world import Agent
from wireguard_operator.agent.protocol import Ack, AgentStatus, Applied, DeltaRequest, PartReply, PeerCounters, Snapshot
from wireguard_operator.controller.agents import link as link_module
from wireguard_operator.controller.agents import turns as turns_module
from wireguard_operator.controller.agents.client import AgentClient, AgentError, AgentReplaced, AgentUnreachable
from wireguard_operator.controller.agents.link import DeviceLink
from wireguard_operator.domain.device import DevicePeer, Interface

INTERFACE = Interface("", 51820, 1420, ("10.8.0.1/16",))


def peer(number: int) -> DevicePeer:
    key = base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()
    return DevicePeer(key, (f"10.8.{number // 250}.{number % 250}/32",))


class Wire(Agent):
    """An agent whose link breaks after so many messages, before or after the agent has heard the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 1000
        self.answers = True
        self.deltas: list[DeltaRequest] = []
        self.parts: list[bytes] = []

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        self._spend()
        self.deltas.append(delta)
        ack = await super().post_delta(delta)
        self._answer()
        return ack

    async def put_part(self, part: bytes) -> PartReply:
        self._spend()
        self.parts.append(part)
        reply = await super().put_part(part)
        self._answer()
        return reply

    def _spend(self) -> None:
        if self.left == 0 and self.answers:
            raise AgentUnreachable("the link is broken")
        self.left -= 1

    def _answer(self) -> None:
        if self.left < 0:
            raise AgentUnreachable("the link broke before the answer")

    @property
    def client(self) -> AgentClient:
        return cast(AgentClient, self)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def link_with(count: int) -> DeviceLink:
    link = DeviceLink()
    link.set_interface(INTERFACE)
    for number in range(count):
        link.put(peer(number))
    return link


def expect(wire: Wire, numbers: set[int]) -> None:
    assert set(wire.allowed_ips) == {peer(number).public_key for number in numbers}


async def test_a_new_agent_is_sent_all_and_then_only_what_changes(wire: Wire) -> None:
    link = link_with(20)
    await link.push(wire.client)
    assert len(wire.parts) == 1 and not wire.deltas
    assert await link.push(wire.client) is None
    link.drop(peer(3).public_key)
    link.put(peer(77))
    await link.push(wire.client)
    (delta,) = wire.deltas
    assert delta.remove == (peer(3).public_key,) and delta.upsert == (peer(77),)
    expect(wire, set(range(20)) - {3} | {77})


async def test_a_wave_goes_in_several_deltas_with_the_cuts_first(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "DELTA_PEERS", 10)
    link = link_with(5)
    await link.push(wire.client)
    for number in range(100, 125):
        link.put(peer(number))
    link.drop(peer(1).public_key)
    wire.counted[peer(1).public_key] = (8, 9)
    ack = await link.push(wire.client)
    assert [len(delta.upsert) + len(delta.remove) for delta in wire.deltas] == [10, 10, 6]
    assert wire.deltas[0].remove == (peer(1).public_key,)
    assert ack is not None and [(last.rx_bytes, last.tx_bytes) for last in ack.final] == [(8, 9)]
    expect(wire, set(range(5)) - {1} | set(range(100, 125)))


async def test_a_broken_wave_goes_on_where_it_broke_and_loses_no_final_counters(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "DELTA_PEERS", 10)
    link = link_with(5)
    await link.push(wire.client)
    for number in range(100, 125):
        link.put(peer(number))
    link.drop(peer(1).public_key)
    wire.left = 1
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    assert not link.is_settled()
    wire.left = 1000
    ack = await link.push(wire.client)
    assert len(wire.deltas) == 3 and len(wire.parts) == 1
    assert ack is not None and len(ack.final) == 1 and link.is_settled()
    expect(wire, set(range(5)) - {1} | set(range(100, 125)))


async def test_an_answer_that_got_lost_costs_no_second_transfer(wire: Wire) -> None:
    link = link_with(5)
    await link.push(wire.client)
    link.put(peer(9))
    wire.left, wire.answers = 0, False
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    wire.left = 1000
    assert await link.push(wire.client) is not None
    assert len(wire.deltas) == 1 and len(wire.parts) == 1 and link.is_settled()


async def test_a_broken_snapshot_goes_on_with_the_parts_that_are_missing(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "PART_BYTES", 2000)
    link = link_with(200)
    wire.left = 3
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    link.put(peer(999))  # what comes meanwhile follows
    wire.left = 1000
    await link.push(wire.client)
    assert len(wire.parts) == len(set(wire.parts)) >= 4
    assert len(wire.deltas) == 1
    expect(wire, {*range(200), 999})


async def test_parts_that_an_agent_has_forgotten_are_sent_again(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PART_BYTES", 2000)
    link = link_with(200)
    wire.left = 3
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    wire.assembly.clear()
    wire.left = 1000
    link.drop(peer(7).public_key)
    await link.push(wire.client)
    assert not wire.deltas  # the second snapshot has it
    expect(wire, set(range(200)) - {7})


async def test_an_agent_that_stands_where_it_stood_is_sent_the_difference_only(wire: Wire) -> None:
    link = link_with(20)
    await link.push(wire.client)
    wire.down = True
    link.drop(peer(4).public_key)
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    link.drop(peer(5).public_key)
    wire.down = False
    await link.push(wire.client)
    assert len(wire.parts) == 1 and set(wire.deltas[-1].remove) == {peer(4).public_key, peer(5).public_key}
    expect(wire, set(range(20)) - {4, 5})


async def test_an_agent_with_another_state_is_sent_all(wire: Wire) -> None:
    link = link_with(20)
    await link.push(wire.client)
    assert wire.state is not None
    wire.state, wire.revision = None, 0
    link.put(peer(30))
    await link.push(wire.client)
    assert len(wire.parts) == 2
    expect(wire, {*range(20), 30})


async def test_a_state_that_comes_back_after_a_snapshot_was_begun_is_no_base_for_deltas(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The changes before the snapshot are in the snapshot only."""
    monkeypatch.setattr(link_module, "PART_BYTES", 2000)
    link = link_with(200)
    await link.push(wire.client)
    held, revision = wire.state, wire.revision
    wire.state, wire.revision = None, 0  # the device died
    link.drop(peer(7).public_key)
    wire.left = 2
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    wire.state, wire.revision = held, revision  # the agent brought it back by itself
    wire.left = 1000
    await link.push(wire.client)
    expect(wire, set(range(200)) - {7})


async def test_an_agent_that_acknowledges_something_else_is_sent_all_the_next_time(wire: Wire) -> None:
    link = link_with(5)
    await link.push(wire.client)
    assert wire.state is not None
    stray = peer(50)
    honest = wire.state.apply

    def apply(delta: object) -> None:
        honest(delta)  # type: ignore[arg-type]
        wire.state._put(stray)  # type: ignore[union-attr]

    wire.state.apply = apply  # type: ignore[method-assign]
    link.put(peer(6))
    with pytest.raises(AgentError, match="another state"):
        await link.push(wire.client)
    await link.push(wire.client)
    expect(wire, {*range(5), 6})


async def test_a_peer_that_is_cut_during_a_transfer_does_not_get_on_the_device_by_what_follows(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "PART_BYTES", 2000)
    link = link_with(200)
    wire.left = 3
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    link.drop(peer(7).public_key)
    seen: list[set[str]] = []
    put_state = wire._put_state

    def put(snapshot: Snapshot) -> Ack:
        ack = put_state(snapshot)
        seen.append(set(wire.allowed_ips))
        return ack

    monkeypatch.setattr(wire, "_put_state", put)
    wire.left = 1000
    await link.push(wire.client)
    assert seen and not any(peer(7).public_key in keys for keys in seen)
    expect(wire, set(range(200)) - {7})


class Slow(Wire):
    """An agent that has something done by others while it works on a delta."""

    def __init__(self, link: DeviceLink) -> None:
        super().__init__()
        self.link, self.busy = link, True

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        if self.busy:
            self.busy = False
            self.link.put(peer(50))
            self.link.drop(peer(1).public_key)
        assert not self.link.is_settled()
        return await super().post_delta(delta)


async def test_a_follower_gets_all_that_is_wanted_of_the_first_device_at_its_own_pace(wire: Wire) -> None:
    link, other = link_with(3), Wire()
    follower = link.follow()
    await link.push(wire.client)
    assert not link.is_settled_everywhere()
    await follower.push(other.client)
    assert link.is_settled_everywhere()
    link.put(peer(9))
    link.drop(peer(0).public_key)
    assert not follower.is_settled()
    await link.push(wire.client)
    expect(wire, {1, 2, 9})
    expect(other, {0, 1, 2})
    await follower.push(other.client)
    expect(other, {1, 2, 9})
    assert len(other.deltas) == 1
    late = link.follow()
    link.unfollow(late)
    assert link.is_settled_everywhere()


async def test_what_changes_while_a_follower_is_told_is_of_its_next_delta() -> None:
    link = link_with(3)
    follower = link.follow()
    slow = Slow(link)
    slow.link = follower
    await follower.push(slow.client)
    slow.link = link
    link.put(peer(7))
    await follower.push(slow.client)
    expect(slow, {0, 2, 7, 50})
    assert follower.is_settled()


async def test_a_delta_that_was_not_acknowledged_is_sent_again(wire: Wire) -> None:
    link = link_with(3)
    await link.push(wire.client)
    link.put(peer(7))
    wire.left = 0
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    wire.left = 1000
    await link.push(wire.client)
    expect(wire, {0, 1, 2, 7})


class Frozen(Wire):
    """An agent that is never heard of again."""

    async def status(self) -> AgentStatus:
        await asyncio.sleep(60)
        raise AgentUnreachable("no answer in time")


async def test_who_takes_over_from_a_frozen_agent_is_told_at_once_of_a_cut(clock: None, wire: Wire) -> None:
    link, frozen = link_with(3), Frozen()
    await link.push(wire.client)
    reading = asyncio.create_task(link.counters(frozen.client, ""))
    await asyncio.sleep(1)
    link.drop(peer(1).public_key)
    waiting = asyncio.create_task(link.push(frozen.client))
    await asyncio.sleep(1)
    before = time.monotonic()
    link.replace_agent()
    link.replace_agent()
    for given_up in (reading, waiting):
        with pytest.raises(AgentReplaced):
            await given_up
    await link.push(wire.client)
    assert time.monotonic() == before + turns_module.GRACE_SECONDS
    expect(wire, {0, 2})


class Unhurried(Wire):
    """An agent whose answer to a delta is on its way for half a second."""

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        ack = await super().post_delta(delta)
        await asyncio.sleep(0.5)
        return ack


async def test_what_an_agent_that_hands_over_has_just_counted_is_not_lost(clock: None, wire: Wire) -> None:
    link, former = link_with(3), Unhurried()
    await link.push(former.client)
    former.counted[peer(1).public_key] = (8, 9)
    link.drop(peer(1).public_key)
    pushing = asyncio.create_task(link.push(former.client))
    await asyncio.sleep(0.1)
    link.replace_agent()
    ack = await pushing
    assert ack is not None and [(last.rx_bytes, last.tx_bytes) for last in ack.final] == [(8, 9)]
    assert not link.is_settled(), "the next one has to be asked what it holds"
    await link.push(wire.client)
    expect(wire, {0, 2})


async def test_what_one_device_has_counted_is_not_told_as_another_one_s(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be added to what was counted of that peer before."""
    monkeypatch.setattr(link_module, "DELTA_PEERS", 1)
    link, other = link_with(3), Wire()
    other.life = "another life"
    await link.push(wire.client)
    for number in (0, 1):
        wire.counted[peer(number).public_key] = (8, 9)
        link.drop(peer(number).public_key)
    wire.left = 1
    with pytest.raises(AgentUnreachable):
        await link.push(wire.client)
    link.replace_agent()
    ack = await link.push(other.client)
    assert ack is not None and ack.device == "another life" and not ack.final


async def test_the_next_page_of_counters_is_not_asked_of_an_agent_that_was_replaced(wire: Wire) -> None:
    link = link_with(3)
    await link.push(wire.client)
    await link.counters(wire.client, "")
    link.replace_agent()
    with pytest.raises(AgentReplaced):
        await link.counters(Frozen().client, "", more=True)
    await link.counters(wire.client, "")


async def test_an_exchange_that_is_cancelled_is_not_taken_for_one_that_was_given_up() -> None:
    link = link_with(3)
    reading = asyncio.create_task(link.counters(Frozen().client, ""))
    await asyncio.sleep(1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_last_counters_that_an_agent_tells_when_it_is_asked_are_not_lost_where_all_is_sent_after_that(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_with(3)
    await link.push(wire.client)
    link.drop(peer(1).public_key)
    asked = wire.status

    async def status() -> AgentStatus:
        final = (PeerCounters(peer(7).public_key, 8, 9),)  # it is off the device already
        return replace(await asked(), applied=Applied(99, "another state"), final=final)

    monkeypatch.setattr(wire, "status", status)
    await link.counters(wire.client, "")
    link.doubt()
    ack = await link.push(wire.client)
    assert ack is not None and PeerCounters(peer(7).public_key, 8, 9) in ack.final
