"""Changes of a peer: a patch of this very object, and locks that are set and lifted one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...kube.client import Object
from ...kube.errors import Conflict, Invalid, NotFound
from ...kube.resources import PEERS
from ..audit import LAST_CHANGED_BY
from ..auth.caller import Caller
from ..billing.decide import by_hand
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal
from .sentences import in_words_of_the_contract

TRIES = 5
"""Of a change that depends on what stands there."""
Locks = list[dict[str, Any]]


async def change(
    context: Context, caller: Caller, peer: PeerRecord, patch: Object, subresource: str = ""
) -> PeerRecord:
    """A merge patch of this very peer; ``subresource`` is what the audit record names."""
    body = patch | {"metadata": {**patch.get("metadata", {}), "uid": peer.uid}}
    try:
        answer = await context.client.merge_patch(PEERS, peer.key.namespace, peer.key.name, body)
    except NotFound:
        raise Refusal(404, f"there is no peer {peer.id}") from None
    except Invalid as error:
        raise Refusal(422, in_words_of_the_contract(str(error))) from None
    _record(context, caller, "patch", peer, subresource)
    return context.cache.peers.put(answer)


async def change_locks(
    context: Context, caller: Caller, peer: PeerRecord, decide: Callable[[Locks], Locks], **facts: str
) -> PeerRecord:
    """Write the locks that ``decide`` makes of those that are there, under the condition that they still are."""
    for attempt in range(TRIES):
        try:
            found = await context.client.get(PEERS, peer.key.namespace, peer.key.name)
            if found["metadata"]["uid"] != peer.uid:
                raise Refusal(404, f"there is no peer {peer.id}")
            have = found["spec"].get("suspensions") or []
            wanted = decide(have)
            if wanted == have:
                return context.cache.peers.put(found)
            metadata = {
                "uid": peer.uid,
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": {LAST_CHANGED_BY: caller.username, **by_hand(found, wanted, context.clock())},
            }
            patch = {"metadata": metadata, "spec": {"suspensions": wanted}}
            answer = await context.client.merge_patch(PEERS, peer.key.namespace, peer.key.name, patch)
        except NotFound:
            raise Refusal(404, f"there is no peer {peer.id}") from None
        except Invalid as error:
            raise Refusal(422, in_words_of_the_contract(str(error))) from None
        except Conflict:
            if attempt == TRIES - 1:
                raise
            continue
        _record(context, caller, "create", peer, "suspend", **facts)
        return context.cache.peers.put(answer)
    raise AssertionError  # the loop returns or raises


def with_lock(lock: dict[str, Any]) -> Callable[[Locks], Locks]:
    """The locks with this one, in the place of one with the same reason."""

    def decide(have: Locks) -> Locks:
        there = [lock if old["reason"] == lock["reason"] else old for old in have]
        return there if lock in there else [*have, lock]

    return decide


def without_lock(reason: str) -> Callable[[Locks], Locks]:
    """The locks without those of this reason."""
    return lambda have: [lock for lock in have if lock["reason"] != reason]


def _record(context: Context, caller: Caller, verb: str, peer: PeerRecord, subresource: str, **facts: str) -> None:
    resource = f"wireguardpeers/{subresource}" if subresource else "wireguardpeers"
    context.audit.record(
        user=caller.username, tenant=caller.namespace, verb=verb, resource=resource, name=peer.key.name, **facts
    )
