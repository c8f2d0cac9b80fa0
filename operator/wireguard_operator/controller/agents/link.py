"""One device as it should be, and the way to get it there through its agent.

The controller keeps the whole desired state and the public keys that changed since the agent last acknowledged it.
While it knows what the agent holds it sends deltas; after any failure it does not know, asks, and either finds the
very state there (equal digest: nothing is sent) or sends all of it.
"""

from __future__ import annotations

import asyncio

from ...agent.protocol import Ack, AgentStatus, Applied, CountersPage, DeltaRequest, Snapshot
from ...api.server import DataPlaneStatus
from ...domain.device import Delta, DesiredState, DevicePeer, Interface
from .client import AgentClient, AgentError, BaseMismatch


class DeviceLink:
    """The desired state of one device, and how far its agent has followed."""

    def __init__(self) -> None:
        self._want: DesiredState | None = None
        self._changed: set[str] = set()
        self._interface_changed = False
        self._applied: Applied | None = None
        self._sent = 0
        # Counters are read and peers removed in turns, so that a peer's last bytes are never counted twice.
        self._turn = asyncio.Lock()
        self.data_plane: DataPlaneStatus | None = None
        self.warnings: tuple[str, ...] = ()
        """What keeps the agent's host from serving all that one would expect."""

    def is_settled(self) -> bool:
        """Whether the agent has acknowledged all that is wanted."""
        return self._applied is not None and not self._changed and not self._interface_changed

    def acknowledged(self) -> tuple[int, DesiredState] | None:
        """Revision and state that the agent holds, when that is what is wanted."""
        if self._applied is None or self._want is None or not self.is_settled():
            return None
        return self._applied.revision, self._want

    def set_interface(self, interface: Interface) -> None:
        """The device itself should be so."""
        if self._want is None:
            self._want = DesiredState(interface)
        elif self._want.interface != interface:
            self._want.apply(Delta(interface=interface))
            self._interface_changed = True

    def peer(self, public_key: str) -> DevicePeer | None:
        """What is wanted of a peer."""
        return self._want.peers.get(public_key) if self._want else None

    def put(self, peer: DevicePeer) -> None:
        """A peer should be so. The interface comes first."""
        if self._want is not None and self._want.peers.get(peer.public_key) != peer:
            self._want.apply(Delta(upsert=(peer,)))
            self._changed.add(peer.public_key)

    def drop(self, public_key: str) -> None:
        """A peer should not be there."""
        if self._want is not None and public_key in self._want.peers:
            self._want.apply(Delta(remove=(public_key,)))
            self._changed.add(public_key)

    def clear(self) -> None:
        """No peer should be there."""
        for public_key in list(self._want.peers) if self._want else ():
            self.drop(public_key)

    def doubt(self) -> None:
        """It is not known any more what the agent holds."""
        self._applied = None

    async def push(self, agent: AgentClient) -> Ack | None:
        """Bring the agent to what is wanted; None when it is known to be there. Raises AgentError."""
        if self._want is None or self.is_settled():
            return None
        async with self._turn:
            try:
                return await self._push(agent, self._want)
            except AgentError:
                self.doubt()
                raise

    async def counters(self, agent: AgentClient, cursor: str) -> CountersPage:
        """Counters that changed after ``cursor``. Doubts what the agent holds when it says so. Raises AgentError."""
        async with self._turn:
            try:
                status = await agent.status()
                self._describe(status)
                if status.applied != self._applied:
                    self.doubt()
                return await agent.counters(cursor)
            except AgentError:
                self.doubt()
                raise

    async def _push(self, agent: AgentClient, want: DesiredState) -> Ack:
        if self._applied is not None:
            try:
                return self._acknowledged(await agent.post_delta(self._delta(self._applied, want)), want)
            except BaseMismatch:
                self.doubt()
        status = await agent.status()
        self._describe(status)
        if status.applied is not None:
            self._sent = max(self._sent, status.applied.revision)
            if status.applied.digest == want.digest:
                return self._acknowledged(Ack(status.applied, status.device, status.errors), want)
        self._sent += 1
        snapshot = Snapshot.of(self._sent, want)
        return self._acknowledged(await agent.put_state(snapshot), want)

    def _delta(self, base: Applied, want: DesiredState) -> DeltaRequest:
        self._sent = max(self._sent, base.revision) + 1
        return DeltaRequest(
            base=base,
            revision=self._sent,
            interface=want.interface if self._interface_changed else None,
            upsert=tuple(want.peers[key] for key in sorted(self._changed) if key in want.peers),
            remove=tuple(key for key in sorted(self._changed) if key not in want.peers),
        )

    def _acknowledged(self, ack: Ack, want: DesiredState) -> Ack:
        if ack.applied.digest != want.digest:
            raise AgentError("the agent acknowledged another state than the one it was sent")
        self._applied = ack.applied
        self._changed.clear()
        self._interface_changed = False
        if self.data_plane is not None:
            self.data_plane = self.data_plane.model_copy(update={"revision": ack.applied.revision})
        return ack

    def _describe(self, status: AgentStatus) -> None:
        revision = status.applied.revision if status.applied else None
        self.data_plane = DataPlaneStatus(
            implementation=status.implementation, version=status.version, revision=revision
        )
        self.warnings = status.warnings
