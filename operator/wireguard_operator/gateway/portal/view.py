"""What subscribers are told about their tunnel, in their own terms: their download is what the server sends.

Nothing of the provider's is in it that they could not see on their device: no other peer, no message that the staff
wrote for itself, no name of an object but the tunnel's own.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from ...api.base import Time
from ...api.peer import PeerPhase, SuspensionMode, WireGuardPeer
from ...domain import qr
from ...domain.lifecycle import holds
from .usage import Usage


class State(StrEnum):
    """One word about the tunnel; the page has a sentence for each."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNUSED = "unused"
    PREPARING = "preparing"
    SUSPENDED = "suspended"
    DISABLED = "disabled"
    EXPIRED = "expired"
    FAILED = "failed"


_STATES = {
    PeerPhase.PENDING: State.PREPARING,
    PeerPhase.DISABLED: State.DISABLED,
    PeerPhase.SUSPENDED: State.SUSPENDED,
    PeerPhase.EXPIRED: State.EXPIRED,
    PeerPhase.FAILED: State.FAILED,
}


class Lock(BaseModel):
    """A suspension that is in force."""

    reason: str
    mode: SuspensionMode
    until: Time | None = None


class Place(BaseModel):
    """Where the server stands, as far as the provider says."""

    name: str | None = None
    city: str | None = None
    country: str | None = None


class Status(BaseModel):
    """The tunnel as its subscriber sees it."""

    name: str
    state: State
    suspensions: list[Lock] = []
    addresses: list[str] = []
    place: Place | None = None
    last_handshake: Time | None = None
    download_bytes: int = 0
    upload_bytes: int = 0
    since: Time | None = None
    """When the totals began."""
    expires_at: Time | None = None
    config_revision: str | None = None
    """Changes when the configuration must be imported again."""
    measured_at: Time | None = None
    """When the totals were read from the device."""
    usage: Usage


class Configuration(BaseModel):
    """What a device needs, given out once."""

    name: str
    config: str
    """The text of wg0.conf."""
    has_private_key: bool
    """False for a device that made its key itself: then the file has a comment in its place, and there is no code."""
    qr: list[str] | None = None
    """Rows of the QR code, 1 for a dark module; absent without a private key or when the text is too long for one."""
    status_ticket: str | None = None
    status_token: str | None = None
    """A ticket for the status of the next hour, so that the page can tell when the device connects."""


def status_of(peer: WireGuardPeer, location: dict[str, Any] | None, usage: Usage, now: datetime) -> Status:
    """The status of a peer; ``location`` is that of its server."""
    status, traffic = peer.status, peer.status.traffic
    return Status(
        name=peer.metadata.name,
        state=state_of(peer),
        suspensions=[
            Lock(reason=lock.reason, mode=lock.mode, until=lock.until)
            for lock in peer.spec.suspensions
            if holds(lock, now)
        ],
        addresses=list(status.addresses),
        place=Place.model_validate(location) if location else None,
        last_handshake=status.last_handshake_time,
        download_bytes=traffic.tx_bytes if traffic else 0,
        upload_bytes=traffic.rx_bytes if traffic else 0,
        since=traffic.since if traffic else None,
        expires_at=peer.spec.expires_at,
        config_revision=status.config_revision,
        measured_at=status.last_stats_time,
        usage=usage,
    )


def state_of(peer: WireGuardPeer) -> State:
    """The word for a peer."""
    phase, status = peer.status.phase, peer.status
    if phase in (PeerPhase.ACTIVE, PeerPhase.INACTIVE):
        if status.online:
            return State.ONLINE
        return State.OFFLINE if status.last_handshake_time is not None else State.UNUSED
    return _STATES[phase] if phase is not None else State.PREPARING


def configuration_of(name: str, config: str, has_private_key: bool) -> Configuration:
    """The answer that holds a peer's configuration."""
    rows = None
    if has_private_key:
        try:
            rows = list(qr.modules(config))
        except qr.ConfigTooLong:
            rows = None
    return Configuration(name=name, config=config, has_private_key=has_private_key, qr=rows)
