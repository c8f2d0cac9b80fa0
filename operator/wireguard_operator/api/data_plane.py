"""What realises a server: pods that the operator makes, an agent on a host outside the cluster, or a foreign system."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from .base import Model
from .fields import CIDR, UNIQUE, Line, ObjectName, rule, rules

Quantity = Annotated[
    str,
    BeforeValidator(str),
    Field(
        max_length=32,
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
        },
    ),
]
"""An amount as Kubernetes writes it, e.g. 100m, 2 or 128Mi."""

Values = dict[str, Annotated[str, Field(max_length=4096)]]


class DataPlaneType(StrEnum):
    """Who makes the device."""

    POD = "Pod"
    HOST = "Host"
    WG_EASY = "WGEasy"
    FIREZONE = "Firezone"

    @property
    def is_foreign(self) -> bool:
        """Whether another system has the device, and the operator asks that system."""
        return self in (DataPlaneType.WG_EASY, DataPlaneType.FIREZONE)


class FirezoneEdition(StrEnum):
    """Firezone was written anew between 0.7 and 1.0; the two have nothing but the name in common."""

    AUTO = "Auto"
    LEGACY = "Legacy"
    CURRENT = "Current"


class Feature(StrEnum):
    """What a peer may ask for and go without: its tunnel works all the same."""

    ACCESS = "Access"
    LIMITS = "Limits"
    ROUTES = "Routes"
    ADDRESSES = "Addresses"
    PRESHARED_KEY = "PresharedKey"
    CLIENT = "Client"


class Implementation(StrEnum):
    """What carries the packets."""

    AUTO = "Auto"
    KERNEL = "Kernel"
    USERSPACE = "Userspace"


class ServiceType(StrEnum):
    """How subscribers reach a server's pods."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TrafficPolicy(StrEnum):
    """Which nodes pass packets from outside on."""

    CLUSTER = "Cluster"
    LOCAL = "Local"


class LocalSecretRef(Model):
    """A Secret in the namespace of the object."""

    name: ObjectName
    """Name of the Secret."""


class HostDataPlane(Model):
    """A Linux host or router that runs `wireguard-operator agent`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.url) != self.dial",
                "needs either url, where the controller reaches the agent, or dial: true, for a host behind NAT whose"
                " agent calls the controller",
            )
        )
    )

    url: Annotated[
        str | None,
        Field(
            max_length=300,
            json_schema_extra=rules(
                rule(
                    "isURL(self)"
                    " && self.matches(r'^https://([0-9A-Za-z.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[^?#]*)?$')"
                    " && (url(self).getPort() == '' || int(url(self).getPort()) <= 65535)",
                    "must be the https URL on which the controller reaches the agent, without user or query,"
                    " e.g. https://192.0.2.1:8443",
                )
            ),
        ),
    ] = None
    """Where the controller reaches the agent, e.g. https://192.0.2.1:8443."""
    dial: bool = False
    """The agent calls the controller instead, whose port for agents (--dial-in) must be open."""
    tls_secret_ref: Annotated[LocalSecretRef | None, Field(alias="tlsSecretRef")] = None
    """Secret in which the operator keeps the agent's tls.crt, tls.key and ca.crt. Default `<server>-agent-tls`."""


SystemURL = Annotated[
    str,
    Field(
        max_length=300,
        json_schema_extra=rules(
            rule(
                "isURL(self)"
                " && self.matches(r'^https://([0-9A-Za-z.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[^?#]*)?$')"
                " && (url(self).getPort() == '' || int(url(self).getPort()) <= 65535)",
                "must be the https URL of the system, without user or query, e.g. https://vpn.example.net",
            )
        ),
    ),
]
"""Where another system's API is."""


class WGEasyDataPlane(Model):
    """An instance of wg-easy 15. Nobody else may change its clients while the operator does: it has no locks."""

    url: SystemURL
    """Where its web page is, e.g. https://vpn.example.net."""


class FirezoneDataPlane(Model):
    """An installation of Firezone: Legacy (0.7) manages WireGuard, Current (1.x) access for Firezone's own clients."""

    url: SystemURL
    """Where its API is, e.g. https://firezone.example.net for 0.7 and https://api.firezone.example.net for 1.x."""
    edition: FirezoneEdition = FirezoneEdition.AUTO
    """Legacy is 0.7, Current 1.x. Auto: the one whose API answers."""
    group: Annotated[Line | None, Field(max_length=64)] = None
    """Of 1.x: name of the group that peers become members of; policies for it say what they reach. It must exist."""


class ServiceSettings(Model):
    """The Service of a server's pods."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("!has(self.nodePort) || self.type != 'ClusterIP'", "nodePort goes with NodePort and LoadBalancer"),
            rule(
                "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
                "externalTrafficPolicy goes with NodePort and LoadBalancer",
            ),
            rule(
                "self.type == 'LoadBalancer' || !(has(self.loadBalancerClass) || has(self.loadBalancerSourceRanges))",
                "loadBalancerClass and loadBalancerSourceRanges go with type: LoadBalancer",
            ),
        )
    )

    type: ServiceType = ServiceType.LOAD_BALANCER
    """ClusterIP: from inside the cluster only. NodePort: a port of every node. LoadBalancer: an address of its own."""
    annotations: Annotated[Values, Field(default_factory=dict, max_length=32)]
    """Annotations, by which many load balancers are told what to do."""
    external_traffic_policy: TrafficPolicy | None = None
    """Local shows the server the subscriber's own address and saves a hop. Default what Kubernetes does: Cluster."""
    node_port: Annotated[int | None, Field(ge=1, le=65535)] = None
    """This port of every node instead of any free one. Must be in the cluster's range, commonly 30000 to 32767."""
    load_balancer_class: Annotated[Line | None, Field(max_length=253)] = None
    """Which load balancer takes the Service."""
    load_balancer_source_ranges: Annotated[tuple[CIDR, ...], Field(max_length=64, json_schema_extra=UNIQUE)] = ()
    """Networks from which subscribers may come. Default all."""


class Resources(Model):
    """What a pod may use."""

    requests: Annotated[dict[str, Quantity], Field(default_factory=dict, max_length=8)]
    """The least, e.g. cpu: 100m, memory: 128Mi."""
    limits: Annotated[dict[str, Quantity], Field(default_factory=dict, max_length=8)]
    """The most."""


class Toleration(Model):
    """A taint that does not keep a pod from a node."""

    key: Annotated[Line | None, Field(max_length=316)] = None
    """The taint's key. Default any."""
    operator: Annotated[str | None, Field(max_length=16, json_schema_extra={"enum": ["Exists", "Equal"]})] = None
    """Exists or Equal. Default Equal."""
    value: Annotated[Line | None, Field(max_length=63)] = None
    """The taint's value."""
    effect: Annotated[
        str | None,
        Field(max_length=32, json_schema_extra={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]}),
    ] = None
    """The taint's effect. Default any."""
    toleration_seconds: Annotated[int | None, Field(ge=0)] = None
    """How long a NoExecute taint is borne. Default for ever."""


class DataPlane(Model):
    """What realises a server."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.host) == (self.type == 'Host')",
                "host goes with type: Host, which needs it: the URL of the agent there, or dial: true",
            ),
            rule(
                "has(self.wgEasy) == (self.type == 'WGEasy')", "wgEasy goes with type: WGEasy, which needs it: its URL"
            ),
            rule(
                "has(self.firezone) == (self.type == 'Firezone')",
                "firezone goes with type: Firezone, which needs it: the URL of its API",
            ),
            rule(
                "has(self.credentialsSecretRef) == (self.type in ['WGEasy', 'Firezone'])",
                "credentialsSecretRef goes with type: WGEasy or Firezone, which need it: the Secret to log in with",
            ),
            rule(
                "!has(self.degradations) || self.type in ['WGEasy', 'Firezone']",
                "degradations go with type: WGEasy or Firezone; the operator's own servers can do all of it",
            ),
            rule(
                "self.type == oldSelf.type",
                "type cannot be changed: make another server and move the peers to it",
            ),
            rule(
                "self.type == 'Pod' || !(has(self.service) || has(self.resources) || has(self.nodeSelector)"
                " || has(self.tolerations) || has(self.image) || has(self.replicas))",
                "service, resources, nodeSelector, tolerations, image and replicas are about pods and go with"
                " type: Pod",
            ),
        )
    )

    type: DataPlaneType = DataPlaneType.POD
    """Pod: the operator makes pods and a Service. Host: an agent on a Linux host or router outside the cluster. WGEasy,
    Firezone: another system has the device, and peers become clients, devices or actors there; see docs/backends.md."""
    implementation: Implementation = Implementation.AUTO
    """Kernel: the node's module. Userspace: wireguard-go. Auto: the module where the node has one, else wireguard-go.
    On hosts the agent's option --driver says it."""
    host: HostDataPlane | None = None
    """Settings of type Host."""
    replicas: Annotated[int | None, Field(ge=1, le=2)] = None
    """Pods. With 2 one serves and the other stands by with everything on its device, and takes over within a second or
    two when the first one or its node goes. Default 1."""
    wg_easy: WGEasyDataPlane | None = None
    """Settings of type WGEasy."""
    firezone: FirezoneDataPlane | None = None
    """Settings of type Firezone."""
    credentials_secret_ref: Annotated[LocalSecretRef | None, Field(alias="credentialsSecretRef")] = None
    """Secret with which the operator logs in: username and password for WGEasy, token for Firezone; and ca.crt, if the
    system's certificate is not of a public authority."""
    degradations: Annotated[tuple[Feature, ...], Field(max_length=8, json_schema_extra=UNIQUE)] = ()
    """What peers go without, if they ask for it and the system cannot do it; the condition Accepted names it. A peer
    that asks for anything else that the system cannot do is refused."""
    service: ServiceSettings = ServiceSettings()
    """How subscribers reach the pods."""
    resources: Resources = Resources()
    """What a pod may use."""
    node_selector: Annotated[Values, Field(default_factory=dict, max_length=16)]
    """Labels of the nodes on which pods may run."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints that do not keep pods from a node."""
    image: Annotated[Line | None, Field(max_length=512)] = None
    """Image of the pods. Default the operator's own."""
    ipv6_forwarding: Annotated[bool, Field(alias="ipv6Forwarding")] = False
    """Ask the kubelet for the sysctl net.ipv6.conf.all.forwarding, without which a pod forwards no IPv6. Nodes must
    allow it (kubelet: allowedUnsafeSysctls)."""

    @property
    def is_replicated(self) -> bool:
        """Whether a pod stands by."""
        return (self.replicas or 1) > 1
