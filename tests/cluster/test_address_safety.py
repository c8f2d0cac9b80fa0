"""No address twice and none leaked: two controllers at once, killed at random, while 2,000 peers come and some go."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from isp import API_VERSION, apply_server

from tools.lab import Lab, LabError
from wireguard_operator.kube.client import KubeClient, walk
from wireguard_operator.kube.resources import BLOCKS, PEERS

PEERS_MADE, PEERS_DELETED = 2000, 200
CREATING_AT_ONCE = 8
SECONDS = 240


@contextmanager
def killing(lab: Lab, seed: int) -> Iterator[list[int]]:
    """Two controllers, one of which is killed and started again every second or so; counts the kills."""
    controllers = [lab.new_controller(f"controller-{i}") for i in range(2)]
    kills, over, dice = [0], threading.Event(), random.Random(seed)

    def kill_and_start() -> None:
        while not over.wait(dice.uniform(1.0, 3.0)):
            victim = dice.choice(controllers)
            victim.end(kill=True)
            victim.start()
            kills[0] += 1

    for controller in controllers:
        controller.start()
    thread = threading.Thread(target=kill_and_start)
    thread.start()
    try:
        yield kills
    finally:
        over.set()
        thread.join()
        lab.controller = controllers[0]
        controllers[1].end(kill=True)


class Witness:
    """Reads blocks again and again, and remembers who ever held an address."""

    def __init__(self, client: KubeClient, lab: Lab) -> None:
        self._client, self._namespaces = client, (lab.namespace,)
        self.holder: dict[str, str] = {}

    async def held(self) -> dict[str, str]:
        """UID by address, now. Fails when an address has gone from one peer to another, which the rest forbids."""
        held = {
            address: allocation["uid"]
            async for block in walk(self._client, BLOCKS, self._namespaces)
            for address, allocation in (block["spec"].get("allocations") or {}).items()
        }
        for address, uid in held.items():
            assert self.holder.setdefault(address, uid) == uid, f"{address} was given to a second peer"
        return held


async def create(client: KubeClient, lab: Lab) -> None:
    gate = asyncio.Semaphore(CREATING_AT_ONCE)

    async def one(number: int) -> None:
        body = {"apiVersion": API_VERSION, "kind": "WireGuardPeer", "metadata": {"name": f"p{number}"},
                "spec": {"serverRef": {"name": "berlin"}}}  # fmt: skip
        async with gate:
            await client.create(PEERS, lab.namespace, body)
            if number % (PEERS_MADE // PEERS_DELETED) == 0:
                # Some go at a moment at which they may have an address, or nothing, or half of what they need.
                await asyncio.sleep(number % 7)
                await client.delete(PEERS, lab.namespace, f"p{number}")

    await asyncio.gather(*(one(number) for number in range(PEERS_MADE)))


async def settle(client: KubeClient, witness: Witness, lab: Lab) -> dict[str, dict]:
    """Wait until every peer is served and every address is a living peer's; the peers by UID."""
    deadline = time.monotonic() + SECONDS
    while True:
        held = await witness.held()
        peers = {p["metadata"]["uid"]: p async for p in walk(client, PEERS, (lab.namespace,))}
        waiting = [uid for uid, p in peers.items() if p["status"].get("phase") != "Inactive"]
        leaked = [address for address, uid in held.items() if uid not in peers]
        if not waiting and not leaked:
            return peers
        if time.monotonic() > deadline:
            raise LabError(f"{len(waiting)} peers are not served, {len(leaked)} addresses leaked")
        await asyncio.sleep(0.5)


@pytest.mark.timeout(SECONDS + 180)
async def test_no_address_is_given_twice_and_none_is_leaked_however_often_controllers_die(lab: Lab) -> None:
    apply_server(lab, networks=["10.8.0.0/20", "fd00:8::/64"])
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    lab.controller.end(kill=True)
    async with await KubeClient.connect(str(lab.plane.kubeconfig)) as client:
        witness = Witness(client, lab)
        with killing(lab, seed=20260101) as kills:
            making = asyncio.create_task(create(client, lab))
            while not making.done():
                await witness.held()
                await asyncio.sleep(0.2)
            await making
            # Some more deaths while half of the work is still to be done.
            enough = kills[0] + 5
            while kills[0] < enough:
                await witness.held()
                await asyncio.sleep(0.2)
        peers = await settle(client, witness, lab)
        held = await witness.held()
    assert kills[0] >= 8
    assert len(peers) == PEERS_MADE - PEERS_DELETED
    assert len(held) == 2 * len(peers)
    for uid, peer in peers.items():
        mine = {address for address, holder in held.items() if holder == uid}
        assert {text.split("/")[0] for text in peer["status"]["addresses"]} == mine and len(mine) == 2
    on_device = [prefix for prefixes in lab.host.allowed_ips().values() for prefix in prefixes.split()]
    assert len(on_device) == len(set(on_device)) == 2 * len(peers)
