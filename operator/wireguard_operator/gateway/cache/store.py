"""Servers and peers as the watch tells them, found by id, customer, subscriber and server, a tenant at a time.

An answer to a write of ours goes in at once, so that who wrote reads what they wrote; the watch brings the same again,
and whatever has an older resource version is let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar, overload

from ...api.base import Key
from ...kube.client import KubeClient, Object
from ...kube.resources import PEERS, SERVERS
from ...kube.watch import follow
from ..memory import Memory
from ..metrics import Metrics
from .records import PeerRecord, ServerRecord, peer_record, server_record

logger = logging.getLogger(__name__)
GONE_SECONDS = 300.0


class Record(Protocol):
    """What both kinds of records have."""

    @property
    def key(self) -> Key:
        """Where the object is."""

    @property
    def uid(self) -> str:
        """Which object of that name."""

    @property
    def version(self) -> int:
        """Its resource version."""

    @property
    def id(self) -> str:
        """Its UUID for foreign systems."""

    @property
    def created_at(self) -> str:
        """When it was made."""


R = TypeVar("R", bound=Record)
Facets = Callable[[R], Iterable[tuple[str, str]]]


class Shelf(Generic[R]):
    """The records of one kind."""

    def __init__(
        self, kind: str, make: Callable[[Object], R], facets: Facets[R], metrics: Metrics, waiting_for: int
    ) -> None:
        self._kind, self._make, self._facets, self._metrics = kind, make, facets, metrics
        self._waiting_for = waiting_for
        """Lists that must come before all is known: one, or one for each watched namespace."""
        self._listed: set[str | None] = set()
        self._all: dict[Key, R] = {}
        self._tenants: dict[str, dict[str, R]] = {}
        self._order: dict[str, list[str]] = {}
        """Names by age, for each tenant that was listed; removed when one comes or goes."""
        self._index: dict[tuple[str, str, str], set[str]] = {}
        """Names by tenant, facet and value."""
        self._waiters: dict[Key, list[asyncio.Event]] = {}
        self._gone: Memory[bool] = Memory(GONE_SECONDS)
        """Which objects were deleted, so that a late event does not bring one back."""

    @property
    def complete(self) -> bool:
        """Whether all objects were listed once."""
        return len(self._listed) >= self._waiting_for

    def __len__(self) -> int:
        return len(self._all)

    def get(self, key: Key) -> R | None:
        """The record of an object."""
        return self._all.get(key)

    def by_id(self, tenant: str, id_: str) -> R | None:
        """The object of that id in the tenant. Should two have it, it is the older one's."""
        found = sorted(self.having(tenant, "id", id_.lower()), key=_age)
        return found[0] if found else None

    def having(self, tenant: str, facet: str, value: str) -> list[R]:
        """All of the tenant that have the value, the oldest first."""
        records = self._tenants.get(tenant, {})
        names = self._index.get((tenant, facet, value), ())
        return sorted((records[name] for name in names), key=_age)

    def all(self) -> Iterable[R]:
        """Everything, in no order."""
        return self._all.values()

    def of(self, tenant: str) -> Sequence[R]:
        """All of the tenant, the oldest first."""
        records = self._tenants.get(tenant, {})
        order = self._order.get(tenant)
        if order is None:
            order = self._order[tenant] = [record.key.name for record in sorted(records.values(), key=_age)]
        return _Ordered(records, order)

    def put(self, body: Object) -> R:
        """Take an object unless something newer is known; what is known then."""
        record = self._make(body)
        known = self._all.get(record.key)
        if self._gone.get(record.uid) is not None or (known is not None and known.version >= record.version):
            return known or record
        self._insert(record, known)
        return record

    def take(self, body: Object) -> R | None:
        """Take what a watch tells. An object that cannot be read is left out, and harms no other one."""
        try:
            return self.put(body)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            meta = body.get("metadata", {})
            logger.warning("%s %s/%s is left out: %r", self._kind, meta.get("namespace"), meta.get("name"), error)
            return None

    def remove(self, key: Key, uid: str) -> None:
        """The object is gone."""
        self._gone.put(uid, True)
        known = self._all.get(key)
        if known is not None and known.uid == uid:
            self._drop(known)

    def replace(self, namespace: str | None, objects: list[Object]) -> None:
        """These are all objects of the namespace, or of the cluster."""
        self.retain(namespace, {record.key for body in objects if (record := self.take(body)) is not None})

    def retain(self, namespace: str | None, there: Container[Key]) -> None:
        """Of the namespace, or of the cluster, all was listed, and nothing else is there."""
        missing = [
            record
            for key, record in self._all.items()
            if key not in there and (namespace is None or key.namespace == namespace)
        ]
        for record in missing:
            self._drop(record)
        self._listed.add(namespace)

    async def until(self, key: Key, done: Callable[[R | None], bool], seconds: float) -> R | None:
        """Wait until the record is so, or for so long; the record then."""
        try:
            async with asyncio.timeout(seconds):
                while not done(self._all.get(key)):
                    event = asyncio.Event()
                    waiters = self._waiters.setdefault(key, [])
                    waiters.append(event)
                    try:
                        await event.wait()
                    finally:
                        waiters.remove(event)
                        if not waiters and self._waiters.get(key) is waiters:
                            del self._waiters[key]
        except TimeoutError:
            pass
        return self._all.get(key)

    def _insert(self, record: R, known: R | None) -> None:
        namespace, name = record.key.namespace, record.key.name
        if known is not None:
            self._unindex(known)
        if known is None or known.created_at != record.created_at:
            self._order.pop(namespace, None)
        self._all[record.key] = record
        self._tenants.setdefault(namespace, {})[name] = record
        for facet, value in self._facets(record):
            self._index.setdefault((namespace, facet, value), set()).add(name)
        self._tell(record.key)

    def _drop(self, record: R) -> None:
        namespace, name = record.key.namespace, record.key.name
        self._unindex(record)
        self._order.pop(namespace, None)
        del self._all[record.key]
        del self._tenants[namespace][name]
        if not self._tenants[namespace]:
            del self._tenants[namespace]
        self._tell(record.key)

    def _unindex(self, record: R) -> None:
        namespace = record.key.namespace
        for facet, value in self._facets(record):
            names = self._index[namespace, facet, value]
            names.discard(record.key.name)
            if not names:
                del self._index[namespace, facet, value]

    def _tell(self, key: Key) -> None:
        self._metrics.cached(self._kind, len(self._all))
        for event in self._waiters.get(key, ()):
            event.set()


class _Ordered(Sequence[R]):
    """Records in an order of names. A page of them costs what is on it, and all of them no copy."""

    def __init__(self, records: Mapping[str, R], order: Sequence[str]) -> None:
        self._records, self._order = records, order

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> R: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[R]: ...

    def __getitem__(self, index: int | slice) -> R | Sequence[R]:
        if isinstance(index, slice):
            return [self._records[name] for name in self._order[index]]
        return self._records[self._order[index]]

    def __iter__(self) -> Iterator[R]:
        return map(self._records.__getitem__, self._order)


class Store:
    """Both shelves, and the watches that fill them."""

    def __init__(self, metrics: Metrics, namespaces: tuple[str, ...] = ()) -> None:
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        lists = len(self._namespaces)
        self.servers: Shelf[ServerRecord] = Shelf("wireguardservers", server_record, _server_facets, metrics, lists)
        self.peers: Shelf[PeerRecord] = Shelf("wireguardpeers", peer_record, _peer_facets, metrics, lists)

    @property
    def complete(self) -> bool:
        """Whether everything was listed once; before that no answer can be right."""
        return self.servers.complete and self.peers.complete

    async def run(self, client: KubeClient) -> None:
        """Follow all objects for ever."""
        async with asyncio.TaskGroup() as group:
            for namespace in self._namespaces:
                group.create_task(follow(client, SERVERS, namespace, _Ear(self.servers, namespace)))
                group.create_task(follow(client, PEERS, namespace, _Ear(self.peers, namespace)))


class _Ear(Generic[R]):
    """What a watch tells, put on a shelf."""

    def __init__(self, shelf: Shelf[R], namespace: str | None) -> None:
        self._shelf, self._namespace = shelf, namespace
        self._there: set[Key] = set()

    def page(self, objects: list[Object]) -> None:
        self._there.update(record.key for body in objects if (record := self._shelf.take(body)) is not None)

    def listed(self) -> None:
        self._shelf.retain(self._namespace, self._there)
        self._there = set()

    def changed(self, body: Object) -> None:
        self._shelf.take(body)

    def deleted(self, body: Object) -> None:
        meta = body["metadata"]
        self._shelf.remove(Key(meta["namespace"], meta["name"]), meta["uid"])


def _age(record: Record) -> tuple[str, str]:
    return record.created_at, record.key.name


def _server_facets(record: ServerRecord) -> Iterator[tuple[str, str]]:
    yield "id", record.id


def _peer_facets(record: PeerRecord) -> Iterator[tuple[str, str]]:
    yield "id", record.id
    if record.device_key and record.public_key:
        yield "key", record.public_key
    if record.server is not None:
        yield "server", str(record.server)
    if record.customer_id:
        yield "customer", record.customer_id
    if record.subscriber_id:
        yield "subscriber", record.subscriber_id
