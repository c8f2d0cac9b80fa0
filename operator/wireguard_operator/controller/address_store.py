"""A server's address pools on the API server: read once, changed in memory, written with compare-and-swap."""

from __future__ import annotations

import ipaddress
from datetime import datetime

from ..api.block import BLOCK, WireGuardAddressBlock
from ..api.server import WireGuardServer
from ..domain.addresses import Address, AllocationError, Block, Holder, Network, Pool, Rest
from ..domain.secrets import MANAGED_BY, MANAGER, owner_reference
from ..kube.client import KubeClient, Object
from ..kube.errors import AlreadyExists, Conflict, NotFound
from ..kube.resources import BLOCKS, PEERS
from .records import version_of

SERVER_LABEL = "wireguard.dotmac.io/server"

MAX_ROUNDS = 10
"""Compare-and-swap rounds before giving up for now; another writer can win only so often."""


class AddressStore:
    """The pools of one server."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._pools: list[Pool] = []
        self._server: WireGuardServer

    @property
    def is_loaded(self) -> bool:
        """Whether ``load`` was called; nothing else works before."""
        return bool(self._pools)

    async def load(self, server: WireGuardServer) -> None:
        """Read all blocks of the server."""
        self._server = server
        found = [
            block
            async for item in self._client.list(
                BLOCKS, server.metadata.namespace, labels=f"{SERVER_LABEL}={server.metadata.name}"
            )
            if (block := _parse(item)) is not None
        ]
        networks = [ipaddress.ip_network(network) for network in server.spec.networks]
        self._pools = [
            Pool(
                network, (), [b for b in found if b.network.version == network.version and _inside(b.network, network)]
            )
            for network in networks
        ]

    async def take(self, holders: list[Holder], now: datetime) -> dict[str, tuple[Address, ...] | AllocationError]:
        """Addresses for each holder, one of each network, by UID. They are theirs once this returns."""
        for _ in range(MAX_ROUNDS):
            results = {holder.uid: self._take(holder, now) for holder in holders}
            if await self._write():
                return results
        raise Conflict(f"address blocks of {self._server.key} are being changed by somebody else")

    async def release(self, uids: set[str], until: datetime | None = None) -> None:
        """Give back what the owners hold."""
        for _ in range(MAX_ROUNDS):
            for pool in self._pools:
                for uid in uids:
                    pool.release(uid, until)
            if await self._write():
                return
        raise Conflict(f"address blocks of {self._server.key} are being changed by somebody else")

    async def orphans(self, known: set[str]) -> set[str]:
        """UIDs that hold addresses and are neither ``known`` nor alive.

        The API server is asked about each, since what is known may be older than the block.
        """
        holders = {holder for pool in self._pools for holder in pool.holders() if holder.uid not in known}
        return {holder.uid for holder in holders if not await self._exists(holder)}

    async def _exists(self, holder: Holder) -> bool:
        namespace, _, name = holder.peer.partition("/")
        try:
            body = await self._client.get(PEERS, namespace, name)
        except NotFound:
            return False
        return bool(body["metadata"]["uid"] == holder.uid)

    def _take(self, holder: Holder, now: datetime) -> tuple[Address, ...] | AllocationError:
        try:
            return tuple(pool.take(holder, now) for pool in self._pools)
        except AllocationError as error:
            return error

    async def _write(self) -> bool:
        """Write the changed blocks; False when one was changed by somebody else and has been read again."""
        clean = True
        for pool in self._pools:
            for block in pool.changed():
                try:
                    answer = await self._put(block)
                    block.resource_version, block.changed = answer["metadata"]["resourceVersion"], False
                except (AlreadyExists, Conflict, NotFound):
                    await self._reload(pool, block)
                    clean = False
        return clean

    async def _put(self, block: Block) -> Object:
        body = self._body(block)
        namespace, name = self._server.metadata.namespace, body["metadata"]["name"]
        if block.resource_version is None:
            return await self._client.create(BLOCKS, namespace, body)
        return await self._client.replace(BLOCKS, namespace, name, body)

    async def _reload(self, pool: Pool, block: Block) -> None:
        try:
            body = await self._client.get(BLOCKS, self._server.metadata.namespace, self._name(block.network))
        except NotFound:
            pool.forget(block.network)
            return
        fresh = _parse(body)
        if fresh is not None:
            pool.load(fresh)

    def _name(self, network: Network) -> str:
        # The name follows from the slice, so that two writers who make the same block collide on creation.
        return f"{self._server.metadata.name}-{int(network.network_address):x}-{network.prefixlen}"

    def _body(self, block: Block) -> Object:
        metadata: Object = {
            "name": self._name(block.network),
            "labels": {MANAGED_BY: MANAGER, SERVER_LABEL: self._server.metadata.name},
            "ownerReferences": [owner_reference(self._server, "WireGuardServer")],
        }
        if block.resource_version is not None:
            metadata["resourceVersion"] = block.resource_version
        allocations = {str(a): {"uid": h.uid, "peer": h.peer} for a, h in sorted(block.held.items())}
        cooling = {str(a): {"until": r.until.isoformat(), "peer": r.peer} for a, r in sorted(block.resting.items())}
        return {
            "apiVersion": "wireguard.dotmac.io/v1alpha1",
            "kind": BLOCK.kind,
            "metadata": metadata,
            "spec": {
                "serverName": self._server.metadata.name,
                "cidr": str(block.network),
                "allocations": allocations,
                "cooling": cooling,
            },
        }


def _parse(body: Object) -> Block | None:
    spec = WireGuardAddressBlock.model_validate(body).spec
    held = {ipaddress.ip_address(a): Holder(h.uid, h.peer) for a, h in spec.allocations.items()}
    resting = {ipaddress.ip_address(a): Rest(r.until, r.peer) for a, r in spec.cooling.items()}
    return Block(ipaddress.ip_network(spec.cidr), held, resting, str(version_of(body)))


def _inside(inner: Network, outer: Network) -> bool:
    return outer.network_address <= inner.network_address and inner.broadcast_address <= outer.broadcast_address  # type: ignore[operator]
