"""/servers/{id}/health and /status, and /stats/sync: what is known of a server at this moment.

The operator reads counters all the time and notices by itself when a server fails, so no device is asked here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from ..cache.records import ServerRecord
from ..context import Context
from .answers import respond, stamp
from .answers_of_actions import Health, ServerStatistics, StatsAnswer, refusals
from .lookup import find_server
from .peer_requests import StatsSync
from .server_answers import server_answer
from .server_requests import ServerStatus
from .servers import Reader
from .statuses import server_status

_TRUE_IS_BAD = ("Degraded", "Stalled")
_WORD = {
    ServerStatus.ACTIVE: "healthy",
    ServerStatus.DEGRADED: "degraded",
    ServerStatus.INACTIVE: "unhealthy",
    ServerStatus.MAINTENANCE: "maintenance",
}


def router(context: Context) -> APIRouter:
    """Health and counts."""
    routes = APIRouter(tags=["servers"])

    @routes.get(
        "/servers/{server_id}/health", response_model=Health, responses=refusals(404), summary="Health of a server"
    )
    async def health(caller: Reader, server_id: UUID) -> Response:
        """Whether the server does what it should, and what is wrong."""
        return respond(health_of(find_server(context, caller, server_id), context.clock()))

    @routes.get(
        "/servers/{server_id}/status",
        response_model=ServerStatistics,
        responses=refusals(404),
        summary="Counts of a server",
    )
    async def status(caller: Reader, server_id: UUID) -> Response:
        """Peers and traffic."""
        server = find_server(context, caller, server_id)
        return respond(
            {
                "server_id": server.id,
                "server_name": server.title,
                "is_active": server_status(server) is ServerStatus.ACTIVE,
                "total_peers": server.peers,
                "active_peers": server.active,
                "connected_peers": server.online,
                "total_rx_bytes": server.rx_bytes,
                "total_tx_bytes": server.tx_bytes,
            }
        )

    @routes.post(
        "/stats/sync", response_model=StatsAnswer, responses=refusals(404), summary="How fresh the counters are"
    )
    async def sync(caller: Reader, request: StatsSync) -> Response:
        """Counters are read continuously; this tells of how many peers there are some, and when they were read."""
        server = find_server(context, caller, request.server_id)
        peers = context.cache.peers.having(caller.namespace, "server", str(server.key))
        known = sum(peer.stats_at is not None for peer in peers)
        return respond(
            {
                "server_id": server.id,
                "peers_updated": known,
                "timestamp": server.stats_at or stamp(context.clock()),
            }
        )

    return routes


def health_of(server: ServerRecord, now: datetime) -> dict[str, Any]:
    """The fields of Health."""
    status, answer = server_status(server), server_answer(server)
    issues = [
        f"{reason}: {message}" if message else reason
        for type_, value, reason, message in server.conditions
        if (value == "True") == (type_ in _TRUE_IS_BAD) and type_ not in ("Reconciling", "Available")
    ]
    issues = list(dict.fromkeys(issues))
    healthy = status in (ServerStatus.ACTIVE, ServerStatus.MAINTENANCE) and server.ready
    return {
        "server_id": server.id,
        "server_name": server.title,
        "status": _WORD[status] if healthy or status is not ServerStatus.ACTIVE else "degraded",
        "healthy": healthy,
        "interface_status": "up" if server.ready else "down",
        "total_peers": server.peers,
        "active_peers": server.active,
        "online_peers": server.online,
        "capacity_used_percent": answer["utilization_percent"],
        "capacity_utilization": answer["utilization_percent"],
        "has_capacity": answer["has_capacity"],
        "wireguard": {
            "interface_up": server.ready,
            "public_key": server.public_key,
            "listen_port": server.listen_port,
            "networks": list(server.networks),
        },
        "issues": issues,
        "error": issues[0] if issues else None,
        "timestamp": stamp(now),
    }
