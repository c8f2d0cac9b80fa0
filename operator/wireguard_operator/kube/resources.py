"""Where objects live in the API: group, version and plural, and the paths made from them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from ..api.base import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type; one that is not namespaced has items in namespace ``""``."""

    group: str
    version: str
    plural: str

    def collection(self, namespace: str | None = None) -> str:
        """Path of all objects, of one namespace or of the cluster."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{quote(namespace)}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def item(self, namespace: str, name: str, subresource: str = "") -> str:
        """Path of one object or of its subresource."""
        path = f"{self.collection(namespace)}/{quote(name)}"
        return f"{path}/{subresource}" if subresource else path


SERVERS = ResourceType(GROUP, VERSION, "wireguardservers")
PEERS = ResourceType(GROUP, VERSION, "wireguardpeers")
BLOCKS = ResourceType(GROUP, VERSION, "wireguardaddressblocks")
NAMESPACES = ResourceType("", "v1", "namespaces")
SECRETS = ResourceType("", "v1", "secrets")
SERVICES = ResourceType("", "v1", "services")
PODS = ResourceType("", "v1", "pods")
DEPLOYMENTS = ResourceType("apps", "v1", "deployments")
DISRUPTION_BUDGETS = ResourceType("policy", "v1", "poddisruptionbudgets")
NETWORK_POLICIES = ResourceType("networking.k8s.io", "v1", "networkpolicies")
LEASES = ResourceType("coordination.k8s.io", "v1", "leases")
TOKEN_REVIEWS = ResourceType("authentication.k8s.io", "v1", "tokenreviews")
SELF_REVIEWS = ResourceType("authentication.k8s.io", "v1", "selfsubjectreviews")
ACCESS_REVIEWS = ResourceType("authorization.k8s.io", "v1", "subjectaccessreviews")
EVENTS = ResourceType("events.k8s.io", "v1", "events")

CHILDREN = (SERVICES, DEPLOYMENTS, DISRUPTION_BUDGETS, NETWORK_POLICIES)
"""What is made for servers of type Pod, beside Secrets."""

OBSERVED = (*CHILDREN, PODS)
"""What is watched of that: pods are made by a Deployment."""


def token_requests(service_account: str) -> ResourceType:
    """Where tokens of a ServiceAccount are made: a subresource of it that is created as an object is."""
    return ResourceType("", "v1", f"serviceaccounts/{quote(service_account)}/token")
