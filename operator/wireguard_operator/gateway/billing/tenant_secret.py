"""The secret that a tenant shares with its billing system: Secret ``wireguard-billing`` in the tenant's namespace.

==================  =====================================================================================
``secret``          what webhooks are signed with
``previousSecret``  optional, taken as well while the sender's is being changed
``tenantId``        optional, the platform's own id of the tenant; events of another one are refused
==================  =====================================================================================

Without it the tenant takes no webhooks, and is answered as if the signature were wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ...domain import secrets
from ...domain.keys import Hidden
from ...kube.client import KubeClient
from ...kube.errors import Forbidden, NotFound
from ...kube.resources import SECRETS
from ..memory import Memory

logger = logging.getLogger(__name__)

NAME = "wireguard-billing"
SECONDS = 10.0
"""How long it is remembered, so that a wave of webhooks, or of guesses, is one question to the API server."""
SHORTEST = 16
"""Characters. A shorter secret could be found by trying, so it is taken for none."""


@dataclass(frozen=True, slots=True)
class TenantSecret:
    """What the Secret says."""

    secrets: tuple[Hidden, ...] = ()
    tenant_id: str | None = None


class TenantSecrets:
    """Reads the Secrets of tenants."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: Memory[TenantSecret] = Memory(SECONDS, size=1024)

    async def of(self, tenant: str) -> TenantSecret:
        """The tenant's; one without secrets when there is none. Raises KubeError."""
        found = self._known.get(tenant)
        if found is None:
            found = await self._read(tenant)
            self._known.put(tenant, found)
        return found

    async def _read(self, tenant: str) -> TenantSecret:
        try:
            secret = await self._client.get(SECRETS, tenant, NAME)
        except NotFound:
            return TenantSecret()
        except Forbidden as error:
            # A tenant that the gateway has no rights in must look like one without the Secret.
            logger.warning("Secret %s of tenant %s is not read: %s", NAME, tenant, error)
            return TenantSecret()
        # A line break at the end is an accident of `--from-file`.
        texts = ((secrets.read(secret, key) or "").rstrip("\r\n") for key in ("secret", "previousSecret"))
        shared = tuple(Hidden(text) for text in texts if len(text) >= SHORTEST)
        return TenantSecret(shared, (secrets.read(secret, "tenantId") or "").strip() or None)
