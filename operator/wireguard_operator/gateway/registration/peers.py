"""The peer that a path names."""

from __future__ import annotations

from ..auth.caller import Caller
from ..cache.records import PeerRecord
from ..context import Context
from ..errors import Refusal


def peer_of(context: Context, caller: Caller, id_: str) -> PeerRecord:
    """The record; a peer of another tenant is answered as one that is not there. Raises Refusal."""
    peer = context.cache.peers.by_id(caller.namespace, id_)
    if peer is None:
        raise Refusal(404, f"tenant {caller.namespace} has no peer {id_}")
    return peer
