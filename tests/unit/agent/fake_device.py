"""A device made of dictionaries, which can be told to fail, and peers for it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from wireguard_operator.agent.device import DeviceDump, DeviceError, DeviceGoneError, DumpedPeer
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.keys import generate_pair

INTERFACE = Interface(generate_pair().private.reveal(), 51820, 1420, ("10.8.0.1/24",))


def peer(number: int, *networks: str) -> DevicePeer:
    key = base64.b64encode(hashlib.sha256(bytes([number])).digest()).decode()
    return DevicePeer(key, networks or (f"10.8.0.{number}/32",))


class FakeDevice:
    """A device in memory: one life after the other."""

    implementation = "Fake"

    def __init__(self) -> None:
        self.life = 0
        self.alive = False
        self.peers: dict[str, DumpedPeer] = {}
        self.routes: frozenset[str] = frozenset()
        self.bad: set[str] = set()
        self.problem = ""
        self.die_in_apply = False
        self.applied: list[tuple[list[str], list[str]]] = []
        self.kicked: dict[str, str] = {}
        self.closed: list[bool] = []
        self.dumps: list[dict[str, DumpedPeer]] = []
        self._lost = asyncio.Event()

    def die(self) -> None:
        self.alive = False
        self.peers = {}
        self._lost.set()

    async def identity(self) -> str:
        return f"life {self.life}" if self.alive else ""

    async def ensure(self, interface: Interface) -> None:
        if self.problem:
            raise DeviceError(self.problem)
        if not self.alive:
            self.life += 1
            self.alive = True

    async def apply(self, upsert: Sequence[DevicePeer], remove: Sequence[str]) -> dict[str, str]:
        if self.die_in_apply:
            self.die_in_apply = False
            self.die()
        self._require_life()
        self.applied.append(([peer.public_key for peer in upsert], list(remove)))
        for key in remove:
            self.peers.pop(key, None)
        for new in upsert:
            if new.public_key in self.bad:
                self.peers.pop(new.public_key, None)
            else:
                old = self.peers.get(new.public_key, DumpedPeer(new.public_key))
                self.peers[new.public_key] = replace(old, allowed_ips=new.allowed_ips, preshared_key=new.preshared_key)
        return {new.public_key: "refused" for new in upsert if new.public_key in self.bad}

    async def cut(self, public_keys: Sequence[str]) -> None:
        for key in public_keys:
            if key in self.peers:
                self.peers[key] = replace(self.peers[key], allowed_ips=())

    async def dump(self) -> DeviceDump:
        self._require_life()
        self.dumps.append(dict(self.peers))
        return DeviceDump(await self.identity(), None, 51820, dict(self.peers))

    async def route(self, prefixes: frozenset[str]) -> dict[str, str]:
        self.routes = prefixes
        return {prefix: "taken" for prefix in prefixes if prefix == "192.168.66.0/24"}

    async def kick(self, endpoints: Mapping[str, str]) -> None:
        self.kicked = dict(endpoints)

    async def lost(self) -> None:
        await self._lost.wait()
        self._lost.clear()

    async def close(self, *, remove: bool) -> None:
        self.closed.append(remove)

    def _require_life(self) -> None:
        if not self.alive:
            raise DeviceGoneError("nobody answers")

    def count(self, key: str, rx: int, endpoint: str | None = None) -> None:
        self.peers[key] = replace(
            self.peers[key], rx_bytes=rx, endpoint=endpoint, last_handshake=int(time.time()) if endpoint else 0
        )
