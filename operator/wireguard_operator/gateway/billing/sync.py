"""``PUT /sync/suspensions``: the billing system says once a night who is suspended, since webhooks get lost.

The peers are read from the API server, not from the cache, and each is judged as a webhook would be; so a payment that
came after the list was made is not undone by it. Applying the same list a second time changes nothing.

The body may be long, so the route reads it itself after the caller was let in; the framework would do it before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ...api.base import Key
from ...api.peer import SuspensionMode
from ...kube.client import walk
from ...kube.resources import PEERS
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..context import Context
from ..errors import Refusal
from ..rest.answers_of_actions import refusals
from . import difference
from .decide import is_timely
from .difference import Declaration, Difference, Step
from .events import NON_PAYMENT, Order
from .locks import Locks, Result

MOST = 200_000
"""Names in one list."""
LIMIT = 16 * 1024 * 1024
"""Bytes of a body."""
Name = Annotated[str, Field(min_length=1, max_length=128)]


class Guard(BaseModel):
    """Against lists that are not whole."""

    model_config = ConfigDict(extra="forbid")

    max_percent: float = Field(default=10, ge=0, le=100, description="How many of the peers may change at once.")
    force: bool = Field(default=False, description="Apply a larger difference all the same.")


class Suspensions(BaseModel):
    """All who are to be suspended for one reason, and no one else."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"reason": "non-payment", "subscribers": ["sub-1001"], "mode": "dry-run"}],
        },
    )

    reason: str = Field(default=NON_PAYMENT, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)
    subscribers: list[Name] = Field(default=[], max_length=MOST, description="By spec.subscriber.subscriberId.")
    customers: list[Name] = Field(default=[], max_length=MOST, description="By spec.subscriber.customerId.")
    suspension_mode: SuspensionMode = Field(
        default=SuspensionMode.CUT, description="What becomes of the tunnels of those who are suspended."
    )
    mode: Literal["dry-run", "apply"] = Field(default="dry-run", description="Only tell, or do it.")
    as_of: AwareDatetime | None = Field(
        default=None, description="When the list was made; newer events of a peer stand. Default now."
    )
    guard: Guard = Guard()

    @model_validator(mode="after")
    def _names_somebody(self) -> Suspensions:
        if not {"subscribers", "customers"} & self.model_fields_set:
            raise ValueError("subscribers or customers must be given; that nobody is suspended is an empty list")
        return self


class Row(BaseModel):
    """One peer that is not, or was not, as declared."""

    peer: str
    action: Literal["suspend", "resume"]
    result: str = Field(description="planned, or what came of it, as for webhooks.")
    detail: str = ""


class SyncReport(BaseModel):
    """What a list changes."""

    mode: Literal["dry-run", "apply"]
    reason: str
    peers: int = Field(description="Peers that have a subscriber.")
    suspend: int
    resume: int
    failed: int
    percent: float = Field(description="Of the peers, those that change.")
    refused: str | None = Field(description="Why the guard would not apply it; of a dry run only.")
    rows: list[Row]
    unknown_subscribers: list[str]
    unknown_customers: list[str]


class Sync:
    """Compares and applies lists."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locks = Locks(context.client)

    async def put(self, wanted: Suspensions, caller: Caller) -> SyncReport:
        """The report of what is different, or was. Raises Refusal and KubeError."""
        now = self._context.clock()
        as_of = wanted.as_of or now
        if why := is_timely(as_of, now):
            raise Refusal(422, f"as_of: {why}".replace("the event is", "the list is"))
        declared = _declaration(wanted, as_of)
        found = Difference()
        async for peer in walk(self._context.client, PEERS, (caller.namespace,)):
            found.look_at(peer, declared, caller.username)
        refused = None if wanted.guard.force else difference.objection(found, wanted.guard.max_percent)
        if wanted.mode == "dry-run":
            return _report(wanted, declared, found, {}, refused)
        if refused is not None:
            raise Refusal(409, refused)
        results: dict[Key, Result] = {}
        for suspend in (False, True):
            # Those who have paid first.
            steps = found.changes(suspend)
            if steps:
                done = await self._locks.carry_out(
                    [step.peer for step in steps], steps[0].order, as_of, caller.username
                )
                results |= {result.peer: result for result in done}
        self._tell(wanted, found, results, caller)
        return _report(wanted, declared, found, results, None)

    def _tell(self, wanted: Suspensions, found: Difference, results: dict[Key, Result], caller: Caller) -> None:
        for key, result in results.items():
            self._context.audit.record(
                user=caller.username,
                tenant=caller.namespace,
                verb="create" if found.steps[key].order.suspend else "delete",
                resource="wireguardpeers/suspend",
                name=key.name,
                outcome=result.outcome,
                reason=wanted.reason,
            )


def _declaration(wanted: Suspensions, as_of: datetime) -> Declaration:
    order = Order(wanted.reason, suspend=True, mode=wanted.suspension_mode)
    return Declaration(order, frozenset(wanted.subscribers), frozenset(wanted.customers), as_of)


def _report(
    wanted: Suspensions, declared: Declaration, found: Difference, results: dict[Key, Result], refused: str | None
) -> SyncReport:
    unknown = found.unknown(declared)
    return SyncReport(
        mode=wanted.mode,
        reason=wanted.reason,
        peers=len(found.seen),
        suspend=len(found.changes(True)),
        resume=len(found.changes(False)),
        failed=sum(result.failed for result in results.values()),
        percent=round(found.percent(), 2),
        refused=refused,
        rows=[_row(found.steps[key], results.get(key)) for key in sorted(found.steps)],
        unknown_subscribers=unknown[0],
        unknown_customers=unknown[1],
    )


def _row(step: Step, result: Result | None) -> Row:
    told = "planned" if step.changes else str(step.outcome)
    return Row(
        peer=step.peer.name,
        action="suspend" if step.order.suspend else "resume",
        result=result.outcome if result is not None else told,
        detail=result.message if result is not None else "",
    )


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON schema without references, to stand anywhere in the OpenAPI document."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    given = {name: _inlined(value, definitions) for name, value in schema.items() if name not in ("$ref", "$defs")}
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions) | given
    return given


_SCHEMA = Suspensions.model_json_schema()
_BODY = {"required": True, "content": {"application/json": {"schema": _inlined(_SCHEMA, _SCHEMA.get("$defs", {}))}}}


def router(context: Context) -> APIRouter:
    """The endpoint."""
    routes = APIRouter(prefix="/sync", tags=["billing"])
    sync = Sync(context)

    @routes.put(
        "/suspensions",
        max_body_size=LIMIT,
        summary="Declare all who are suspended",
        responses=refusals(409, ok={413: {"description": "The list is too long."}}),
        openapi_extra={"requestBody": _BODY},
    )
    async def put_suspensions(
        request: Request, caller: Annotated[Caller, Depends(authorize("create", "wireguardpeers", "suspend"))]
    ) -> SyncReport:
        try:
            wanted = Suspensions.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_context=False)) from None
        return await sync.put(wanted, caller)

    return routes
