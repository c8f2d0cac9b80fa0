"""Where billing systems report: ``POST /webhooks/{tenant}/{sender}``.

The signature is the authentication; there is no caller and no token. A sender that gets an answer below 500 has been
heard and need not come again, so nobody known by that name, and an event that says nothing about tunnels, are answered
with 200 and the reason. When the API server is away, or one of the peers could not be written, the answer is 503 and
the sender tries again: what was done is found done.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Request, Response
from pydantic import BaseModel

from ...api.base import format_time
from ..auth.authorize import address_of, public
from ..context import Context
from ..errors import Detail, Refusal, too_many
from ..memory import Memory
from . import decide, events, subjects
from .events import BillingEvent, Sender
from .locks import Locks, Result
from .signature import verify
from .tenant_secret import TenantSecret, TenantSecrets

LIMIT = 64 * 1024
"""Bytes of a body."""
REMEMBERED = 10_000
"""Events whose answers are kept, so that an event that comes again costs no look at the API server. That it does no
harm either follows from ``decide``, not from this."""
REFUSED = "the signature is wrong, or the tenant takes no webhooks"

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Detail, "description": "The body is no event, or one of another time."},
    401: {"model": Detail, "description": "The signature is wrong, or the tenant takes no webhooks."},
    403: {"model": Detail, "description": "The event is of another tenant of the sender."},
    413: {"description": "The body is too long."},
    422: {"model": Detail, "description": "The path names no sender or no namespace."},
    429: {"model": Detail, "description": "Too many wrong signatures."},
    503: {"model": Detail, "description": "The API server does not answer; send the event again."},
}

Tenant = Annotated[
    str, Path(description="The tenant, a namespace.", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)
]


class PeerResult(BaseModel):
    """What became of one peer."""

    name: str
    result: str
    """suspended, resumed, unchanged, outdated (a newer event was there before), full (16 suspensions already), gone,
    refused (by the API server) or failed."""
    detail: str = ""


class Receipt(BaseModel):
    """What became of an event."""

    event_id: str
    event_type: str
    result: Literal["done", "ignored", "unknown-subscriber", "duplicate"]
    detail: str
    reason: str | None = None
    """The suspension that it is about."""
    peers: list[PeerResult] = []


class Webhooks:
    """Takes events in."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secrets = TenantSecrets(context.client)
        self._locks = Locks(context.client)
        self._receipts: Memory[Receipt] = Memory(decide.OLDEST.total_seconds(), REMEMBERED)

    async def receive(self, tenant: str, sender: Sender, body: bytes, signature: str, address: str) -> Receipt:
        """The receipt of a signed event. Raises Refusal and KubeError."""
        event = await self._authentic(tenant, sender, body, signature, address)
        remembered = (tenant, sender, event.id, event.at)
        known = self._receipts.get(remembered)
        if known is not None:
            return known.model_copy(update={"result": "duplicate", "detail": "was taken before: " + known.detail})
        receipt = await self._carry_out(tenant, event)
        if receipt.result != "unknown-subscriber":
            # Who is unknown today may have a peer when the event is sent again.
            self._receipts.put(remembered, receipt)
        return receipt

    async def _authentic(self, tenant: str, sender: Sender, body: bytes, signature: str, address: str) -> BillingEvent:
        """The event, if it is the tenant's billing system that speaks, and of what is now."""
        served = self._context.settings.watch_namespaces
        shared = await self._secrets.of(tenant) if not served or tenant in served else TenantSecret()
        if not verify(shared.secrets, body, signature):
            self._context.anonymous.take(address)
            raise Refusal(401, REFUSED, {"WWW-Authenticate": "Signature"})
        try:
            event = events.read(sender, body)
        except events.MalformedEvent as error:
            raise Refusal(400, str(error)) from None
        if why := decide.is_timely(event.at, self._context.clock()):
            raise Refusal(400, why)
        if shared.tenant_id is not None and event.tenant_id not in (None, shared.tenant_id):
            raise Refusal(403, f"the event is of tenant_id {event.tenant_id}, which is not the one of this tenant")
        return event

    async def _carry_out(self, tenant: str, event: BillingEvent) -> Receipt:
        receipt = Receipt(event_id=event.id, event_type=event.type, result="ignored", detail="")
        if event.order is None:
            receipt.detail = f"an event {event.type} says nothing about tunnels, nor does its metadata.wireguard"
            return receipt
        receipt.reason = event.order.reason
        if not str(event.subject):
            receipt.detail = "the event names no subscription_id, subscriber_id, account_id or customer_id"
            return receipt
        if not self._context.cache.complete:
            raise Refusal(503, "the gateway does not know all peers yet; send the event again", {"Retry-After": "10"})
        peers = subjects.find(self._context.cache, tenant, event.subject)
        if not peers:
            receipt.result = "unknown-subscriber"
            receipt.detail = f"no peer of tenant {tenant} is known by {event.subject}"
            return receipt
        results = await self._locks.carry_out(peers, event.order, event.at, f"billing:{event.sender}")
        self._tell(tenant, event, results)
        if any(result.failed for result in results):
            raise Refusal(503, "not all peers could be written; send the event again", {"Retry-After": "10"})
        receipt.result = "done"
        receipt.detail = f"{'suspend' if event.order.suspend else 'resume'} as of {format_time(event.at)}"
        receipt.peers = [PeerResult(name=r.peer.name, result=r.outcome, detail=r.message) for r in results]
        return receipt

    def _tell(self, tenant: str, event: BillingEvent, results: list[Result]) -> None:
        assert event.order is not None  # noqa: S101 - or there would be no results
        for result in results:
            self._context.audit.record(
                user=f"billing:{event.sender}",
                tenant=tenant,
                verb="create" if event.order.suspend else "delete",
                resource="wireguardpeers/suspend",
                name=result.peer.name,
                outcome=result.outcome,
                event=event.id,
                reason=event.order.reason,
            )


def router(context: Context) -> APIRouter:
    """The endpoint and the probe that some senders make first."""
    routes = APIRouter(prefix="/webhooks", tags=["billing"])
    webhooks = Webhooks(context)

    @routes.post(
        "/{tenant}/{sender}",
        max_body_size=LIMIT,
        summary="Take an event of a billing system",
        responses=REFUSALS,
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
        },
    )
    @public("the signature over the body is the authentication")
    async def receive(
        request: Request,
        tenant: Tenant,
        sender: Sender,
        x_webhook_signature: Annotated[str, Header(description="Hexadecimal HMAC-SHA256 of the body.")] = "",
        x_dotmac_signature_256: Annotated[str, Header(description="The same, after sha256=.")] = "",
    ) -> Receipt:
        address = address_of(request)
        if not context.anonymous.left(address):
            context.metrics.limited()
            raise too_many(1.0)
        body, signature = await request.body(), x_dotmac_signature_256 or x_webhook_signature
        return await webhooks.receive(tenant, sender, body, signature, address)

    @routes.head("/{tenant}/{sender}", status_code=204, summary="Answer a sender that looks whether anybody is here")
    @public("tells nothing: the answer is the same for every tenant")
    async def probe(tenant: Tenant, sender: Sender) -> Response:
        return Response(status_code=204)

    return routes
