"""Keeps the Secrets from which a new pod of a server boots up to date.

Written a few seconds after a change at the earliest, so that a wave of changes costs one write. A pod that boots
with the controller away may so be that much behind; with the controller there it is told at once.
"""

from __future__ import annotations

import asyncio
import time

from ...agent import boot
from ...agent.protocol import Snapshot
from ...api.data_plane import DataPlaneType
from ...api.server import WireGuardServer
from ...domain.device import DesiredState
from ...domain.secrets import boot_secret_name
from ..writes.secret_store import SecretStore

KIND = "WireGuardServer"
PAUSE_SECONDS = 5.0


class BootSecrets:
    """The boot Secrets of one server."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store
        self._saved = ""
        self._written = 0.0

    async def save(self, server: WireGuardServer, revision: int, state: DesiredState) -> None:
        """Write the state that the agent has acknowledged, if it is another one and it is time. Raises KubeError."""
        if server.spec.data_plane.type is not DataPlaneType.POD or state.digest == self._saved:
            return
        if time.monotonic() - self._written < PAUSE_SECONDS:
            return
        self._written = time.monotonic()
        digest = state.digest
        for number, part in enumerate(await asyncio.to_thread(boot.pack, Snapshot.of(revision, state))):
            name = boot_secret_name(server.metadata.name, number)
            await self._store.write(server, KIND, name, {"part": part})
        self._saved = digest
