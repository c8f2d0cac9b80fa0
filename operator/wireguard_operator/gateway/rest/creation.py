"""A peer is made and waited for: 201 when it is on the device, 202 when that takes longer, a refusal when it cannot be.

What the operator refuses for a reason that the caller can mend is taken back, so that the same call with another value
does not find its own remains. A gateway that dies before that leaves a peer whose status says why; it is found under
its name, and deleted like any other.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from ...api.base import Key
from ...api.reasons import Reason
from ...kube.client import Object
from ...kube.errors import AlreadyExists, Conflict, Invalid, KubeError, NotFound
from ...kube.resources import PEERS
from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from .sentences import in_words_of_the_contract

logger = logging.getLogger(__name__)
HOPELESS: dict[str, int] = {
    Reason.ADDRESS_TAKEN: 409,
    Reason.DUPLICATE_PUBLIC_KEY: 409,
    Reason.SECRET_CONFLICT: 409,
    Reason.ROUTE_CONFLICT: 409,
    Reason.ADDRESS_UNUSABLE: 422,
    Reason.KEY_INVALID: 422,
    Reason.SERVER_NOT_FOUND: 404,
    Reason.SERVER_FULL: 503,
    Reason.POOL_EXHAUSTED: 503,
    Reason.NO_SERVER_AVAILABLE: 503,
}
"""Reasons for which a new peer is taken back, and how that is answered."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it."""

    peer: PeerRecord
    complete: bool
    """Whether it is as asked; else the operator still works on it."""

    @property
    def status(self) -> int:
        """201 or 202."""
        return 201 if self.complete else 202


async def create(context: Context, caller: Caller, body: Object) -> PeerRecord:
    """Create the object. 409 when there is one of that name, 422 when the API server refuses a field."""
    name = body["metadata"]["name"]
    _check_key(context, caller, body["spec"].get("publicKey"))
    try:
        answer = await context.client.create(PEERS, caller.namespace, body)
    except AlreadyExists:
        raise Refusal(409, f"name: there is a peer {name} already; choose another name, or PATCH that one") from None
    except Invalid as error:
        raise Refusal(422, in_words_of_the_contract(str(error))) from None
    _record(context, caller, "create", name)
    return context.cache.peers.put(answer)


def _check_key(context: Context, caller: Caller, key: str | None) -> None:
    """The operator decides by age, and of two peers of the same second cannot tell the older: so it is asked here."""
    if key is not None and (holders := context.cache.peers.having(caller.namespace, "key", key)):
        raise Refusal(409, f"public_key: peer {holders[0].title} has this key; give each device its own")


async def settle(context: Context, caller: Caller, peer: PeerRecord, seconds: float) -> Made:
    """Wait for a new peer. Raises Refusal when it cannot be, and takes it back."""
    found = await context.cache.peers.until(peer.key, lambda now: _is_settled(now, peer.uid), seconds)
    if found is None or found.uid != peer.uid:
        raise Refusal(409, f"the peer {peer.key.name} was deleted by somebody else meanwhile")
    if found.fault is not None and found.fault.reason in HOPELESS and found.observed >= found.generation:
        await _take_back(context, caller, found.key, found.uid)
        raise Refusal(HOPELESS[found.fault.reason], in_words_of_the_contract(found.fault.message))
    return Made(found, _is_complete(found))


def _is_settled(peer: PeerRecord | None, uid: str) -> bool:
    if peer is None or peer.uid != uid:
        return True
    if peer.observed < peer.generation:
        return False
    return _is_complete(peer) or (peer.fault is not None and (peer.fault.stalled or peer.fault.reason in HOPELESS))


def _is_complete(peer: PeerRecord) -> bool:
    """Ready: on the device or, for one that is disabled or has expired, off it."""
    return peer.observed >= peer.generation and peer.fault is None


async def _take_back(context: Context, caller: Caller, key: Key, uid: str) -> None:
    try:
        with suppress(NotFound, Conflict):
            await context.client.delete(PEERS, key.namespace, key.name, uid=uid)
        context.cache.peers.remove(key, uid)
        _record(context, caller, "delete", key.name, "taken back")
    except KubeError as error:
        logger.warning("peer %s could not be taken back and stays: %s", key, error)


def _record(context: Context, caller: Caller, verb: str, name: str, outcome: str = "done") -> None:
    context.audit.record(
        user=caller.username, tenant=caller.namespace, verb=verb, resource="wireguardpeers", name=name, outcome=outcome
    )
