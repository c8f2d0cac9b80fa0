"""The search for addresses that nobody holds any more."""

from __future__ import annotations

import ipaddress
from typing import Any, cast

import pytest

from tests.unit.domain.objects import server
from wireguard_operator.api.base import Key
from wireguard_operator.controller.server.address_store import AddressStore
from wireguard_operator.controller.server.orphans import Orphans
from wireguard_operator.controller.watch.records import ServerRecord
from wireguard_operator.domain.addresses import Holder
from wireguard_operator.domain.networks import Address
from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.errors import NotFound, Unavailable

BERLIN = ServerRecord(server(), {}, 1)
ADDRESS = ipaddress.ip_address("10.8.0.2")


class Blocks:
    """The address blocks of berlin, in which one peer is, and an API server that knows no peer."""

    def __init__(self) -> None:
        self.is_loaded = False
        self.away = self.idle = False
        self.known: set[str] = set()
        self.reads = 0
        self.orphans = Orphans(
            cast(KubeClient, self), Key("isp", "berlin"), cast(AddressStore, self), lambda: self.idle, self.known.copy
        )

    async def load(self, _: object) -> None:
        self._answer()
        self.is_loaded, self.reads = True, self.reads + 1

    def held(self) -> list[tuple[Address, Holder]]:
        return [(ADDRESS, Holder("uid-alice", "isp/alice"))]

    async def get(self, *_: Any) -> dict[str, Any]:
        self._answer()
        raise NotFound("there is no such peer", 404)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("away")


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


async def test_blocks_are_read_once_and_when_it_is_due_and_nobody_is_given_addresses(blocks: Blocks) -> None:
    read = blocks.orphans.read
    assert [await read(BERLIN), await read(BERLIN)] == [True, False]
    blocks.orphans.due = True
    assert not await read(BERLIN)
    blocks.idle = True
    assert await read(BERLIN) and blocks.reads == 2


async def test_blocks_that_were_read_once_do_not_stop_the_work_when_they_cannot_be_read_again(blocks: Blocks) -> None:
    blocks.away = blocks.idle = True
    with pytest.raises(Unavailable):
        await blocks.orphans.read(BERLIN)
    blocks.away = False
    await blocks.orphans.read(BERLIN)
    blocks.away = blocks.orphans.due = True
    assert not await blocks.orphans.read(BERLIN) and blocks.orphans.due


async def test_a_search_that_fails_is_due_again(blocks: Blocks) -> None:
    blocks.away = True
    with pytest.raises(Unavailable):
        await blocks.orphans.find()
    assert blocks.orphans.due
    blocks.away = False
    assert await blocks.orphans.find() == {"uid-alice"}
    assert not blocks.orphans.due


async def test_who_goes_during_a_search_makes_another_one_due_once(blocks: Blocks) -> None:
    blocks.known.add("uid-alice")
    assert await blocks.orphans.find() == set()
    assert not blocks.orphans.look_back()
    assert await blocks.orphans.find() == set()
    blocks.known.clear()
    assert blocks.orphans.look_back() and blocks.orphans.due
    assert not blocks.orphans.look_back()
