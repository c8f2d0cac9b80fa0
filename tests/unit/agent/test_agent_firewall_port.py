"""The UDP port of a device in the packet filter: what is loaded, what is read, and orders that come at any moment."""

from __future__ import annotations

import asyncio
import json
from itertools import permutations

import pytest

from wireguard_operator.agent.device import DeviceError
from wireguard_operator.agent.firewall import program
from wireguard_operator.agent.firewall.port import Port, Sender, State, port_table, read_senders, rules

pytestmark = pytest.mark.usefixtures("clock")


class Nft:
    """Takes transactions, slowly, and remembers the last one."""

    def __init__(self) -> None:
        self.table = ""
        self.loads = 0

    async def load(self, text: str, *, check: bool = False) -> None:
        await asyncio.sleep(0.01)
        self.table = text
        self.loads += 1


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> Nft:
    nft = Nft()
    monkeypatch.setattr(program, "load", nft.load)
    monkeypatch.setattr(program, "is_installed", lambda: True)
    return nft


def test_no_table_of_an_interface_has_the_name_of_a_port_s() -> None:
    assert port_table("wg0") == "port_of_wireguard_wg0"


def test_a_closed_port_drops_both_ways_an_open_one_what_is_no_answer_and_a_free_one_has_no_table() -> None:
    closed, opened, free = (rules("wg0", 51820, state) for state in (State.CLOSED, State.OPEN, State.FREE))
    assert "udp dport 51820 counter drop" in closed
    assert "udp sport 51820 counter drop" in closed
    assert [line.strip() for line in opened.splitlines() if "drop" in line] == [
        "udp sport 51820 ct direction original counter drop"
    ]
    assert "update @heard4" in opened
    assert "update @heard6" in opened
    assert "chain" not in free
    kept = rules("wg0", 51820, State.KEPT)
    assert "udp sport 51820 udp sport != @kept counter drop" in kept
    assert set(opened.splitlines()) <= set(kept.splitlines())
    for text in (closed, opened, kept, free):
        assert text.splitlines()[1].startswith("delete table"), "it takes the place of what is there in one step"


def test_senders_are_read_as_endpoints_and_sessions() -> None:
    def entries(*values: object) -> list[object]:
        return [{"elem": {"val": {"concat": list(value)}, "expires": 9}} for value in values]  # type: ignore[call-overload]

    text = {
        "nftables": [
            {"metainfo": {}},
            {"set": {"name": "heard4", "elem": entries(("192.0.2.2", 5, 7))}},
            {"set": {"name": "heard6", "elem": entries(("2001:db8::2", 6, 8))}},
            {"set": {"name": "kept", "elem": [{"elem": {"val": 51820, "expires": 1}}]}},
            {"set": {"name": "empty"}},
        ]
    }
    assert read_senders(json.dumps(text)) == [Sender("192.0.2.2:5", 7), Sender("[2001:db8::2]:6", 8)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_last_order_is_what_is_loaded_however_it_meets_a_look_at_the_device(
    nft: Nft, order: tuple[int, ...]
) -> None:
    port = Port("wg0")
    await port.become(State.CLOSED)
    calls = [lambda: port.ensure(51820), lambda: port.become(State.OPEN), lambda: port.ensure(51820)]
    tasks = []
    for number in order:
        tasks.append(asyncio.create_task(calls[number]()))
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    assert nft.table == rules("wg0", 51820, State.OPEN)


async def test_nothing_is_loaded_before_there_is_a_port_and_a_closed_one_is_closed_again_at_each_look(nft: Nft) -> None:
    port = Port("wg0")
    await port.become(State.CLOSED)
    assert nft.loads == 0
    for loads in (1, 2):
        await port.ensure(51820)
        assert nft.loads == loads
    await port.become(State.OPEN)
    await port.ensure(51820)
    assert nft.loads == 3, "what is heard is not forgotten at each look"
    await port.ensure(4500)
    assert nft.table == rules("wg0", 4500, State.OPEN)


async def test_a_port_that_cannot_be_closed_is_no_standby_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "is_installed", lambda: False)
    port = Port("wg0")
    await port.become(State.CLOSED)
    with pytest.raises(DeviceError, match="install nftables"):
        await port.ensure(51820)
    await port.become(State.OPEN)
    await port.ensure(51820)


async def test_only_a_port_that_is_kept_open_is_spoken_for(nft: Nft) -> None:
    port = Port("wg0")
    await port.ensure(51820)
    for state, speaks in ((State.OPEN, False), (State.CLOSED, False), (State.KEPT, True)):
        await port.become(state)
        port.keep()
        assert (port._voice is not None) is speaks, state
    await port.remove()
