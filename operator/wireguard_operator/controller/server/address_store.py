"""A server's address pools on the API server: read once, changed in memory, written with compare-and-swap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from ...api.base import API_VERSION, Key
from ...api.block import BLOCK, WireGuardAddressBlock
from ...api.server import WireGuardServer
from ...domain.addresses import AddressTaken, AddressUnusable, AllocationError, Block, Holder, Pool, Rest, ServerFull
from ...domain.networks import Address, Network
from ...domain.secrets import MANAGED_BY, MANAGER, SERVER_LABEL, belongs_to, owner_reference
from ...kube.client import KubeClient, Object
from ...kube.errors import AlreadyExists, Conflict, NotFound
from ...kube.resources import BLOCKS
from ..watch.records import version_of

MAX_ROUNDS = 20
"""Compare-and-swap rounds before giving up for now; another writer can win only so often."""


@dataclass(frozen=True, slots=True)
class Request:
    """A peer asks for its addresses, one of each network."""

    holder: Holder
    wanted: tuple[Address, ...] = ()
    """These and no others."""
    remembered: tuple[Address, ...] = ()
    """These if nobody else has them: what the status says, should the block have been lost."""


class AddressStore:
    """The pools of one server."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._blocks: list[Block] = []
        """As they were read; a pool that is open has the present ones."""
        self._pools: list[Pool] = []
        self._reserved: tuple[Network, ...] = ()
        self._wishes: dict[str, tuple[Address, ...]] = {}
        self._server: WireGuardServer | None = None
        self._freed = False
        """Whether anything was given back since the last ``release`` that went well."""

    @property
    def is_loaded(self) -> bool:
        """Whether ``load`` was called; nothing else works before."""
        return self._server is not None

    async def load(self, server: WireGuardServer) -> None:
        """Read all blocks of the server, in place of what was in memory. Raises KubeError."""
        key = server.key
        labels = f"{SERVER_LABEL}={key.name}"
        blocks = list[Block]()
        async for item in self._client.list(BLOCKS, key.namespace, labels=labels):
            block = parse_block(item)
            # A former server of the name takes its blocks along soon, unless they are written as this one's.
            block.changed = not belongs_to(item, server)
            blocks.append(block)
        self._blocks = blocks
        self._server = server
        networks = [pool.network for pool in self._pools]
        self._pools = []
        self.open(networks, self._reserved)

    def open(self, networks: Iterable[Network], reserved: Iterable[Network]) -> None:
        """Give addresses out of these networks from now on, but for ``reserved``."""
        blocks = self._present()
        self._reserved = tuple(reserved)
        self._pools = [
            Pool(network, self._reserved, [b for b in blocks if b.network.version == network.version])
            for network in networks
        ]
        for uid, wanted in self._wishes.items():
            self._tell(uid, wanted)

    def held(self) -> list[tuple[Address, Holder]]:
        """All held addresses."""
        return [item for block in self._present() for item in block.held.items()]

    def _present(self) -> list[Block]:
        present = {block.network: block for block in self._blocks}
        present |= {block.network: block for pool in self._pools for block in pool.blocks()}
        return list(present.values())

    def holds(self, uid: str) -> bool:
        """Whether the peer has an address of each network."""
        return all(pool.address_of(uid) is not None for pool in self._pools)

    def held_by(self, uid: str) -> tuple[Address, ...]:
        """What the peer has, which is less than one of each network after a network was added."""
        return tuple(address for pool in self._pools if (address := pool.address_of(uid)) is not None)

    def wish(self, uid: str, wanted: tuple[Address, ...]) -> None:
        """``uid`` asks for these very addresses: nobody else is given one of them unasked."""
        if self._wishes.get(uid, ()) == wanted:
            return
        if wanted:
            self._wishes[uid] = wanted
        else:
            del self._wishes[uid]
        self._tell(uid, wanted)

    def _tell(self, uid: str, wanted: tuple[Address, ...]) -> None:
        for pool in self._pools:
            pool.wish(uid, _of_family(wanted, pool))

    async def take(
        self, requests: Sequence[Request], most: int, now: datetime, rest_until: datetime
    ) -> dict[str, tuple[Address, ...] | AllocationError]:
        """Addresses for each peer, by UID, as long as the server has fewer than ``most`` peers.

        They are theirs once this returns. Raises KubeError.
        """
        for _ in range(MAX_ROUNDS):
            owners = {uid for pool in self._pools for uid in pool.owners()}
            results: dict[str, tuple[Address, ...] | AllocationError] = {}
            for request in requests:
                uid = request.holder.uid
                is_new = uid not in owners
                if is_new and len(owners) >= most:
                    results[uid] = ServerFull(f"the server has {len(owners)} peers and takes no more than {most}")
                    continue
                results[uid] = self._take(request, now, rest_until)
                if is_new and isinstance(results[uid], AllocationError):
                    # A part of what a new peer needs is of no use to it, and nobody has used it yet.
                    self._give_back(uid)
                elif is_new:
                    owners.add(uid)
            if await self._write():
                return results
        raise Conflict(f"address blocks of {self._key()} are being changed by somebody else")

    async def release(self, uids: Set[str], until: datetime | None = None) -> bool:
        """Give back what the owners hold; whether that was anything. Raises KubeError."""
        for _ in range(MAX_ROUNDS):
            for uid in uids:
                self._freed |= self._give_back(uid, until)
            if await self._write():
                freed, self._freed = self._freed, False
                return freed
        raise Conflict(f"address blocks of {self._key()} are being changed by somebody else")

    def _give_back(self, uid: str, until: datetime | None = None) -> bool:
        given = [pool.release(uid, until) for pool in self._pools]
        return any(address is not None for address in given)

    def _take(self, request: Request, now: datetime, rest_until: datetime) -> tuple[Address, ...] | AllocationError:
        try:
            return tuple(self._take_one(pool, request, now, rest_until) for pool in self._pools)
        except AllocationError as error:
            return error

    def _take_one(self, pool: Pool, request: Request, now: datetime, rest_until: datetime) -> Address:
        wanted = _of_family(request.wanted, pool)
        missing = [a for a in request.wanted if not any(a.version == p.network.version for p in self._pools)]
        if missing:
            raise AddressUnusable(f"{missing[0]} is an IPv{missing[0].version} address; the server has no such network")
        remembered = _of_family(request.remembered, pool)
        if wanted is None and remembered is not None and pool.address_of(request.holder.uid) is None:
            try:
                return pool.take(request.holder, now, remembered)
            except (AddressTaken, AddressUnusable):
                pass  # somebody else has it by now
        return pool.take(request.holder, now, wanted, rest_until)

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
        namespace, name = self._key().namespace, body["metadata"]["name"]
        if block.resource_version is None:
            return await self._client.create(BLOCKS, namespace, body)
        return await self._client.replace(BLOCKS, namespace, name, body)

    async def _reload(self, pool: Pool, block: Block) -> None:
        try:
            body = await self._client.get(BLOCKS, self._key().namespace, self._name(block.network))
        except NotFound:
            # Deleted by somebody. Who holds what is known here alone now, and is written anew.
            block.resource_version, block.changed = None, True
            return
        pool.load(parse_block(body))

    def _key(self) -> Key:
        if self._server is None:
            raise RuntimeError("the blocks have not been read yet")
        return self._server.key

    def _name(self, network: Network) -> str:
        # The name follows from the slice, so that two writers who make the same block collide on creation.
        return f"{self._key().name}-{int(network.network_address):x}-{network.prefixlen}"

    def _body(self, block: Block) -> Object:
        if self._server is None:
            raise RuntimeError("the blocks have not been read yet")
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
            "apiVersion": API_VERSION,
            "kind": BLOCK.kind,
            "metadata": metadata,
            "spec": {
                "serverName": self._server.metadata.name,
                "cidr": str(block.network),
                "allocations": allocations,
                "cooling": cooling,
            },
        }


def _of_family(addresses: Iterable[Address], pool: Pool) -> Address | None:
    """The one of the pool's IP version."""
    return next((address for address in addresses if address.version == pool.network.version), None)


def parse_block(body: Object) -> Block:
    """A block as the API server has it."""
    spec = WireGuardAddressBlock.model_validate(body).spec
    held = {ipaddress.ip_address(a): Holder(h.uid, h.peer) for a, h in spec.allocations.items()}
    resting = {ipaddress.ip_address(a): Rest(r.until, r.peer) for a, r in spec.cooling.items()}
    return Block(ipaddress.ip_network(spec.cidr), held, resting, str(version_of(body)))
