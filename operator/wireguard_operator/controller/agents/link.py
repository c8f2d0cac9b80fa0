"""One device as it should be, and the way to get it there through its agent.

The controller keeps the whole desired state, and the public keys that changed since what the agent last acknowledged.
While it is certain what the agent holds it sends deltas. After a failure it asks: an agent that stands where it stood
goes on with deltas, one that has the very state already (equal digest) is sent nothing, any other one gets all of it,
in parts, of which a broken link loses none that has arrived, unless somebody was cut meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...agent import parts
from ...agent.protocol import Ack, AgentStatus, Applied, CountersPage, DeltaRequest, PeerCounters, Snapshot
from ...api.server import DataPlaneStatus
from ...domain.device import Delta, DesiredState, DevicePeer, Interface
from .client import Agent, AgentError, BaseMismatch
from .turns import Turns

DELTA_PEERS = 1000
"""Peers in one delta; the agent acknowledges each, so that a wave of changes shows progress."""
PART_BYTES = 256 << 10
"""Of a snapshot; some 3,500 peers."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A snapshot on its way; changes after it was made follow as deltas."""

    applied: Applied
    """What the agent will say when it has it."""
    content: str
    parts: tuple[bytes, ...]


class DeviceLink:
    """The desired state of one device, and how far its agent has followed."""

    def __init__(self, sent: Callable[[int], None] | None = None) -> None:
        """``sent`` is told each revision that is sent."""
        self._tell_sent = sent
        self._want: DesiredState | None = None
        self._changed: set[str] = set()
        self._interface_changed = False
        self._applied: Applied | None = None
        """What the agent acknowledged last; the changes are counted from there, or from ``_transfer``."""
        self._certain = False
        """Whether it holds that for all we know."""
        self._sending = False
        """A delta is on its way."""
        self._transfer: Transfer | None = None
        self._final: dict[str, PeerCounters] = {}
        """Last counters of peers that were removed, until they are told."""
        self._final_of: str | None = None
        """The device that has counted them."""
        self._sent = 0
        # Counters are read and peers removed in turns, so that a peer's last bytes are never counted twice.
        self._turns = Turns(self.doubt)
        self._counting = 0
        """Which agent the present look at counters is at."""
        self._followers: list[DeviceLink] = []
        self.data_plane: DataPlaneStatus | None = None
        self.warnings: tuple[str, ...] = ()
        """What keeps the agent's host from serving all that one would expect."""
        self.pending: frozenset[str] = frozenset()
        """Public keys of whom the agent has the last word still to say."""

    def is_settled(self) -> bool:
        """Whether the agent has acknowledged all that is wanted."""
        return self._certain and not self._sending and not self._has_changes()

    def _has_changes(self) -> bool:
        return bool(self._changed) or self._interface_changed

    def acknowledged(self) -> tuple[int, DesiredState] | None:
        """Revision and state that the agent holds, when that is what is wanted."""
        if self._applied is None or self._want is None or not self.is_settled():
            return None
        return self._applied.revision, self._want

    def follow(self) -> DeviceLink:
        """A link for another device that should be the same; all that is wanted from this one goes for that, too."""
        follower = DeviceLink()
        follower._want = self._want
        self._followers.append(follower)
        return follower

    def unfollow(self, follower: DeviceLink) -> None:
        """That device does not matter any more."""
        self._followers.remove(follower)

    def digest(self) -> str | None:
        """Of the state that is wanted."""
        return self._want.digest if self._want is not None else None

    def is_settled_everywhere(self) -> bool:
        """Whether no device holds anything else than what is wanted."""
        return self.is_settled() and all(follower.is_settled() for follower in self._followers)

    def set_interface(self, interface: Interface) -> None:
        """The device itself should be so."""
        if self._want is None:
            self._want = DesiredState(interface)
            for follower in self._followers:
                follower._want = self._want
        elif self._want.interface != interface:
            self._want.apply(Delta(interface=interface))
            for link in (self, *self._followers):
                link._interface_changed = True

    def peer(self, public_key: str) -> DevicePeer | None:
        """What is wanted of a peer."""
        return self._want.peers.get(public_key) if self._want else None

    def put(self, peer: DevicePeer) -> None:
        """A peer should be so. The interface comes first."""
        if self._want is not None and self._want.peers.get(peer.public_key) != peer:
            self._want.apply(Delta(upsert=(peer,)))
            self._note(peer.public_key)

    def drop(self, public_key: str) -> None:
        """A peer should not be there."""
        if self._want is not None and public_key in self._want.peers:
            self._want.apply(Delta(remove=(public_key,)))
            self._note(public_key)

    def _note(self, public_key: str) -> None:
        for link in (self, *self._followers):
            link._changed.add(public_key)

    def clear(self) -> None:
        """No peer should be there."""
        for public_key in list(self._want.peers) if self._want else ():
            self.drop(public_key)

    def doubt(self) -> None:
        """It is not known any more what the agent holds."""
        self._certain = False

    def replace_agent(self) -> None:
        """Another agent speaks for the device from now on; an exchange with the former one soon ends: AgentReplaced.

        That one may be on a machine that is frozen, and would hold up the next cut until it is timed out.
        """
        self.doubt()
        self._turns.replace_agent()

    async def push(self, agent: Agent) -> Ack | None:
        """Bring the agent to what is wanted; None when it is known to be there. Raises AgentError."""
        if self._want is None or self.is_settled():
            return None
        async with self._turns.turn(self._turns.agent):
            return await self._push(agent, self._want)

    async def counters(self, agent: Agent, cursor: str, *, more: bool = False) -> CountersPage:
        """A page of counters that changed after ``cursor``; ``more``: the next one of the same look at the device.

        Doubts what the agent holds when it says so. Raises AgentError.
        """
        if not more:
            self._counting = self._turns.agent
        async with self._turns.turn(self._counting):
            if not more:
                status = await agent.status()
                self._describe(status)
                self._keep(status.device, status.final)
                if status.applied != self._applied:
                    self.doubt()
            return await agent.counters(cursor, more=more)

    async def _push(self, agent: Agent, want: DesiredState) -> Ack:
        while True:
            ack = await self._step(agent, want)
            self._keep(ack.device, ack.final)
            if self.is_settled():
                break
        if ack.applied.digest != want.digest:
            self._applied = None
            raise AgentError("the agent acknowledged another state than the one it was sent")
        final, self._final = self._final, {}
        return Ack(ack.applied, ack.device, ack.errors, tuple(final.values()), ack.pending)

    def _keep(self, device: str, final: Iterable[PeerCounters]) -> None:
        if device != self._final_of:
            # What another device has counted would be added to what this one has.
            self._final, self._final_of = {}, device
        self._final |= {counters.public_key: counters for counters in final}

    async def _step(self, agent: Agent, want: DesiredState) -> Ack:
        """One message and its acknowledgement."""
        if self._certain and self._applied is not None:
            try:
                return await self._send_delta(agent, self._applied, want)
            except BaseMismatch:
                self.doubt()
        status = await agent.status()
        self._describe(status)
        self._keep(status.device, status.final)
        if status.applied is not None:
            self._sent = max(self._sent, status.applied.revision)
            if status.applied.digest == want.digest:
                self._changed.clear()
                self._interface_changed = False
                ack = Ack(status.applied, status.device, status.errors, (), status.pending)
                return self._acknowledged(ack)
            if self._applied is not None and status.applied == self._applied:
                return await self._send_delta(agent, self._applied, want)
        return await self._send_all(agent, status, want)

    async def _send_delta(self, agent: Agent, base: Applied, want: DesiredState) -> Ack:
        # Cuts go first: a removal must not wait for the peers that come.
        keys = sorted(self._changed, key=lambda key: (key in want.peers, key))[:DELTA_PEERS]
        delta = DeltaRequest(
            base=base,
            revision=self._next_revision(base),
            interface=want.interface if self._interface_changed else None,
            upsert=tuple(want.peers[key] for key in keys if key in want.peers),
            remove=tuple(key for key in keys if key not in want.peers),
        )
        # What changes while the agent works, as it may for a device that follows, is of the next delta.
        interface_changed, self._interface_changed = self._interface_changed, False
        self._changed.difference_update(keys)
        self._sending = True
        try:
            ack = await agent.post_delta(delta)
        except BaseException:
            self._changed.update(keys)
            self._interface_changed |= interface_changed
            raise
        finally:
            self._sending = False
        return self._acknowledged(ack)

    async def _send_all(self, agent: Agent, status: AgentStatus, want: DesiredState) -> Ack:
        transfer, partial = self._transfer, status.partial
        if any(key not in want.peers for key in self._changed):
            transfer = None  # it would bring those onto the device who have been cut since
        if transfer is None or partial is None or partial.content != transfer.content:
            transfer, partial = await self._pack(want), None
        missing = [n for n in range(len(transfer.parts)) if partial is None or n not in partial.parts]
        for number in missing or range(1):
            reply = await agent.put_part(transfer.parts[number])
            if reply.ack is not None:
                self._transfer = None
                if reply.ack.applied != transfer.applied:
                    raise AgentError("the agent acknowledged another snapshot than the one it was sent")
                return self._acknowledged(reply.ack)
        raise AgentError("the agent has all parts of a snapshot and does not acknowledge it")

    async def _pack(self, want: DesiredState) -> Transfer:
        revision = self._next_revision(self._applied)
        applied, snapshot = Applied(revision, want.digest), Snapshot.of(revision, want)
        # From here on changes count from the snapshot, and from nothing that the agent may say it has.
        self._applied = self._transfer = None
        self._changed.clear()
        self._interface_changed = False
        packed = await asyncio.to_thread(parts.pack, snapshot, PART_BYTES)
        self._transfer = Transfer(applied, parts.read_part(packed[0]).content, tuple(packed))
        return self._transfer

    def _next_revision(self, base: Applied | None) -> int:
        self._sent = max(self._sent, base.revision if base is not None else 0) + 1
        if self._tell_sent is not None:
            self._tell_sent(self._sent)
        return self._sent

    def _acknowledged(self, ack: Ack) -> Ack:
        self._applied, self._certain = ack.applied, True
        self.pending = frozenset(ack.pending)
        if self.data_plane is not None:
            self.data_plane = self.data_plane.model_copy(update={"revision": ack.applied.revision})
        return ack

    def _describe(self, status: AgentStatus) -> None:
        revision = status.applied.revision if status.applied else None
        self.data_plane = DataPlaneStatus(
            implementation=status.implementation, version=status.version, revision=revision
        )
        self.warnings = status.warnings
