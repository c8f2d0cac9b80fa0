"""What an agent does with orders, late ones among them, and how it begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from tests.unit.clock import stand_still
from wireguard_operator.agent import calling as calling_module
from wireguard_operator.agent import duty as duty_module
from wireguard_operator.agent.device import DeviceDump, DeviceError
from wireguard_operator.agent.duty import Duty, OutdatedOrderError
from wireguard_operator.agent.firewall.port import Port, State
from wireguard_operator.agent.protocol import Applied, Endpoints, Role, RoleOrder, Seen
from wireguard_operator.agent.service import Service
from wireguard_operator.agent.store import Store

pytestmark = pytest.mark.usefixtures("clock")

ACTIVE, STANDBY = Role.ACTIVE, Role.STANDBY


class FakeService:
    """Notes what is asked of the device."""

    def __init__(self) -> None:
        self.speaks = True
        self.kicked: Any = None
        self.fresh = self.greetings = 0
        self.calls: list[Mapping[str, str]] = []

    def applied(self) -> Applied | None:
        return Applied(3, "digest")

    def last_endpoints(self) -> dict[str, str]:
        return {}

    async def observe(self) -> DeviceDump:
        return DeviceDump("life", None, 51820, {})

    async def call(self, endpoints: Mapping[str, str], again: Iterable[str]) -> None:
        self.calls.append(endpoints)

    async def greet(self, endpoints: Collection[str]) -> None:
        self.greetings += 1

    async def start_over(self) -> None:
        self.fresh += 1


class FakePort:
    """A port of no device."""

    def __init__(self) -> None:
        self.state = State.FREE
        self.problem = ""
        self.asked = asyncio.Event()
        self.kept = 0

    async def become(self, state: State) -> None:
        if self.problem:
            raise DeviceError(self.problem)
        self.state = state

    def keep(self) -> None:
        self.kept += 1

    async def heard(self) -> list[Any]:
        self.asked.set()
        return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.prepare()
    yield store
    store.close()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def port() -> FakePort:
    return FakePort()


async def begin(service: FakeService, store: Store, port: FakePort, start: Role = STANDBY) -> Duty:
    duty = Duty(cast(Service, service), store, cast(Port, port), start)
    await duty.begin()
    return duty


async def attended(duty: Duty, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await duty.attend()


async def test_a_new_standby_is_closed_until_it_is_ordered_to_serve(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    assert (port.state, service.speaks, duty.standing().serves) == (State.CLOSED, False, False)
    standing = await duty.order(RoleOrder(1, ACTIVE))
    assert (standing.term, standing.role, standing.serves) == (1, ACTIVE, True)
    assert (port.state, service.speaks) == (State.KEPT, True)


async def test_an_active_agent_that_is_told_once_more_greets_its_peers(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    assert service.greetings == 0
    await duty.order(RoleOrder(1, ACTIVE))
    assert service.greetings == 1


async def test_an_order_that_comes_late_changes_nothing_and_neither_does_a_second_word_in_one_term(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(5, STANDBY))
    for late in (RoleOrder(4, ACTIVE), RoleOrder(5, ACTIVE), RoleOrder(0, ACTIVE)):
        with pytest.raises(OutdatedOrderError):
            await duty.order(late)
    assert port.state is State.CLOSED
    assert (await duty.order(RoleOrder(5, STANDBY))).term == 5


async def test_the_last_order_is_remembered_by_the_next_process(
    service: FakeService, store: Store, port: FakePort
) -> None:
    await (await begin(service, store, port)).order(RoleOrder(5, STANDBY))
    heir = await begin(service, store, port, STANDBY)
    with pytest.raises(OutdatedOrderError):
        await heir.order(RoleOrder(4, ACTIVE))


async def test_an_agent_that_is_ordered_to_serve_listens_at_once(
    service: FakeService, store: Store, port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty_module, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(calling_module, "LOOK_SECONDS", 3600.0)
    duty = await begin(service, store, port)
    await duty.expect(Endpoints({"a": Seen("192.0.2.2:1", int(time.time()))}))
    attending = asyncio.create_task(duty.attend())
    await asyncio.sleep(0)
    await duty.order(RoleOrder(1, ACTIVE))
    async with asyncio.timeout(5):
        await port.asked.wait()
    attending.cancel()


async def test_a_former_active_agent_waits_to_be_told_and_serves_when_nobody_says_anything(
    service: FakeService, store: Store, port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await begin(service, store, port)).order(RoleOrder(5, ACTIVE))
    told = await begin(service, store, port)
    assert (port.state, told.standing().role, told.standing().serves) == (State.CLOSED, ACTIVE, False)
    await told.order(RoleOrder(6, STANDBY))
    assert port.state is State.CLOSED
    store.save_role(RoleOrder(7, ACTIVE))
    monkeypatch.setattr(duty_module, "CONFIRM_SECONDS", 0.0)
    for module in (duty_module, calling_module):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    alone = await begin(service, store, port)
    await attended(alone, 0.2)
    assert port.state is State.KEPT
    assert alone.standing().serves


async def test_an_active_agent_that_stood_still_is_silent_until_it_is_told_that_it_serves(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    keeping = asyncio.create_task(duty.keep())
    await asyncio.sleep(10)
    assert (port.state, port.kept) == (State.KEPT, 10 / duty_module.KEEP_SECONDS - 1)
    stand_still(duty_module.STOPPED_SECONDS + 1)  # the whole process, as when its machine is frozen
    async with asyncio.timeout(5):
        while duty.standing().serves:  # noqa: ASYNC110 - there is no event for that
            await asyncio.sleep(0.01)
    assert (port.state, port.kept) == (State.CLOSED, 19), "it does not say first that all is well"
    assert duty.standing().role is ACTIVE
    assert (await duty.order(RoleOrder(1, ACTIVE))).serves
    assert port.state is State.KEPT
    assert service.fresh == 0, "its sessions go on"
    keeping.cancel()


async def test_an_agent_in_whose_place_another_one_is_about_to_serve_is_silent_until_the_next_order(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    standing = await duty.pause(2)
    assert (standing.term, standing.role, standing.serves) == (1, ACTIVE, False)
    assert (port.state, service.speaks) == (State.CLOSED, False)
    await duty.order(RoleOrder(1, ACTIVE))
    assert port.state is State.KEPT, "the other one does not come after all"
    await duty.pause(2)
    assert not (await duty.order(RoleOrder(2, STANDBY))).serves


async def test_an_order_to_be_silent_does_not_wait_for_the_device(
    service: FakeService, store: Store, port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy() -> DeviceDump:
        await asyncio.sleep(60)
        return DeviceDump("life", None, 51820, {})

    duty = await begin(service, store, port)
    await duty.expect(Endpoints({"a": Seen("192.0.2.2:1", int(time.time()))}))
    await duty.order(RoleOrder(1, ACTIVE))
    monkeypatch.setattr(service, "observe", busy)
    looks = [asyncio.create_task(duty.attend()), asyncio.create_task(duty.endpoints(""))]
    await asyncio.sleep(1)
    before = time.monotonic()
    await duty.pause(2)
    await duty.order(RoleOrder(2, STANDBY))
    assert time.monotonic() == before
    assert port.state is State.CLOSED
    for look in looks:
        look.cancel()


async def test_a_silence_that_nobody_ends_ends_by_itself(service: FakeService, store: Store, port: FakePort) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    await duty.pause(2)
    await attended(duty, duty_module.CONFIRM_SECONDS - 0.1)
    assert port.state is State.CLOSED
    await attended(duty, 1.0)
    assert (port.state, duty.standing().serves) == (State.KEPT, True)
    assert service.fresh == 0, "its sessions go on"


async def test_an_agent_that_is_frozen_while_it_is_silent_waits_to_be_told_when_it_goes_on(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    attending = [asyncio.create_task(duty.attend()), asyncio.create_task(duty.keep())]
    await asyncio.sleep(1)
    await duty.pause(2)
    stand_still(60)
    await asyncio.sleep(2)
    assert not duty.standing().serves, "the other one may serve since"
    await duty.order(RoleOrder(2, STANDBY))
    await asyncio.sleep(60)
    assert port.state is State.CLOSED
    for task in attending:
        task.cancel()


async def test_a_silence_ends_also_where_the_packet_filter_refuses_at_first(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    await duty.pause(2)
    port.problem = "busy"
    await attended(duty, duty_module.CONFIRM_SECONDS + 1)
    assert not duty.standing().serves
    port.problem = ""
    await attended(duty, 1.0)
    assert duty.standing().serves


async def test_a_pause_that_comes_late_silences_nobody(service: FakeService, store: Store, port: FakePort) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(3, ACTIVE))
    for late in (2, 3):
        with pytest.raises(OutdatedOrderError):
            await duty.pause(late)
    assert port.state is State.KEPT
    await duty.order(RoleOrder(4, STANDBY))
    await duty.pause(5)
    await attended(duty, 2 * duty_module.CONFIRM_SECONDS)
    assert port.state is State.CLOSED, "who stands by does not serve after a pause either"


async def test_the_port_of_an_agent_that_nobody_orders_is_open_whatever_becomes_of_the_agent(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port, ACTIVE)
    assert port.state is State.OPEN
    await duty.order(RoleOrder(1, ACTIVE))
    assert port.state is State.KEPT, "from now on another one may take over"


async def test_sessions_of_a_former_term_are_ended_once_the_agent_stands_by(
    service: FakeService, store: Store, port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (duty_module, calling_module):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(duty_module, "LAST_SECONDS", 0.05)
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, STANDBY))
    await attended(duty, 0.1)
    assert service.fresh == 0, "who never served has none"
    await duty.order(RoleOrder(2, ACTIVE))
    await duty.order(RoleOrder(3, STANDBY))
    await attended(duty, 0.3)
    assert service.fresh == 1
    await duty.order(RoleOrder(4, ACTIVE))
    assert service.fresh == 1
    await duty.order(RoleOrder(5, STANDBY))
    await duty.order(RoleOrder(6, ACTIVE))
    assert service.fresh == 2, "not even for the moment before there was time for it"


async def test_an_order_whose_port_does_not_close_is_not_acknowledged_and_can_be_given_again(
    service: FakeService, store: Store, port: FakePort
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    port.problem = "no nft"
    with pytest.raises(DeviceError):
        await duty.order(RoleOrder(2, STANDBY))
    port.problem = ""
    assert not (await duty.order(RoleOrder(2, STANDBY))).serves
    assert port.state is State.CLOSED


async def test_an_active_agent_that_is_told_to_end_serves_until_another_does_or_time_is_up(
    service: FakeService, store: Store, port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    duty = await begin(service, store, port)
    await duty.order(RoleOrder(1, ACTIVE))
    monkeypatch.setattr(duty_module, "LAST_SECONDS", 0.05)
    ending = asyncio.create_task(duty.relieved())
    await asyncio.sleep(0.05)
    assert not ending.done()
    assert duty.standing().stopping
    assert duty.standing().serves
    await duty.order(RoleOrder(2, STANDBY))
    async with asyncio.timeout(5):
        await ending
    monkeypatch.setattr(duty_module, "RELIEF_SECONDS", 0.05)
    await duty.order(RoleOrder(3, ACTIVE))
    async with asyncio.timeout(5):
        await duty.relieved()


async def test_an_agent_without_a_port_of_its_own_takes_no_orders_and_calls_without_hearing(
    service: FakeService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (duty_module, calling_module):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    duty = Duty(cast(Service, service), store, None, None)
    await duty.begin()
    with pytest.raises(OutdatedOrderError):
        await duty.order(RoleOrder(1, STANDBY))
    with pytest.raises(OutdatedOrderError):
        await duty.pause(1)
    await duty.expect(Endpoints({"a": Seen("192.0.2.2:1", int(time.time()))}))
    await attended(duty, 0.3)
    assert service.calls == [{"a": "192.0.2.2:1"}]
    assert duty.standing().role is None
