"""The operator's CA: one Secret in the operator's namespace, made once and never replaced by itself.

Losing it means that every agent outside the cluster has to be given a new bundle, so a broken Secret is an
error to be looked at and not a reason to make a new CA.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ...agent.protocol import CONTROLLER_NAME
from ...domain import secrets
from ...domain.certificates import Certificate, Usage, is_current, issue, make_authority, sign
from ...kube.client import KubeClient
from ...kube.errors import AlreadyExists, KubeError, NotFound
from ...kube.resources import SECRETS
from .client import tls_context

SECRET_NAME = "wireguard-operator-ca"  # noqa: S105 - a name

CHECK_PAUSE = timedelta(minutes=1)
"""Between two looks at the life that the controller's own certificate has left; a look verifies a signature."""


class Authority:
    """Issues certificates and keeps the controller's own, which lives in memory only."""

    def __init__(self, ca: Certificate, clock: Callable[[], datetime]) -> None:
        self.ca = ca
        self._clock = clock
        self._own: Certificate | None = None
        self._context: ssl.SSLContext | None = None
        self._checked = datetime.min.replace(tzinfo=UTC)

    def context(self) -> ssl.SSLContext:
        """The controller's TLS context, renewed in time."""
        now = self._clock()
        if self._context is not None and abs(now - self._checked) < CHECK_PAUSE:
            return self._context
        self._checked = now
        if self._own is None or not is_current(self._own.certificate, self.ca.certificate, CONTROLLER_NAME, now):
            self._own = issue(self.ca, CONTROLLER_NAME, Usage.CONTROLLER, now)
            self._context = None
        if self._context is None:
            self._context = tls_context(self._own, self.ca.certificate)
        return self._context

    def issue_agent(self, name: str, usage: Usage = Usage.AGENT) -> Certificate:
        """A certificate for an agent."""
        return issue(self.ca, name, usage, self._clock())

    def issue_port(self) -> Certificate:
        """A certificate for the controller's own port for agents."""
        return issue(self.ca, CONTROLLER_NAME, Usage.AGENT, self._clock())

    def sign_host(self, request: str, name: str, life: timedelta) -> str:
        """A certificate (PEM) for the key of a host's request. Raises RequestError."""
        return sign(self.ca, request, name, Usage.HOST, self._clock(), life)

    def accepts(self, certificate: str, name: str) -> bool:
        """Whether an agent's certificate still serves."""
        return is_current(certificate, self.ca.certificate, name, self._clock())


async def load(client: KubeClient, namespace: str, clock: Callable[[], datetime]) -> Authority:
    """The CA of the operator's namespace, made if there is none. Raises KubeError."""
    try:
        body = await client.get(SECRETS, namespace, SECRET_NAME)
    except NotFound:
        body = await _create(client, namespace, make_authority(clock()))
    ca = secrets.read_certificate(body)
    if ca is None:
        raise KubeError(f"Secret {namespace}/{SECRET_NAME} has no tls.crt and tls.key; restore it from a backup")
    return Authority(ca, clock)


async def _create(client: KubeClient, namespace: str, ca: Certificate) -> dict[str, object]:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET_NAME, "labels": {secrets.MANAGED_BY: secrets.MANAGER}},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": base64.b64encode(ca.certificate.encode()).decode(),
            "tls.key": base64.b64encode(ca.private_key.encode()).decode(),
        },
    }
    try:
        return await client.create(SECRETS, namespace, body)
    except AlreadyExists:
        return await client.get(SECRETS, namespace, SECRET_NAME)
    except NotFound:
        raise KubeError(
            f"the operator's namespace {namespace} does not exist; create it or name another with --namespace"
        ) from None
