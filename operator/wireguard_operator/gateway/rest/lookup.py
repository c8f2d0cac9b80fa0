"""From an id to the object, within a tenant. What is another tenant's is answered as what is not there."""

from __future__ import annotations

from uuid import UUID

from ...kube.resources import PEERS
from ..auth.caller import Caller
from ..cache.records import PeerRecord, ServerRecord
from ..context import Context
from ..errors import Refusal


def find_server(context: Context, caller: Caller, id_: UUID) -> ServerRecord:
    """The server; 404 when the tenant has none of that id."""
    found = context.cache.servers.by_id(caller.namespace, str(id_))
    if found is None:
        raise Refusal(404, f"there is no server {id_}")
    return found


async def find_peer(context: Context, caller: Caller, id_: UUID) -> PeerRecord:
    """The peer; 404 when the tenant has none of that id."""
    found = context.cache.peers.by_id(caller.namespace, str(id_))
    if found is None:
        # Made a moment ago, perhaps, by another replica of the gateway.
        fields = f"spec.subscriber.externalId={id_}"
        async for body in context.client.list(PEERS, caller.namespace, fields=fields):
            context.cache.peers.take(body)
        found = context.cache.peers.by_id(caller.namespace, str(id_))
    if found is None:
        raise Refusal(404, f"there is no peer {id_}")
    return found


async def require(context: Context, caller: Caller, verb: str, resource: str, subresource: str = "") -> None:
    """403 unless RBAC lets the caller do this, too."""
    if not await may(context, caller, verb, resource, subresource):
        what = f"{resource}/{subresource}" if subresource else resource
        context.audit.record(
            user=caller.username, tenant=caller.namespace, verb=verb, resource=what, outcome="forbidden"
        )
        raise Refusal(403, f"{caller.username} may not {verb} {what} in tenant {caller.namespace}")


async def may(context: Context, caller: Caller, verb: str, resource: str, subresource: str = "") -> bool:
    """Whether RBAC lets the caller do this, too."""
    return await context.auth.permits(caller.identity, verb, resource, subresource, caller.namespace)
