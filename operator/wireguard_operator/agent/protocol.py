"""What controller and agent say to each other: JSON over HTTPS with certificates on both sides.

========  ==================  ==========================================================================
GET       ``/v1/status``      ``AgentStatus``
PUT       ``/v1/state``       one part of a ``Snapshot`` as ``agent.parts`` cuts it → ``PartReply``; with the
                              last part that was missing the device is made so, whatever it was
POST      ``/v1/delta``       ``DeltaRequest`` → ``Ack``; 409 with ``AgentStatus`` when ``base`` is not
                              what the agent holds: the controller then sends a snapshot
GET       ``/v1/counters``    ``?cursor=`` → ``CountersPage`` with the peers that changed since; with
                              ``&more=true`` the next page, without another look at the device
GET       ``/v1/endpoints``   ``?cursor=`` → ``Endpoints`` with the peers whose session or place changed since
PUT       ``/v1/endpoints``   ``Endpoints`` of another agent's device → ``Standing``; who was seen there and has no
                              session here is made to shake hands
GET       ``/v1/role``        ``Standing``, at once whatever else is under way
PUT       ``/v1/role``        ``RoleOrder`` → ``Standing``; 409 with ``Standing`` when a later order came first
PUT       ``/v1/pause``       ``Pause`` → ``Standing``; 409 as above
========  ==================  ==========================================================================

Bodies may be compressed (``Content-Encoding: gzip``); answers are where the client accepts it.

An error is ``{"message": …}`` with status 400 (not understood), 403 (not the controller) or 500. One peer that
the device refuses is reported in ``Ack.errors``; the others are applied all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import TypeAdapter

from ..domain.device import DesiredState, DevicePeer, Interface

STATUS_PATH = "/v1/status"
STATE_PATH = "/v1/state"
DELTA_PATH = "/v1/delta"
COUNTERS_PATH = "/v1/counters"
ENDPOINTS_PATH = "/v1/endpoints"
ROLE_PATH = "/v1/role"
PAUSE_PATH = "/v1/pause"

PAGE_PEERS = 2000
"""Peers in one page of counters: some 300 kB, read in a few milliseconds."""

CONTROLLER_NAME = "controller.wireguard.dotmac.io"
"""DNS name in the controller's client certificate; agents obey nobody else."""

_AGENTS = ".agent.wireguard.dotmac.io"


def agent_name(namespace: str, server: str) -> str:
    """DNS name in an agent's certificate. An identity, not an address: hosts may move without a new certificate."""
    return f"{server}.{namespace}{_AGENTS}"


def server_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of the server whose agent ``name`` is the DNS name of; None when it is nobody's."""
    # A namespace is one label, a server's name may be several.
    server, _, namespace = name.removesuffix(_AGENTS).rpartition(".")
    return (namespace, server) if name.endswith(_AGENTS) and server and namespace else None


@dataclass(frozen=True, slots=True)
class Applied:
    """The desired state that an agent holds."""

    revision: int
    digest: str


@dataclass(frozen=True, slots=True)
class Partial:
    """Parts of a snapshot that an agent has received; the others are still to come."""

    content: str
    """As the parts name it."""
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """Who the agent is and what it holds; ``applied`` is None before the first snapshot."""

    version: str
    implementation: str
    device: str
    """Identifies one life of the device: counters start from zero in the next."""
    applied: Applied | None
    errors: dict[str, str] = field(default_factory=dict)
    """As in ``Ack``: a controller that finds its state applied already needs to know them, too."""
    warnings: tuple[str, ...] = ()
    """What keeps the host from serving all that one would expect, one sentence each."""
    partial: Partial | None = None
    """The snapshot that is being received."""
    pending: tuple[str, ...] = ()
    """As in ``Ack``."""
    final: tuple[PeerCounters, ...] = ()
    """As in ``Ack``, of peers that were removed after its answer, or whose answer may have been lost."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole desired state."""

    revision: int
    interface: Interface
    peers: tuple[DevicePeer, ...]

    @classmethod
    def of(cls, revision: int, state: DesiredState) -> Snapshot:
        """A state as it is now; later changes of it do not matter."""
        return cls(revision, state.interface, tuple(state.peers.values()))


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """A change of the state that ``base`` names."""

    base: Applied
    revision: int
    interface: Interface | None = None
    upsert: tuple[DevicePeer, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerCounters:
    """One peer's counters as the device has them."""

    public_key: str
    rx_bytes: int
    tx_bytes: int
    last_handshake: int = 0
    """Unix seconds; 0 is never."""
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """The desired state is on disk and on the device, but for the peers in ``errors``."""

    applied: Applied
    device: str
    errors: dict[str, str] = field(default_factory=dict)
    """Public key → why the device refused it."""
    final: tuple[PeerCounters, ...] = ()
    """Last counters of the peers that this call removed."""
    pending: tuple[str, ...] = ()
    """Public keys of whom the last word is not said: a change, or a removal, that takes longer than this call."""


@dataclass(frozen=True, slots=True)
class PartReply:
    """A part has arrived; ``ack`` is there when it was the last one."""

    missing: tuple[int, ...]
    ack: Ack | None = None


@dataclass(frozen=True, slots=True)
class CountersPage:
    """Peers whose counters changed after ``cursor``, at most ``PAGE_PEERS``; pass the new cursor next time."""

    device: str
    cursor: str
    peers: tuple[PeerCounters, ...]
    now: float = 0.0
    """The agent's clock, Unix seconds: the age of a handshake is told by the clock that saw it."""
    more: bool = False
    """There is a next page already."""


class Role(StrEnum):
    """What an agent of a server with several pods is."""

    ACTIVE = "active"
    """Serves the subscribers."""
    STANDBY = "standby"
    """Has everything on its device and answers nobody."""


@dataclass(frozen=True, slots=True)
class RoleOrder:
    """What the agent is from now on. ``term`` grows with each change of the active agent and never shrinks."""

    term: int
    role: Role


@dataclass(frozen=True, slots=True)
class Pause:
    """Say nothing until the next order, or for some seconds if none comes: another agent is about to serve."""

    term: int
    """In which it will."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an agent stands; asked for twice a second, so it costs nothing."""

    term: int
    """Of the last order; 0 before the first."""
    role: Role | None
    """None for an agent that is told of no roles, as on a host."""
    serves: bool
    """Whether subscribers are answered. An active agent that starts, stood still or was asked for silence waits to be
    told before it does."""
    applied: Applied | None
    """As in ``AgentStatus``."""
    stopping: bool = False
    """The agent was told to end, and serves on until another one does."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a peer was, and by which sessions it can be recognised."""

    endpoint: str
    last_handshake: int
    """Unix seconds."""
    sessions: tuple[int, ...] = ()
    """Indexes that the peer's data packets carry; they change with each handshake."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Peers that have a session, by public key."""

    seen: dict[str, Seen]
    cursor: str = ""
    """To be passed next time; only in answers."""


T = TypeVar("T")
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def encode(message: object) -> bytes:
    """A message as JSON."""
    return _adapter(type(message)).dump_json(message)


def decode(kind: type[T], data: bytes) -> T:
    """JSON as a message. Raises ``pydantic.ValidationError``, a ValueError that may quote the input: do not log it."""
    return _adapter(kind).validate_json(data)
