"""What the controller remembers of each object between events: the object, the facts found, the status written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ..api.base import Key
from ..api.peer import ServerBinding, WireGuardPeer
from ..api.server import WireGuardServer
from ..domain import peer_status, server_status
from ..domain.peer_status import PeerFacts
from ..domain.server_status import ServerFacts
from ..kube.client import Object
from ..kube.resources import PEERS, SERVERS, ResourceType


class Record(Protocol):
    """An object whose status we write."""

    status: dict[str, Any]
    """As it stands on the API server, to the best of our knowledge."""
    version: int
    """Resource version of ``status``."""

    @property
    def kind(self) -> ResourceType:
        """The resource type."""
        ...

    @property
    def key(self) -> Key:
        """Where the object is."""
        ...

    @property
    def uid(self) -> str:
        """Which object of that name."""
        ...

    def compose(self, now: datetime) -> dict[str, Any] | None:
        """The status that should stand there; None while nothing is known yet."""
        ...

    def wrote(self, answer: Object) -> None:
        """Take what the API server answered to a write."""
        ...


def version_of(body: Object) -> int:
    """Resource versions of one resource type are ordered integers (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


@dataclass(slots=True)
class PeerRecord:
    """One WireGuardPeer."""

    peer: WireGuardPeer
    status: dict[str, Any]
    version: int
    facts: PeerFacts
    report_due: float = 0.0
    """Monotonic time from which byte counters may go into the status again."""
    kind: ResourceType = PEERS

    @property
    def key(self) -> Key:
        """Where the object is."""
        return self.peer.key

    @property
    def uid(self) -> str:
        """Which object of that name."""
        return self.peer.metadata.uid

    @property
    def server_key(self) -> Key:
        """The server that the peer asks for."""
        return Key(self.peer.metadata.namespace, self.peer.spec.server_ref.name)

    def compose(self, now: datetime) -> dict[str, Any] | None:
        """The status that should stand there."""
        if self.facts.verdict is None:
            return None
        server = self.server_key
        binding = ServerBinding(name=server.name, namespace=server.namespace) if self.facts.addresses else None
        return peer_status.compose(self.peer, self.facts, binding, now).to_wire()

    def wrote(self, answer: Object) -> None:
        """Take what the API server answered to a write."""
        self.peer = WireGuardPeer.model_validate(answer)
        self.status, self.version = answer.get("status", {}), version_of(answer)


@dataclass(slots=True)
class ServerRecord:
    """One WireGuardServer."""

    server: WireGuardServer
    status: dict[str, Any]
    version: int
    facts: ServerFacts = field(default_factory=ServerFacts)
    kind: ResourceType = SERVERS

    @property
    def key(self) -> Key:
        """Where the object is."""
        return self.server.key

    @property
    def uid(self) -> str:
        """Which object of that name."""
        return self.server.metadata.uid

    def compose(self, now: datetime) -> dict[str, Any] | None:
        """The status that should stand there."""
        return server_status.compose(self.server, self.facts, now).to_wire()

    def wrote(self, answer: Object) -> None:
        """Take what the API server answered to a write."""
        self.server = WireGuardServer.model_validate(answer)
        self.status, self.version = answer.get("status", {}), version_of(answer)
