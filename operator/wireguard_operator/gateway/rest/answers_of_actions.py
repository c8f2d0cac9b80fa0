"""What is answered by everything that is not a plain server or peer: models for the OpenAPI document."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ..errors import Detail
from .answers import Answer
from .peer_answers import PeerAnswer
from .server_answers import ServerAnswer


class ServerList(Answer):
    """A page of servers."""

    servers: list[ServerAnswer]
    """The oldest first."""
    total: int
    """How many there are."""
    limit: int
    """As asked."""
    offset: int
    """As asked."""


class PeerList(Answer):
    """A page of peers."""

    peers: list[PeerAnswer]
    """The oldest first."""
    total: int
    """How many there are."""
    limit: int
    """As asked."""
    offset: int
    """As asked."""


class Health(Answer):
    """Whether a server does what it should."""

    server_id: UUID
    """The server."""
    server_name: str
    """Its name."""
    status: str
    """healthy, degraded, unhealthy or maintenance."""
    healthy: bool
    """Whether all is as it should be."""
    interface_status: str
    """up or down, as its agent says."""
    total_peers: int
    """Peers that it has."""
    active_peers: int
    """Peers on its device."""
    online_peers: int
    """Peers that shook hands in the last 180 seconds."""
    capacity_used_percent: float
    """Peers as a share of the most that it takes."""
    capacity_utilization: float
    """The same."""
    has_capacity: bool
    """Whether there is room for another peer."""
    wireguard: dict[str, Any]
    """The device: interface, public key, port."""
    issues: list[str]
    """What is wrong, in sentences."""
    error: str | None
    """The first of them."""
    timestamp: datetime
    """When this was so."""


class ServerStatistics(Answer):
    """Counts of a server."""

    server_id: UUID
    """The server."""
    server_name: str
    """Its name."""
    is_active: bool
    """Whether it serves."""
    total_peers: int
    """Peers that it has."""
    active_peers: int
    """Peers on its device."""
    connected_peers: int
    """Peers that shook hands in the last 180 seconds."""
    total_rx_bytes: int
    """Received from its peers."""
    total_tx_bytes: int
    """Sent to its peers."""


class Configuration(Answer):
    """A peer's configuration."""

    peer_id: UUID
    """The peer."""
    peer_name: str
    """Its name."""
    server_name: str | None
    """Its server's name."""
    config_file: str
    """wg0.conf, with the private key."""
    config_content: str
    """The same."""
    filename: str
    """A name for the file."""
    revision: str | None
    """Changes when the client must import its configuration again."""
    created_at: datetime
    """When the peer was made."""


class QRCode(Answer):
    """A peer's configuration for a phone's camera."""

    peer_id: UUID
    """The peer."""
    peer_name: str
    """Its name."""
    qr_code: str
    """A PNG in base64."""
    created_at: datetime
    """When the peer was made."""


class BulkError(Answer):
    """Why a row did not become a peer."""

    index: int
    """Which row, from 0."""
    peer_name: str | None
    """Its name."""
    status: int
    """The HTTP status that it would have had alone."""
    error: str
    """A sentence."""


class BulkAnswer(Answer):
    """What became of many."""

    created: int
    """How many were made."""
    failed: int
    """How many were not."""
    peers: list[PeerAnswer]
    """Those that were made."""
    errors: list[BulkError]
    """One for each that was not."""


class Provisioned(Answer):
    """A service that was set up."""

    server: ServerAnswer | None
    """The server; null until one was chosen, or when it is another tenant's."""
    peer: PeerAnswer
    """The peer."""
    config_file: str | None
    """Its wg0.conf; null until it is made."""
    message: str
    """A sentence."""


class StatsAnswer(Answer):
    """How fresh the counters of a server are."""

    server_id: UUID
    """The server."""
    peers_updated: int
    """Peers whose counters are known."""
    timestamp: datetime
    """When the counters were last read."""


class Dashboard(Answer):
    """All of a tenant in a few figures."""

    servers: dict[str, Any]
    """total, by_status, and a count for each status."""
    peers: dict[str, Any]
    """total, by_status, online, offline, and a count for each status."""
    traffic: dict[str, Any]
    """total_rx_bytes, total_tx_bytes, total_bytes."""
    timestamp: datetime
    """When this was so."""


_WHY = {
    400: "The tenant is not named, or not by the name of a namespace.",
    401: "No token, or one that is not valid here.",
    403: "RBAC does not allow it in this tenant.",
    404: "The tenant has no such object.",
    409: "It collides with what is there.",
    422: "A field is wrong; the sentence names it.",
    429: "Too many requests.",
    503: "The API server does not answer, or there is no room.",
}


def refusals(*more: int, ok: dict[int | str, dict[str, Any]] | None = None) -> dict[int | str, dict[str, Any]]:
    """The answers other than the usual one, for the OpenAPI document: further successes, and every refusal."""
    codes = sorted({400, 401, 403, 422, 429, 503, *more})
    refused: dict[int | str, dict[str, Any]] = {code: {"model": Detail, "description": _WHY[code]} for code in codes}
    return (ok or {}) | refused
