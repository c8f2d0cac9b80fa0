"""/dashboard: all of a tenant in a few figures, from the cache."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..context import Context
from .answers import respond, stamp
from .answers_of_actions import Dashboard, refusals
from .lookup import require
from .peer_requests import PeerStatus
from .server_requests import ServerStatus
from .statuses import peer_status, server_status

Viewer = Annotated[Caller, Depends(authorize("list", "wireguardpeers"))]


def router(context: Context) -> APIRouter:
    """The dashboard."""
    routes = APIRouter(tags=["dashboard"])

    @routes.get("/dashboard", response_model=Dashboard, responses=refusals(), summary="All in a few figures")
    async def dashboard(caller: Viewer) -> Response:
        """Servers and peers by status, who is online, and the traffic."""
        await require(context, caller, "list", "wireguardservers")
        now = stamp(context.clock())
        servers = Counter(server_status(server) for server in context.cache.servers.of(caller.namespace))
        peers: Counter[PeerStatus] = Counter()
        online = received = sent = 0
        for peer in context.cache.peers.of(caller.namespace):
            peers[peer_status(peer, now)] += 1
            online += peer.online
            received += peer.rx_bytes
            sent += peer.tx_bytes
        return respond(
            {
                "servers": _counts(servers, ServerStatus),
                "peers": _counts(peers, PeerStatus) | {"online": online, "offline": peers.total() - online},
                "traffic": {
                    "total_rx_bytes": received,
                    "total_tx_bytes": sent,
                    "total_bytes": received + sent,
                },
                "timestamp": now,
            }
        )

    return routes


def _counts(found: Counter[Any], kinds: type[PeerStatus] | type[ServerStatus]) -> dict[str, object]:
    by_status = {kind.value: found[kind] for kind in kinds}
    return {"total": found.total(), "by_status": by_status, **by_status}
