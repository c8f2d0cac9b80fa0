"""What the controller remembers of each object between events: the object, the facts found, the status written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic_core import from_json

from ...api.base import Key, Resource, share_field_sets
from ...api.peer import PeerStatus, Traffic, WireGuardPeer
from ...api.server import ServerStatus, WireGuardServer
from ...domain import events, peer_status, server_status
from ...domain.claims import Claim
from ...domain.events import News
from ...domain.peer_status import PeerFacts
from ...domain.server_status import ServerFacts
from ...kube.client import Object
from ...kube.resources import PEERS, SERVERS, ResourceType


class Record(Protocol):
    """An object whose status we write."""

    status: dict[str, Any]
    """As it stands on the API server, to the best of our knowledge."""

    is_former: bool
    """Whether the object is gone, or another record has taken over; nothing more is to be said by this one."""

    @property
    def kind(self) -> ResourceType:
        """The resource type."""
        ...

    @property
    def object(self) -> Resource[Any, Any]:
        """The object as it was last seen."""
        ...

    @property
    def key(self) -> Key:
        """Where the object is."""
        ...

    @property
    def uid(self) -> str:
        """Which object of that name."""
        ...

    @property
    def is_cut(self) -> bool:
        """Whether it tells of a peer that must not be on the device: nobody should wait for that word."""
        ...

    def compose(self, now: datetime) -> dict[str, Any] | None:
        """The status that should stand there; None while nothing is known yet."""
        ...

    def wrote(self, answer: Object) -> None:
        """Take the status that the API server answered to a write, unless the watch was quicker."""
        ...

    def news(self, before: dict[str, Any], after: dict[str, Any]) -> list[News]:
        """What is worth an Event about the difference of two statuses."""
        ...


def pack_status(status: dict[str, Any]) -> bytes:
    """A status as a record keeps it."""
    return json.dumps(status, separators=(",", ":")).encode()


def version_of(body: Object) -> int:
    """Resource versions of one resource type are ordered integers (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


@dataclass(slots=True)
class PeerRecord:
    """One WireGuardPeer, as long as it is on one server."""

    peer: WireGuardPeer
    packed_status: bytes
    """``status`` as JSON: of a hundred thousand peers the dictionaries would take most of the memory."""
    version: int
    """Resource version as the watch last told it."""
    facts: PeerFacts
    placed: Key | None = None
    """The server that was chosen for a peer with a selector."""
    left: Key | None = None
    """The server that the peer was moved away from in this process."""
    moved_with: Traffic | None = None
    """The totals that went on to the record of the next server."""
    status_version: int = 0
    """Resource version of our own last write."""
    report_due: float = 0.0
    """Monotonic time from which byte counters may go into the status again."""
    is_former: bool = False
    kind: ResourceType = PEERS

    @property
    def status(self) -> dict[str, Any]:
        """As it stands on the API server, to the best of our knowledge."""
        status: dict[str, Any] = from_json(self.packed_status)
        return status

    @status.setter
    def status(self, status: dict[str, Any]) -> None:
        self.packed_status = pack_status(status)

    @property
    def object(self) -> WireGuardPeer:
        """The object as it was last seen."""
        return self.peer

    @property
    def key(self) -> Key:
        """Where the object is."""
        return self.peer.key

    @property
    def uid(self) -> str:
        """Which object of that name."""
        return self.peer.metadata.uid

    @property
    def server_key(self) -> Key | None:
        """The server that the peer names, or that was chosen for it; None before that."""
        ref = self.peer.spec.server_ref
        if ref is not None:
            return Key(ref.namespace or self.peer.metadata.namespace, ref.name)
        return self.placed

    @property
    def is_cut(self) -> bool:
        """Whether the peer must not be on the device."""
        return self.facts.verdict is not None and not self.facts.verdict.admitted

    def claim(self, now: datetime) -> Claim:
        """The peer's standing against others: the older one wins."""
        return Claim(self.peer.metadata.creation_timestamp or now, self.uid, self.key)

    def compose(self, now: datetime) -> dict[str, Any] | None:
        """The status that should stand there."""
        if self.facts.verdict is None:
            return None
        return peer_status.compose(self.peer, self.facts, self.server_key, now).to_wire()

    def wrote(self, answer: Object) -> None:
        """Take the status that the API server answered to a write, unless the watch was quicker.

        The specification in the answer may be one that the watch has not told of yet: that is left to the watch.
        """
        if version_of(answer) > max(self.version, self.status_version):
            status = answer.get("status", {})
            self.status, self.status_version = status, version_of(answer)
            parsed = PeerStatus.model_validate(status)
            share_field_sets(parsed)
            self.peer = self.peer.model_copy(update={"status": parsed})

    def news(self, before: dict[str, Any], after: dict[str, Any]) -> list[News]:
        """What is worth an Event about the difference of two statuses."""
        return events.of_peer(PeerStatus.model_validate(before), PeerStatus.model_validate(after))


@dataclass(slots=True)
class ServerRecord:
    """One WireGuardServer."""

    server: WireGuardServer
    status: dict[str, Any]
    version: int
    """Resource version as the watch last told it."""
    facts: ServerFacts = field(default_factory=ServerFacts)
    status_version: int = 0
    """Resource version of our own last write."""
    is_former: bool = False
    kind: ResourceType = SERVERS

    @property
    def object(self) -> WireGuardServer:
        """The object as it was last seen."""
        return self.server

    @property
    def key(self) -> Key:
        """Where the object is."""
        return self.server.key

    @property
    def uid(self) -> str:
        """Which object of that name."""
        return self.server.metadata.uid

    @property
    def is_cut(self) -> bool:
        """A server is none."""
        return False

    def compose(self, now: datetime) -> dict[str, Any] | None:
        """The status that should stand there."""
        return server_status.compose(self.server, self.facts, now).to_wire()

    def wrote(self, answer: Object) -> None:
        """Take the status that the API server answered to a write, unless the watch was quicker.

        The specification in the answer may be one that the watch has not told of yet: that is left to the watch.
        """
        if version_of(answer) > max(self.version, self.status_version):
            self.status, self.status_version = answer.get("status", {}), version_of(answer)
            self.server = self.server.model_copy(update={"status": ServerStatus.model_validate(self.status)})

    def news(self, before: dict[str, Any], after: dict[str, Any]) -> list[News]:
        """What is worth an Event about the difference of two statuses."""
        return events.of_server(ServerStatus.model_validate(before), ServerStatus.model_validate(after))
