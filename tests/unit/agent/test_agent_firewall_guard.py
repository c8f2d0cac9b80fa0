"""What is believed of the packet filter's table when nft fails, and who is blamed for what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_device import INTERFACE, peer

from wireguard_operator.agent.device import DeviceError
from wireguard_operator.agent.firewall import generation, program
from wireguard_operator.agent.firewall.chains import access_chain, way
from wireguard_operator.agent.firewall.guard import SEARCH_SECONDS, Firewall
from wireguard_operator.domain.device import DevicePeer
from wireguard_operator.domain.policy import Access, Limit, Policy, normalise

pytestmark = pytest.mark.usefixtures("clock")


class Nft:
    """Takes transactions but for those with certain words in them."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.refuses = ""
        self.loads: list[str] = []
        self.checks = 0

    async def load(self, text: str, *, check: bool = False) -> None:
        if self.problem is not None:
            raise self.problem
        if self.refuses and self.refuses in text:
            self.checks += check
            raise program.Refused("nft does not take the rules: no")
        if check:
            self.checks += 1
        else:
            self.loads.append(text)


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> Nft:
    nft = Nft()
    monkeypatch.setattr(program, "load", nft.load)
    monkeypatch.setattr(program, "is_installed", lambda: True)
    # Nobody else changes a table.
    monkeypatch.setattr(generation, "current", lambda: len(nft.loads))
    return nft


def with_policy(number: int, *to: str) -> DevicePeer:
    limit = Limit(10**6 + number, 65536)
    return replace(peer(number), policy=Policy(access=(Access(to),) if to else None, upload=limit))


async def test_a_transaction_that_did_not_get_to_the_kernel_is_not_believed_to_be_in_force(nft: Nft) -> None:
    firewall = Firewall("wg0")
    await firewall.ensure(INTERFACE, {peer(1).public_key: peer(1)}, {})
    nft.problem = DeviceError("nft cannot be started: Resource temporarily unavailable")
    suspended = with_policy(1, "192.0.2.1/32")
    with pytest.raises(DeviceError):
        await firewall.change([suspended], [])
    nft.problem = None
    await firewall.ensure(INTERFACE, {suspended.public_key: suspended}, {})
    assert way(suspended.public_key, suspended.policy).sent in nft.loads[-1]


async def test_of_a_policy_that_is_refused_the_part_is_blamed_that_others_share(nft: Nft) -> None:
    firewall = Firewall("wg0")
    bad = access_chain(normalise((Access(("192.0.2.66/32",)),)))
    peers = {one.public_key: one for one in [with_policy(n, "192.0.2.66/32") for n in range(100)]}
    good = {one.public_key: one for one in [with_policy(n, "192.0.2.1/32") for n in range(100, 200)]}
    nft.refuses = "192.0.2.66"
    await firewall.ensure(INTERFACE, peers | good, {})
    assert firewall.refused.keys() == peers.keys(), "and nobody else"
    assert nft.checks < 64
    assert bad.name not in nft.loads[-1]


async def test_what_was_refused_is_not_tried_again_every_minute(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    firewall = Firewall("wg0")
    peers = {one.public_key: one for one in (with_policy(1, "192.0.2.66/32"), with_policy(2, "192.0.2.1/32"))}
    nft.refuses = "192.0.2.66"
    await firewall.ensure(INTERFACE, peers, {})
    loads, checks = len(nft.loads), nft.checks
    await firewall.ensure(INTERFACE, peers, {})
    assert (len(nft.loads), nft.checks) == (loads, checks)
    assert len(firewall.refused) == 1
    nft.refuses = ""
    monkeypatch.setattr("wireguard_operator.agent.firewall.guard.SEARCH_SECONDS", -SEARCH_SECONDS)
    await firewall.ensure(INTERFACE, peers, {})
    assert not firewall.refused
