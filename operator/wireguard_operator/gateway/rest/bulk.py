"""/peers/bulk: up to a hundred peers in a call. Each is a call of its own: one that fails keeps no other one back."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from ...kube.errors import KubeError
from ..auth.caller import Caller
from ..cache.identity import new_id
from ..context import Context
from ..errors import UNAVAILABLE, Refusal, sentence_of
from .answers import respond, stamp
from .answers_of_actions import BulkAnswer, refusals
from .creation import Made, create, settle
from .lookup import find_server
from .peer_answers import peer_answer
from .peer_requests import BulkCreate, PeerCreate
from .peers import Creator

AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class _Failed:
    name: str | None
    status: int
    error: str


def router(context: Context) -> APIRouter:
    """Many peers at once."""
    routes = APIRouter(tags=["peers"])

    @routes.post(
        "/peers/bulk", status_code=201, response_model=BulkAnswer, responses=refusals(), summary="Create many peers"
    )
    async def create_many(caller: Creator, request: BulkCreate) -> Response:
        """Make up to a hundred peers. 201 whatever becomes of them; each that fails is told with its row."""
        rows = request.rows()
        gate = asyncio.Semaphore(AT_ONCE)
        deadline = time.monotonic() + context.settings.create_wait

        async def one(row: dict[str, Any]) -> Made | _Failed:
            async with gate:
                return await _one(context, caller, row, deadline)

        results = await asyncio.gather(*(one(row) for row in rows))
        now = stamp(context.clock())
        made = [result.peer for result in results if isinstance(result, Made)]
        errors = [
            {"index": index, "peer_name": result.name, "status": result.status, "error": result.error}
            for index, result in enumerate(results)
            if isinstance(result, _Failed)
        ]
        return respond(
            {
                "created": len(made),
                "failed": len(errors),
                "peers": [peer_answer(peer, context.cache, now) for peer in made],
                "errors": errors,
            },
            201,
        )

    return routes


async def _one(context: Context, caller: Caller, row: dict[str, Any], deadline: float) -> Made | _Failed:
    name = row.get("name") or row.get("peer_name")
    shown = str(name)[:255] if name is not None else None
    try:
        request = PeerCreate.model_validate(row)
        server = find_server(context, caller, request.server_id)
        body = request.full_body(caller.namespace, new_id(), caller.username, {"serverRef": {"name": server.key.name}})
        peer = await create(context, caller, body)
        return await settle(context, caller, peer, max(0.0, deadline - time.monotonic()))
    except ValidationError as error:
        return _Failed(shown, 422, "; ".join(sentence_of(dict(entry)) for entry in error.errors()))
    except Refusal as error:
        return _Failed(shown, error.status_code, error.detail)
    except KubeError:
        return _Failed(shown, 503, UNAVAILABLE)
