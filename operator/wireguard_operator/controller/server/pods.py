"""The pods of a server: their objects applied, kept as they should be, and what Kubernetes says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...api.base import Key
from ...api.data_plane import DataPlaneType
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain import reach, server_pods, succession
from ...domain.comparison import covers
from ...domain.conditions import Problem
from ...domain.secrets import SERVER_LABEL, belongs_to
from ...domain.succession import Seat
from ...kube.client import Object
from ...kube.errors import Forbidden, Invalid, NotFound
from ...kube.resources import DEPLOYMENTS, DISRUPTION_BUDGETS, NETWORK_POLICIES, SERVICES, ResourceType
from ..services import Services


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a server is, and what is in the way."""

    endpoint: str | Problem
    """For subscribers."""
    agent_url: str | None
    """For the controller."""
    problem: Problem | None = None
    """Why there are no pods as there should be."""


class Pods:
    """The children of one server of type Pod; for other types there are none."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._cache = services.cache

    async def reconcile(self, server: WireGuardServer) -> Reach:
        """Make the children so, where they are not, and say where the server is. Raises KubeError."""
        if server.spec.data_plane.type is not DataPlaneType.POD:
            return Reach(reach.endpoint_of(server, None), reach.agent_url(server, None))
        settings = self._services.settings
        children = (
            (SERVICES, server_pods.service(server, self._seat(server))),
            (SERVICES, server_pods.agent_service(server)),
            (NETWORK_POLICIES, server_pods.network_policy(server, settings.namespace)),
            (DISRUPTION_BUDGETS, server_pods.disruption_budget(server)),
            (DEPLOYMENTS, server_pods.deployment(server, settings.image)),
        )
        problem = None
        for kind, wanted in children:
            problem = await self._ensure(server, kind, wanted) or problem
        public, agent = (self._find(SERVICES, child) for _, child in children[:2])
        if public is None:
            endpoint: str | Problem = Problem(Reason.ENDPOINT_PENDING, "the server has no Service yet")
        else:
            endpoint = reach.endpoint_of(server, public)
        return Reach(endpoint, reach.agent_url(server, agent), problem)

    def _seat(self, server: WireGuardServer) -> Seat | None:
        """Which pod serves, as the Service itself says; the arbiter alone changes it."""
        key = Key(server.metadata.namespace, server_pods.short_name(server.metadata.name))
        return succession.seat_of(self._cache.children.get(SERVICES, key))

    def explain(self, server: WireGuardServer) -> Problem | None:
        """Why the pod does not run, in Kubernetes' words; None when it does, as far as is known."""
        if server.spec.data_plane.type is not DataPlaneType.POD:
            return None
        key = Key(server.metadata.namespace, server_pods.short_name(server.metadata.name))
        status = (self._cache.children.get(DEPLOYMENTS, key) or {}).get("status", {})
        if status.get("availableReplicas"):
            return None
        said = {c["type"]: c.get("message", "") for c in status.get("conditions", ()) if c.get("message")}
        words = said.get("ReplicaFailure") or said.get("Progressing") or "it has not been started yet"
        hint = f"kubectl -n {key.namespace} describe pod -l {SERVER_LABEL}={server.metadata.name}"
        return Problem(Reason.POD_NOT_READY, f"the pod of Deployment {key.name} is not ready: {words} ({hint})")

    async def _ensure(self, server: WireGuardServer, kind: ResourceType, wanted: Object) -> Problem | None:
        have = self._find(kind, wanted)
        if have is not None and covers(have, wanted):
            return None
        namespace, name = server.metadata.namespace, wanted["metadata"]["name"]
        try:
            if have is None and (stranger := await self._stranger(server, kind, name)) is not None:
                return stranger
            if have is not None and kind == SERVICES:
                # Its selector is the arbiter's word, which may be another one by now.
                wanted["metadata"]["resourceVersion"] = have["metadata"]["resourceVersion"]
            self._cache.children.see(kind, await self._services.client.apply(kind, namespace, name, wanted))
        except (Forbidden, Invalid) as error:
            return Problem(Reason.PODS_REFUSED, f"the API server refuses {wanted['kind']} {name}: {error}")
        return None

    async def _stranger(self, server: WireGuardServer, kind: ResourceType, name: str) -> Problem | None:
        """Applying would take over what somebody else made under the name."""
        try:
            body = await self._services.client.get(kind, server.metadata.namespace, name)
        except NotFound:
            return None
        if belongs_to(body, server):
            return None
        message = f"{body['kind']} {name} exists and was not made for this server; rename or delete it"
        return Problem(Reason.PODS_REFUSED, message)

    def _find(self, kind: ResourceType, wanted: Object) -> dict[str, Any] | None:
        meta = wanted["metadata"]
        return self._cache.children.get(kind, Key(meta["namespace"], meta["name"]))
