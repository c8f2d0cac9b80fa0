"""The Kubernetes objects that realise a server of type Pod, built purely from its specification.

The pod runs the agent alone, with the one capability that network interfaces take and no credentials of the cluster.
Keys are in memory volumes, so that no node's disk ever has them. A new pod boots from Secrets that hold the desired
state, with the controller away if need be.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ..api.data_plane import Implementation, ServiceType
from ..api.server import WireGuardServer
from .secrets import MANAGED_BY, MANAGER, SERVER_LABEL, agent_secret_of, boot_secret_name, owner_reference
from .succession import POD_LABEL, TERM_ANNOTATION, Seat

AGENT_PORT = 8443
BOOT_PARTS = 16
"""Boot Secrets that a pod looks for; each is optional and below the API server's limit of 1 MiB."""

IDENTITY_DIRECTORY, BOOT_DIRECTORY = "/etc/wireguard-operator/identity", "/etc/wireguard-operator/boot"
STATE_DIRECTORY = "/var/lib/wireguard-operator"

MIN_READY_SECONDS = 5
"""For which a pod is ready before another one may go for it."""

Object = dict[str, Any]

_REPLICATED = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def short_name(server: str, suffix: str = "") -> str:
    """The name of a child: ``<server>-wireguard<suffix>``, shortened by a hash where that is no DNS label any more."""
    name = f"{server}-wireguard{suffix}"
    if len(name) <= 63:
        return name
    digest = hashlib.sha256(server.encode()).hexdigest()[:8]
    return f"{server[: 63 - len(suffix) - 19]}-{digest}-wireguard{suffix}"


def labels(server: str) -> dict[str, str]:
    """The labels of all children; the first two select the pods."""
    return {
        "app.kubernetes.io/name": "wireguard-server",
        SERVER_LABEL: server,
        MANAGED_BY: MANAGER,
    }


def deployment(server: WireGuardServer, image: str) -> Object:
    """The pods.

    Recreate: two pods with one key would take turns in hearing each subscriber. With two replicas one of them is
    silent, and a pod goes only when the next one has everything: an agent listens, which makes its pod ready, once its
    device is as the boot Secrets say, and is given some seconds more to be brought up to date.
    """
    plane, name = server.spec.data_plane, server.metadata.name
    pod: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(server, plane.image or image)],
        "volumes": _volumes(server),
    }
    if plane.ipv6_forwarding:
        pod["securityContext"]["sysctls"] = [{"name": "net.ipv6.conf.all.forwarding", "value": "1"}]
    if plane.node_selector:
        pod["nodeSelector"] = dict(plane.node_selector)
    if plane.tolerations:
        pod["tolerations"] = [toleration.to_wire() for toleration in plane.tolerations]
    if plane.is_replicated:
        pod["affinity"] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [_apart(name)]}}
    spec: Object = {
        "replicas": (plane.replicas or 1) if server.spec.enabled else 0,
        "revisionHistoryLimit": 2,
        "strategy": _REPLICATED if plane.is_replicated else {"type": "Recreate"},
        "selector": {"matchLabels": _selector(name)},
        "template": {"metadata": {"labels": labels(name)}, "spec": pod},
    }
    if plane.is_replicated:
        spec["minReadySeconds"] = MIN_READY_SECONDS
    return _child(server, "apps/v1", "Deployment", short_name(name), spec)


def service(server: WireGuardServer, seat: Seat | None = None) -> Object:
    """What subscribers reach: UDP. With two replicas that is the pod that ``seat`` names."""
    settings, spec = server.spec.data_plane.service, server.spec
    port: Object = {
        "name": "wireguard",
        "protocol": "UDP",
        "port": spec.listen_port,
        "targetPort": spec.listen_port,
    }
    if spec.endpoint is not None and spec.endpoint.port and settings.type is ServiceType.LOAD_BALANCER:
        port["port"] = spec.endpoint.port
    if settings.node_port is not None:
        port["nodePort"] = settings.node_port
    selector, annotations = _selector(server.metadata.name), dict(settings.annotations)
    if seat is not None and server.spec.data_plane.is_replicated:
        selector[POD_LABEL] = seat.pod
        annotations[TERM_ANNOTATION] = str(seat.term)
    body: Object = {"type": settings.type.value, "selector": selector, "ports": [port]}
    if settings.external_traffic_policy is not None:
        body["externalTrafficPolicy"] = settings.external_traffic_policy.value
    if settings.load_balancer_class is not None:
        body["loadBalancerClass"] = settings.load_balancer_class
    if settings.load_balancer_source_ranges:
        body["loadBalancerSourceRanges"] = list(settings.load_balancer_source_ranges)
    child = _child(server, "v1", "Service", short_name(server.metadata.name), body)
    if annotations:
        child["metadata"]["annotations"] = annotations
    return child


def agent_service(server: WireGuardServer) -> Object:
    """What the controller reaches: the agent's HTTPS, by an address that outlives pods."""
    name = server.metadata.name
    port = {"name": "agent", "protocol": "TCP", "port": AGENT_PORT, "targetPort": AGENT_PORT}
    body = {
        "type": "ClusterIP",
        "selector": _selector(name),
        "ports": [port],
        # The controller asks pods that are not ready, too: what is wrong with them is what it wants to know.
        "publishNotReadyAddresses": True,
    }
    return _child(server, "v1", "Service", short_name(name, "-agent"), body)


def disruption_budget(server: WireGuardServer) -> Object:
    """Says that the pod may be moved: one replica that may not would block every drain of a node."""
    name = server.metadata.name
    body = {"maxUnavailable": 1, "selector": {"matchLabels": _selector(name)}}
    return _child(server, "policy/v1", "PodDisruptionBudget", short_name(name), body)


def network_policy(server: WireGuardServer, operator_namespace: str) -> Object:
    """WireGuard from everywhere, the agent from the operator's namespace only."""
    name = server.metadata.name
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}}
    body = {
        "podSelector": {"matchLabels": _selector(name)},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"ports": [{"protocol": "UDP", "port": server.spec.listen_port}]},
            {"ports": [{"protocol": "TCP", "port": AGENT_PORT}], "from": [operator]},
        ],
    }
    return _child(server, "networking.k8s.io/v1", "NetworkPolicy", short_name(name), body)


def _container(server: WireGuardServer, image: str) -> Object:
    key = str(server.key)
    probe = {"tcpSocket": {"port": AGENT_PORT}}
    implementation = server.spec.data_plane.implementation
    container: Object = {
        "name": "agent",
        "image": image,
        "args": [
            "agent",
            f"--bundle={IDENTITY_DIRECTORY}",
            f"--server={key}",
            f"--boot={BOOT_DIRECTORY}",
            f"--state-dir={STATE_DIRECTORY}",
            f"--listen=[::]:{AGENT_PORT}",
            "--on-exit=remove",
            f"--driver={implementation.value.lower()}",
            f"--role={'standby' if server.spec.data_plane.is_replicated else 'active'}",
        ],
        "ports": [
            {"name": "wireguard", "containerPort": server.spec.listen_port, "protocol": "UDP"},
            {"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"},
        ],
        "securityContext": {
            # A capability of an ordinary user would take file capabilities; root without any other is less than that.
            "runAsUser": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        },
        "readinessProbe": {**probe, "periodSeconds": 2},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "identity", "mountPath": IDENTITY_DIRECTORY, "readOnly": True},
            {"name": "boot", "mountPath": BOOT_DIRECTORY, "readOnly": True},
            {"name": "memory", "mountPath": STATE_DIRECTORY, "subPath": "state"},
            {"name": "memory", "mountPath": "/run/wireguard", "subPath": "sockets"},
            {"name": "memory", "mountPath": "/tmp", "subPath": "tmp"},  # noqa: S108 - the container's own
        ],
    }
    if _needs_tun(server):
        container["volumeMounts"].append({"name": "tun", "mountPath": "/dev/net/tun"})
    resources = {kind: dict(amounts) for kind, amounts in server.spec.data_plane.resources if amounts}
    if resources:
        container["resources"] = resources
    return container


def _volumes(server: WireGuardServer) -> list[Object]:
    name = server.metadata.name
    parts = [
        {"secret": {"name": boot_secret_name(name, part), "optional": True, "items": [_item(part)]}}
        for part in range(BOOT_PARTS)
    ]
    volumes: list[Object] = [
        {"name": "identity", "secret": {"secretName": agent_secret_of(server), "defaultMode": 0o400}},
        {"name": "boot", "projected": {"sources": parts, "defaultMode": 0o400}},
        {"name": "memory", "emptyDir": {"medium": "Memory"}},
    ]
    if _needs_tun(server):
        volumes.append({"name": "tun", "hostPath": {"path": "/dev/net/tun", "type": "CharDevice"}})
    return volumes


def _needs_tun(server: WireGuardServer) -> bool:
    """Whether wireguard-go may come to work: a node without the device then keeps the pod from starting."""
    return server.spec.data_plane.implementation is not Implementation.KERNEL


def _item(part: int) -> Object:
    return {"key": "part", "path": f"part-{part}"}


def _apart(server: str) -> Object:
    """Rather not on one node, so that both do not go with it; where there is only one, both are there."""
    term = {"labelSelector": {"matchLabels": _selector(server)}, "topologyKey": "kubernetes.io/hostname"}
    return {"weight": 100, "podAffinityTerm": term}


def _selector(server: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "wireguard-server", SERVER_LABEL: server}


def _child(server: WireGuardServer, version: str, kind: str, name: str, spec: Object) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": server.metadata.namespace,
            "labels": labels(server.metadata.name),
            "ownerReferences": [owner_reference(server, "WireGuardServer")],
        },
        "spec": spec,
    }
