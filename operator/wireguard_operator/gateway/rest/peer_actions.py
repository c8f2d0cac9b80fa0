"""What is done to a peer with one word: enable, disable, suspend, resume, regenerate."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.responses import Response

from ...api.base import format_time
from ..audit import LAST_CHANGED_BY
from ..auth.authorize import authorize
from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from .answers import respond, stamp
from .answers_of_actions import refusals
from .lookup import find_peer
from .peer_answers import PeerAnswer, peer_answer
from .peer_changes import change, change_locks, with_lock, without_lock
from .peer_requests import ResumeRequest, SuspendRequest
from .peers import Changer

Suspender = Annotated[Caller, Depends(authorize("create", "wireguardpeers", "suspend"))]


def router(context: Context) -> APIRouter:
    """Actions on peers."""
    routes = APIRouter(prefix="/peers/{peer_id}", tags=["peers"])

    def answered(peer: PeerRecord, status: int = 200) -> Response:
        return respond(peer_answer(peer, context.cache, stamp(context.clock())), status)

    async def switch(caller: Caller, peer_id: UUID, enabled: bool) -> Response:
        peer = await find_peer(context, caller, peer_id)
        if peer.enabled != enabled:
            patch = {"metadata": {"annotations": {LAST_CHANGED_BY: caller.username}}, "spec": {"enabled": enabled}}
            peer = await change(context, caller, peer, patch)
        return answered(peer)

    @routes.post("/enable", response_model=PeerAnswer, responses=refusals(404), summary="Put a peer on the device")
    async def enable(caller: Changer, peer_id: UUID) -> Response:
        """The peer is wanted. Locks and its end stay as they are."""
        return await switch(caller, peer_id, True)

    @routes.post("/disable", response_model=PeerAnswer, responses=refusals(404), summary="Take a peer off the device")
    async def disable(caller: Changer, peer_id: UUID) -> Response:
        """The peer is not wanted. Its addresses and keys are kept."""
        return await switch(caller, peer_id, False)

    @routes.post("/suspend", response_model=PeerAnswer, responses=refusals(404, 409), summary="Suspend a peer")
    async def suspend(caller: Suspender, peer_id: UUID, request: SuspendRequest | None = None) -> Response:
        """Set a lock with a reason. The same call again changes nothing."""
        wanted = request or SuspendRequest()
        peer = await find_peer(context, caller, peer_id)
        lock: dict[str, str] = {"reason": wanted.reason, "mode": wanted.mode.value, "by": caller.username[:253]}
        if wanted.until is not None:
            lock["until"] = format_time(wanted.until)
        if wanted.message:
            lock["message"] = wanted.message
        done = await change_locks(context, caller, peer, with_lock(lock), action="suspend", reason=wanted.reason)
        return answered(done)

    @routes.post("/resume", response_model=PeerAnswer, responses=refusals(404, 409), summary="Lift a suspension")
    async def resume(caller: Suspender, peer_id: UUID, request: ResumeRequest | None = None) -> Response:
        """Lift the lock of that reason, and no other. The same call again changes nothing."""
        wanted = request or ResumeRequest()
        peer = await find_peer(context, caller, peer_id)
        done = await change_locks(
            context, caller, peer, without_lock(wanted.reason), action="resume", reason=wanted.reason
        )
        return answered(done)

    @routes.post(
        "/regenerate",
        response_model=PeerAnswer,
        responses=refusals(404, 409, ok={202: {"model": PeerAnswer, "description": "The new keys are not there yet."}}),
        summary="Replace a peer's keys",
    )
    async def regenerate(caller: Changer, peer_id: UUID) -> Response:
        """Have new keys made; addresses stay. The former work until the client uses the new ones, a day at most."""
        peer = await find_peer(context, caller, peer_id)
        if peer.device_key:
            raise Refusal(
                409,
                "the device keeps the private key of this peer: have it make another one and register its public key",
            )
        # A repeated call does not ask for a third pair while the second is being made.
        wanted = peer.keys_of + 1
        if peer.key_generation < wanted:
            patch = {"metadata": {"annotations": {LAST_CHANGED_BY: caller.username}}, "spec": {"keyGeneration": wanted}}
            peer = await change(context, caller, peer, patch)
        found = await context.cache.peers.until(
            peer.key, lambda now: now is None or now.keys_of >= wanted, context.settings.create_wait
        )
        return answered(found or peer, 200 if found is not None and found.keys_of >= wanted else 202)

    return routes
