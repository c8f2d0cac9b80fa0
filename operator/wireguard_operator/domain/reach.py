"""Where a server is: for subscribers, the endpoint in their configurations; for the controller, the agent's URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..api.data_plane import ServiceType
from ..api.reasons import Reason
from ..api.server import WireGuardServer
from .client_config import endpoint
from .conditions import Problem
from .server_pods import AGENT_PORT

Service = Mapping[str, Any]

DEFAULT_AGENT_PORT = 443


def endpoint_of(server: WireGuardServer, service: Service | None) -> str | Problem:
    """``host:port`` for subscribers, of a host (without ``service``) or of pods behind ``service``."""
    spec = server.spec
    port = _port(server, service)
    if spec.endpoint is not None:
        return endpoint(spec.endpoint.host, spec.endpoint.port or port)
    host = _address(service) if service is not None else None
    if host is not None:
        return endpoint(host, port)
    if spec.data_plane.service.type is ServiceType.LOAD_BALANCER:
        message = "the Service has no load balancer's address yet; or set spec.endpoint.host"
    else:
        message = "nothing tells how subscribers reach the server; set spec.endpoint.host"
    return Problem(Reason.ENDPOINT_PENDING, message)


def agent_url(server: WireGuardServer, agent_service: Service | None) -> str | None:
    """Where the controller reaches the agent; None before that is known."""
    host = server.spec.data_plane.host
    if host is not None:
        return host.url
    address = (agent_service or {}).get("spec", {}).get("clusterIP")
    return f"https://{endpoint(address, AGENT_PORT)}" if address else None


def listen_of(url: str) -> str:
    """``host:port`` on which an agent listens, whose URL this is."""
    parts = urlsplit(url)
    return endpoint(parts.hostname or "", parts.port or DEFAULT_AGENT_PORT)


def pod_url(pod: Mapping[str, Any]) -> str | None:
    """Where the controller reaches the agent of one pod; None before it has an address."""
    address = pod.get("status", {}).get("podIP")
    return f"https://{endpoint(address, AGENT_PORT)}" if address else None


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's agent listens, as far as Kubernetes knows."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _port(server: WireGuardServer, service: Service | None) -> int:
    if service is not None:
        entry = service["spec"]["ports"][0]
        if service["spec"]["type"] == ServiceType.NODE_PORT and entry.get("nodePort"):
            return int(entry["nodePort"])
        return int(entry["port"])
    return server.spec.listen_port


def _address(service: Service) -> str | None:
    if service["spec"]["type"] == ServiceType.CLUSTER_IP:
        address: str | None = service["spec"].get("clusterIP")
        return address
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        if found := ingress.get("hostname") or ingress.get("ip"):
            return str(found)
    return None
