"""What the portal does beside answering: it takes note of usage every minute, and sweeps tickets that are over.

Nothing depends on the sweep: a ticket that is over, or whose peer is gone, is refused anyway. So a pass that fails is
logged, and the next one does the rest.
"""

from __future__ import annotations

import asyncio
import logging

from ...domain.tickets import Ticket
from ...kube.errors import KubeError, NotFound
from ...kube.resources import PEERS
from ..context import Context

logger = logging.getLogger(__name__)
SAMPLE_SECONDS = 60.0
SWEEP_EVERY = 5
"""Samples between two sweeps."""


async def run(context: Context) -> None:
    """Go on until cancelled."""
    turn = 0
    while True:
        if context.cache.complete:
            sample(context)
            if turn % SWEEP_EVERY == 0:
                await sweep(context)
            turn += 1
            await asyncio.sleep(SAMPLE_SECONDS)
        else:
            await asyncio.sleep(0.2)


def sample(context: Context) -> None:
    """Take note of the totals of all peers, and forget those that are gone."""
    now, uids = context.clock(), []
    for record in context.cache.peers.all():
        context.usage.see_record(record, now)
        uids.append(record.uid)
    context.usage.keep(uids)


async def sweep(context: Context) -> None:
    """Remove what is over."""

    async def is_there(ticket: Ticket) -> bool:
        known = context.cache.peers.get(ticket.peer)
        if known is not None and known.uid == ticket.peer_uid:
            return True
        # The cache may be behind, or another replica may have made it.
        try:
            body = await context.client.get(PEERS, ticket.peer.namespace, ticket.peer.name)
        except NotFound:
            return False
        return bool(body["metadata"]["uid"] == ticket.peer_uid)

    try:
        swept = await context.tickets.sweep(is_there)
    except KubeError as error:
        logger.warning("tickets that are over could not all be removed, the next pass tries again: %s", error)
        return
    if swept:
        logger.info("removed %d tickets that were over", swept)
