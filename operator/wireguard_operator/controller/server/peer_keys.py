"""A peer's key ring and the Secret with its client configuration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from ...api.base import Key
from ...api.keys import PresharedKeyPolicy
from ...api.peer import PeerSpec
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain import client_config, secrets
from ...domain.capabilities import Capability
from ...domain.conditions import Problem
from ...domain.key_ring import Imports, KeyRing, next_ring
from ...kube.client import Object
from ...kube.errors import Forbidden, Invalid, KubeError
from ..services import Services
from ..watch.records import PeerRecord
from ..writes.secret_store import ForeignSecret, SecretStore
from .foreign import ForeignServer
from .identity import Ready

logger = logging.getLogger(__name__)

KIND = "WireGuardPeer"
CALLS_AT_ONCE = 16
TRIED_AGAIN = {
    Reason.SECRET_NOT_FOUND,
    Reason.SECRET_REFUSED,
    Reason.KEY_INVALID,
    Reason.SYSTEM_UNREACHABLE,
    Reason.SYSTEM_FAILED,
    Reason.SYSTEM_REFUSED,
    Reason.SYSTEM_UNSUITABLE,
    Reason.SYSTEM_IN_USE,
}
"""Problems of which no watch tells when they are over."""

Work = tuple[PeerRecord, KeyRing]


class PeerKeys:
    """Brings the Secrets of one server's peers about."""

    def __init__(self, services: Services, foreign: ForeignServer | None = None) -> None:
        """``foreign``: the system behind the server, which may make keys itself."""
        self._foreign = foreign
        self._store: SecretStore = services.secrets
        self._clock = services.clock
        self._known: dict[str, KeyRing] = {}
        self._saved: dict[str, tuple[str, KeyRing | None]] = {}
        """What the Secret of a resource version holds: to read it takes a computation on the curve."""
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)

    def forget(self, uid: str) -> None:
        """The peer is gone, and its keys with it."""
        self._known.pop(uid, None)
        self._saved.pop(uid, None)

    async def rings(self, records: Sequence[PeerRecord], rotated: Mapping[Key, str]) -> tuple[list[Work], set[Key]]:
        """The ring that each peer should have, and the peers to be tried again.

        ``rotated`` has the new public keys of peers that use them: the former ones can go.
        """
        rings = (self._ring(record, rotated.get(record.key)) for record in records)
        results = await asyncio.gather(*rings, return_exceptions=True)
        work, failed = list[Work](), set[Key]()
        for record, result in zip(records, results, strict=True):
            if isinstance(result, KeyRing):
                record.facts.key_problem = None
                work.append((record, result))
            elif isinstance(result, Problem):
                record.facts.key_problem = result
                if result.reason in TRIED_AGAIN:
                    failed.add(record.key)
            elif isinstance(result, KubeError):
                logger.warning("peer %s: %s", record.key, result)
                failed.add(record.key)
            else:
                raise result
        return work, failed

    async def _ring(self, record: PeerRecord, used: str | None) -> KeyRing | Problem:
        peer, uid = record.peer, record.uid
        # A Secret that was deleted or spoilt by mistake is restored: the subscriber's configuration goes on working.
        have = self._read(record) or self._known.get(uid)
        if have is not None and have.current.public == used:
            have = have.finished()
        if have is not None and (have.current.token is not None) != self._gives_tokens():
            have = None  # of the server that the peer was on before; keys are no tokens, nor the other way round
        made_for = None
        if peer.status.secret_ref is not None and peer.status.public_key is not None:
            made_for = peer.status.key_generation or 0
        if self._foreign is not None:
            self._foreign.keep(uid)
            if self._foreign.makes_keys:
                return await self._foreign_ring(self._foreign, record, have, made_for)
        imports, error = await self._imports(record)
        ring = next_ring(self._spec_of(peer.spec), have, imports, made_for, self._clock())
        if error is not None and isinstance(ring, Problem):
            raise error
        if isinstance(ring, KeyRing) and self._foreign is not None and not self._foreign.can(Capability.KEY_OVERLAP):
            ring = ring.finished()
        if isinstance(ring, KeyRing):
            self._known[uid] = ring
        return ring

    def _gives_tokens(self) -> bool:
        return self._foreign is not None and self._foreign.gives_tokens

    def _spec_of(self, spec: PeerSpec) -> PeerSpec:
        """Where a system makes a preshared key for whoever has none, everybody has one of ours."""
        if self._foreign is None or self._foreign.can(Capability.NO_PRESHARED_KEY):
            return spec
        always = spec.preshared_key.model_copy(update={"policy": PresharedKeyPolicy.ALWAYS})
        return spec.model_copy(update={"preshared_key": always})

    async def _foreign_ring(
        self, foreign: ForeignServer, record: PeerRecord, have: KeyRing | None, made_for: int | None
    ) -> KeyRing | Problem:
        """Of a system that makes the keys. It goes on having them, so that a Secret that is lost can be restored."""
        generation = record.peer.spec.key_generation
        if have is not None and have.generation >= generation:
            comes_back = record.facts.verdict is not None and record.facts.verdict.admitted
            if not comes_back or not foreign.is_void(have.current.public):
                return have.finished()
        fresh = generation > have.generation if have is not None else made_for is None or generation > made_for
        fresh = fresh or (foreign.gives_tokens and have is None)  # a token can be had again at any time
        keys = await foreign.make(record, generation, fresh=fresh)
        if keys is None:
            return Problem(
                Reason.KEY_LOST,
                "the Secret with the keys is gone, and so is the client that had them;"
                " raise spec.keyGeneration for new keys",
            )
        if isinstance(keys, Problem):
            return keys
        ring = self._known[record.uid] = KeyRing(keys, generation)
        return ring

    async def _imports(self, record: PeerRecord) -> tuple[Imports, KubeError | None]:
        """What can be had, and the error that it could not be told for: what was copied goes on meanwhile."""
        spec, namespace = record.peer.spec, record.key.namespace
        pair_ref, preshared_ref = spec.private_key_secret_ref, spec.preshared_key.secret_ref
        if pair_ref is None and preshared_ref is None:
            return Imports(), None
        try:
            async with self._gate:
                pair = await self._store.import_pair(namespace, pair_ref) if pair_ref else None
                preshared = await self._store.import_preshared(namespace, preshared_ref) if preshared_ref else None
        except KubeError as error:
            unknown = Problem(Reason.SECRET_NOT_FOUND, str(error))
            return Imports(unknown if pair_ref else None, unknown if preshared_ref else None), error
        return Imports(pair, preshared), None

    def may_be_in_use(self, record: PeerRecord) -> bool:
        """Whether the peer may be on the device: keys are in a Secret before they are there."""
        return self._find(record) is not None

    def is_saved(self, record: PeerRecord, ring: KeyRing) -> bool:
        """Whether the Secret holds the ring, so that it outlives this process."""
        return self._read(record) == ring

    def _find(self, record: PeerRecord) -> Object | None:
        return self._store.find(record.peer, secrets.peer_secret_name(record.peer.metadata.name))

    def _read(self, record: PeerRecord) -> KeyRing | None:
        body = self._find(record)
        if body is None:
            return None
        version = body["metadata"]["resourceVersion"]
        saved = self._saved.get(record.uid)
        if saved is None or saved[0] != version:
            saved = self._saved[record.uid] = version, secrets.read_ring(body)
        return saved[1]

    async def write(self, server: WireGuardServer, ready: Ready, work: Sequence[Work]) -> set[Key]:
        """Write the Secrets of peers whose addresses are in their facts; the peers that are to be tried again."""
        results = await asyncio.gather(
            *(self._write(server, ready, record, ring) for record, ring in work), return_exceptions=True
        )
        failed = set()
        for (record, _), result in zip(work, results, strict=True):
            if isinstance(result, KubeError):
                logger.warning("peer %s: %s", record.key, result)
                failed.add(record.key)
            elif isinstance(result, BaseException):
                raise result
        return failed

    async def _write(self, server: WireGuardServer, ready: Ready, record: PeerRecord, ring: KeyRing) -> None:
        peer, facts = record.peer, record.facts
        name = secrets.peer_secret_name(peer.metadata.name)
        if ring.current.token is not None:
            config = ring.current.token.reveal()  # all that there is to import
        else:
            config = client_config.render(
                server.spec, ready.public_key, ready.endpoint, peer.spec.client, ring.current, facts.addresses
            )
        try:
            async with self._gate:
                await self._store.write(peer, KIND, name, secrets.peer_data(ring, config))
        except ForeignSecret as error:
            facts.key_problem = Problem(Reason.SECRET_CONFLICT, str(error))
        except (Forbidden, Invalid) as error:
            facts.key_problem = Problem(Reason.SECRET_REFUSED, f"the API server refuses Secret {name}: {error}")
        else:
            facts.ring = ring
            facts.secret_name = name
            facts.config_revision = client_config.revision(config)
