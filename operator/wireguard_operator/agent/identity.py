"""The agent's identity while it runs: shown on every connection, and replaced without one being closed.

A new one comes by three ways: the kubelet brings it into a directory (pods), the host renews its own in time, or
somebody enrols the host again, which is the only way once the certificate has expired.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from datetime import UTC, datetime
from pathlib import Path

from ..domain import certificates
from . import controller_port, tls
from .bundle import Bundle, from_directory
from .store import Store, StoreError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Between looks at where a new identity may be; the kubelet takes a minute or so, too."""
LEAST_SECONDS = 1.0
RETRY_SECONDS = 300.0
"""Between tries to renew, which there is time for: of 90 days, 36 are left at the first one."""


class Identity:
    """What this agent shows, and to whom it listens."""

    def __init__(self, bundle: Bundle, store: Store, directory: Path | None = None) -> None:
        """``directory``: where the kubelet keeps it. Raises BundleError."""
        self.bundle = bundle
        self.context = tls.server_context(bundle)
        """Of the listening socket; it goes on through all renewals."""
        self._store = store
        self._directory = directory
        self._retry_at = 0.0

    def client_context(self) -> ssl.SSLContext:
        """For a connection to the controller, with the present certificate. Raises BundleError."""
        return tls.client_context(self.bundle)

    def complaint(self) -> str | None:
        """Why this identity is of no use any more, and what to do; None while it is."""
        expiry = certificates.expiry_of(self.bundle.certificate)
        if datetime.now(UTC) < expiry:
            return None
        return (
            f"this host's certificate expired at {expiry:%Y-%m-%dT%H:%M:%SZ}: enrol again with a new token"
            " (wireguard-operator host-token, then host-enroll here); the tunnels go on meanwhile"
        )

    async def keep(self) -> None:
        """Look for new identities, and renew in time. Runs until cancelled."""
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self.look()
            except (OSError, tls.BundleError, StoreError) as error:
                logger.warning("a new identity cannot be used: %s", error)

    async def look(self) -> None:
        """Take what is new, or have it made. Raises OSError, BundleError, StoreError."""
        bundle = self.bundle
        if self._directory is not None:
            self._take(from_directory(self._directory, bundle.server, bundle.listen))
            return
        self._take(await asyncio.to_thread(self._store.load_bundle))
        if not self.bundle.controller or not self._is_due():
            return
        if (complaint := self.complaint()) is not None:
            self._put_off()
            logger.error("%s", complaint)
            return
        try:
            found = await controller_port.renew(self.bundle)
        except controller_port.PortError as error:
            self._put_off()
            logger.warning("the certificate is not renewed yet: %s", error)
            return
        tls.server_context(found)  # before the good one is gone
        await asyncio.to_thread(self._store.save_bundle, found)
        self._take(found)

    def _take(self, found: Bundle | None) -> None:
        if found is None or found == self.bundle:
            return
        if found.server != self.bundle.server:
            raise tls.BundleError(
                f"it is for server {found.server}, and this agent serves {self.bundle.server}: restart it"
            )
        if found.certificate != self.bundle.certificate:
            tls.use(self.context, found)
            expiry = certificates.expiry_of(found.certificate)
            logger.info("a new certificate is in use, valid until %s", f"{expiry:%Y-%m-%dT%H:%M:%SZ}")
        self.bundle = found

    def _is_due(self) -> bool:
        now = datetime.now(UTC)
        return certificates.renewal_of(self.bundle.certificate) <= now and now.timestamp() >= self._retry_at

    def _put_off(self) -> None:
        # Hosts that were joined together must not all come at the same moment.
        self._retry_at = datetime.now(UTC).timestamp() + self._retry_pause() * random.uniform(0.5, 1.0)  # noqa: S311

    def _retry_pause(self) -> float:
        left = certificates.expiry_of(self.bundle.certificate) - datetime.now(UTC)
        return min(RETRY_SECONDS, max(LEAST_SECONDS, left.total_seconds() / 10))

    def _pause(self) -> float:
        if self._directory is not None or not self.bundle.controller:
            return LOOK_SECONDS
        moment = max(certificates.renewal_of(self.bundle.certificate).timestamp(), self._retry_at)
        return min(LOOK_SECONDS, max(LEAST_SECONDS, moment - datetime.now(UTC).timestamp()))
