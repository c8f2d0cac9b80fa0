"""A peer's own things: its keys, and the Secret with its client configuration."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from ..api.base import Key
from ..api.server import WireGuardServer
from ..domain import client_config, secrets
from ..domain.client_config import ClientKeys
from ..domain.keys import KeyPair, generate_pair, generate_preshared
from ..domain.peer_status import Problem
from ..kube.errors import Forbidden, Invalid, KubeError
from .records import PeerRecord
from .secret_store import ForeignSecret, SecretStore

logger = logging.getLogger(__name__)

KIND = "WireGuardPeer"
WRITES_AT_ONCE = 16


class PeerReconciler:
    """Brings the Secrets of one server's peers about."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store
        self._known: dict[str, ClientKeys] = {}
        self._gate = asyncio.Semaphore(WRITES_AT_ONCE)

    def forget(self, uid: str) -> None:
        """The peer is gone, and its keys with it."""
        self._known.pop(uid, None)

    def keys(self, record: PeerRecord) -> ClientKeys:
        """The peer's keys: the device's own, those in its Secret, or fresh ones."""
        peer, facts = record.peer, record.facts
        name = secrets.peer_secret_name(peer.metadata.name)
        facts.key_problem = None
        body = self._store.find(peer, name)
        own = peer.spec.public_key
        if own is not None:
            keys = ClientKeys(own, None, None)
        elif body is not None and (pair := secrets.read_pair(body)) is not None:
            keys = ClientKeys(pair.public, pair.private, secrets.read_preshared(body))
        elif (known := self._known.get(peer.metadata.uid)) is not None and known.private is not None:
            # The Secret was deleted or spoilt by mistake; the subscriber's configuration shall go on working.
            keys = known
        else:
            pair = generate_pair()
            keys = ClientKeys(pair.public, pair.private, generate_preshared())
        self._known[peer.metadata.uid] = keys
        return keys

    def is_saved(self, record: PeerRecord, keys: ClientKeys) -> bool:
        """Whether the keys outlive this process."""
        body = self._store.find(record.peer, secrets.peer_secret_name(record.peer.metadata.name))
        return keys.private is None or (
            body is not None and secrets.read_pair(body) == KeyPair(keys.private, keys.public)
        )

    async def write(
        self, server: WireGuardServer, server_public_key: str, work: Sequence[tuple[PeerRecord, ClientKeys]]
    ) -> set[Key]:
        """Write the Secrets of peers whose addresses are in their facts; the peers that are to be tried again."""
        results = await asyncio.gather(
            *(self._write(server, server_public_key, record, keys) for record, keys in work), return_exceptions=True
        )
        failed = set()
        for (record, _), result in zip(work, results, strict=True):
            if isinstance(result, KubeError):
                logger.warning("peer %s: %s", record.key, result)
                failed.add(record.key)
            elif isinstance(result, BaseException):
                raise result
        return failed

    async def _write(
        self, server: WireGuardServer, server_public_key: str, record: PeerRecord, keys: ClientKeys
    ) -> None:
        peer, facts = record.peer, record.facts
        name = secrets.peer_secret_name(peer.metadata.name)
        config = client_config.render(server.spec, server_public_key, peer.spec.client, keys, facts.addresses)
        try:
            async with self._gate:
                await self._store.write(peer, KIND, name, secrets.peer_data(keys, config))
        except ForeignSecret as error:
            facts.key_problem = Problem("SecretConflict", str(error))
        except (Forbidden, Invalid) as error:
            facts.key_problem = Problem("SecretRefused", f"the API server refuses Secret {name}: {error}")
        else:
            facts.public_key = keys.public
            facts.secret_name = name
            facts.config_revision = client_config.revision(config)
