"""The contract's word for what a peer or a server is.

What the specification asks for counts at once, before the operator has carried it out, so that who disabled a peer
reads that it is. A peer that is idle is active: whether it was heard of lately is ``is_online``.
"""

from __future__ import annotations

from ...api.peer import PeerPhase
from ...api.server import ServerPhase
from ..cache.records import PeerRecord, ServerRecord
from .peer_requests import PeerStatus
from .server_requests import ServerStatus

# As plain text: ten thousand peers are looked at for one answer.
_SERVED = frozenset((PeerPhase.ACTIVE.value, PeerPhase.INACTIVE.value))


def peer_status(peer: PeerRecord, now: str) -> PeerStatus:
    """The peer's status at a time in the form of the API."""
    if not peer.enabled:
        return PeerStatus.DISABLED
    if peer.expires_at is not None and peer.expires_at <= now:
        return PeerStatus.EXPIRED
    if peer.suspensions and any(lock.holds(now) for lock in peer.suspensions):
        return PeerStatus.SUSPENDED
    return PeerStatus.ACTIVE if peer.phase in _SERVED else PeerStatus.INACTIVE


def server_status(server: ServerRecord) -> ServerStatus:
    """The server's status."""
    if not server.enabled:
        return ServerStatus.INACTIVE
    if server.maintenance:
        return ServerStatus.MAINTENANCE
    # It was in maintenance until a moment ago.
    return ServerStatus.ACTIVE if server.phase == ServerPhase.MAINTENANCE else ServerStatus(server.phase.lower())
