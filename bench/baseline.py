"""What the API server of this machine can do: the product's own writes, sent by a client that does nothing else.

The bodies are those of peers that the controller has just served. One of them after another is made anew in another
namespace: the peer, its Secret, its status, and an address block for each 128 peers, full and written once. The
controller cannot do with less, and pays on top for watching, deciding, keys, the device and blocks that grow.
"""

from __future__ import annotations

import asyncio
import copy
import ipaddress
import json
import time
from dataclasses import dataclass

from wireguard_operator.api.base import API_VERSION
from wireguard_operator.api.block import BLOCK_SIZE
from wireguard_operator.domain.secrets import MANAGED_BY, MANAGER, peer_secret_name
from wireguard_operator.kube.resources import BLOCKS, NAMESPACES, PEERS, SECRETS

from .client import BareClient, Object
from .fleet import NETWORK, SERVER, peer_body

NETWORK_BASE = int(ipaddress.ip_network(NETWORK).network_address)
_SERVER_KEYS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


@dataclass(frozen=True, slots=True)
class Models:
    """One peer's objects as the controller left them."""

    peer: Object
    secret: Object

    @classmethod
    async def of(cls, client: BareClient, namespace: str, peer: str) -> Models:
        """The objects of a peer that is Ready."""
        return cls(
            await client.get(PEERS, namespace, peer), await client.get(SECRETS, namespace, peer_secret_name(peer))
        )


class Baseline:
    """The same writes by a bare client, in a namespace of its own that no controller serves."""

    def __init__(self, creator: BareClient, writer: BareClient, models: Models, namespace: str) -> None:
        """``creator`` stands for the user, ``writer`` for the controller; each has its own connections."""
        self._creator, self._writer = creator, writer
        self._models = models
        self.namespace = namespace

    async def open(self) -> None:
        """Make the namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self._creator.create(NAMESPACES, "", body)

    async def run(self, first: int, count: int) -> float:
        """Seconds that it takes to write all of ``count`` peers, numbered from ``first``."""
        made: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()
        began = time.monotonic()

        async def create(number: int) -> None:
            body = await self._creator.create(PEERS, self.namespace, peer_body(f"p{number}"))
            made.put_nowait((number, body["metadata"]["uid"]))

        async def write() -> None:
            while (item := await made.get()) is not None:
                await self._serve(*item)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._writer.connections):
                group.create_task(write())
            await self._creator.each(range(first, first + count), create)
            for _ in range(self._writer.connections):
                made.put_nowait(None)
        return time.monotonic() - began

    async def _serve(self, number: int, uid: str) -> None:
        name = f"p{number}"
        if number % BLOCK_SIZE == 0:
            await self._writer.create(BLOCKS, self.namespace, self._block(number, uid))
        await self._writer.create(SECRETS, self.namespace, self._secret(name, uid))
        body = {"metadata": {"uid": uid}, "status": self._models.peer["status"]}
        await self._writer.patch(PEERS, self.namespace, name, body, "status")

    def _secret(self, name: str, uid: str) -> Object:
        secret = copy.deepcopy(self._models.secret)
        meta = secret["metadata"]
        for key in _SERVER_KEYS:
            meta.pop(key, None)
        meta |= {"name": peer_secret_name(name), "namespace": self.namespace}
        meta["ownerReferences"][0] |= {"name": name, "uid": uid}
        return secret

    def _block(self, number: int, uid: str) -> Object:
        """A full block, as it is when its last peer has come."""
        network = ipaddress.ip_network((NETWORK_BASE + number, 32 - (BLOCK_SIZE - 1).bit_length()))
        holder = {"uid": uid, "peer": f"{self.namespace}/p{number}"}
        spec = {
            "serverName": SERVER,
            "cidr": str(network),
            "allocations": {str(address): holder for address in network},
            "cooling": {},
        }
        meta = {"name": f"{SERVER}-{number}", "labels": {MANAGED_BY: MANAGER}}
        return {"apiVersion": API_VERSION, "kind": "WireGuardAddressBlock", "metadata": meta, "spec": spec}


def size(models: Models) -> dict[str, int]:
    """Bytes of the bodies, for the record."""
    return {
        "secret": len(json.dumps(models.secret)),
        "status": len(json.dumps(models.peer["status"])),
    }
