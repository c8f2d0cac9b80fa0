"""Which peers an event is about.

Billing systems name a subscriber several ways at once, from the one service to the customer who pays for all. The
narrowest name that a peer of the tenant is known by counts, so that an unpaid second line does not cut the first. What
a system calls subscription or subscriber, a peer has in ``spec.subscriber.subscriberId``; a subscriber may also be who
pays, ``customerId``.
"""

from __future__ import annotations

from ...api.base import Key
from ..cache.store import Store
from .events import Subject


def find(cache: Store, tenant: str, subject: Subject) -> list[Key]:
    """The peers, the oldest first; none when nobody is known by any of the names."""
    ways = (
        ("subscriber", subject.subscription_id),
        ("subscriber", subject.subscriber_id),
        ("customer", subject.subscriber_id),
        ("customer", subject.account_id),
        ("customer", subject.customer_id),
    )
    for facet, name in ways:
        if name is not None and (found := cache.peers.having(tenant, facet, name)):
            return [record.key for record in found]
    return []
