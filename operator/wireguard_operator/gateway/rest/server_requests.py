"""What callers send about servers, and the WireGuardServer that it stands for.

Fields come from two generations of dotmac platforms, which name some things differently; both names are taken.
"""

from __future__ import annotations

import ipaddress
import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from ...api.base import API_VERSION
from ...kube.client import Object
from ..audit import LAST_CHANGED_BY
from ..cache.identity import ID
from ..cache.records import DESCRIPTION, METADATA, TITLE
from .fields import Metadata, Name, Names, Networks, Text
from .names import object_name

Port = Annotated[int, Field(ge=1, le=65535)]
_PLAIN = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class ServerStatus(StrEnum):
    """What a server is, in the words of the contract."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DEGRADED = "degraded"
    MAINTENANCE = "maintenance"


class _ServerFields(BaseModel):
    """What can be given at any time."""

    model_config = _PLAIN

    description: Text | None = None
    """Free text."""
    public_endpoint: Annotated[
        str | None, Field(max_length=300, examples=["vpn.example.net:51820", "[2001:db8::1]:51820"])
    ] = None
    """How subscribers reach the server: host:port."""
    public_host: Annotated[str | None, Field(max_length=253)] = None
    """Instead of public_endpoint: the host."""
    public_port: Port | None = None
    """Instead of public_endpoint: the port. Default listen_port."""
    server_ipv4: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("server_ipv4", "vpn_address"), examples=["10.8.0.1/24"]),
    ] = None
    """The server's IPv4 address with the network that peers get addresses from."""
    server_ipv6: Annotated[
        str | None,
        Field(validation_alias=AliasChoices("server_ipv6", "vpn_address_v6"), examples=["fd00:8::1/64"]),
    ] = None
    """The same for IPv6."""
    location: Annotated[Name | None, Field(max_length=128, examples=["Frankfurt"])] = None
    """Where the server stands, as subscribers know it."""
    dns_servers: Names | None = None
    """DNS servers and search domains of clients."""
    allowed_ips: Networks | None = None
    """What clients route into the tunnel."""
    persistent_keepalive: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Seconds between keepalives of clients; 0 is off."""
    mtu: Annotated[int | None, Field(ge=1280, le=9000)] = None
    """MTU of the tunnel."""
    is_active: bool | None = None
    """Whether the server serves its peers."""
    agent_url: Annotated[str | None, Field(max_length=300, examples=["https://192.0.2.1:8443"])] = None
    """Where the agent of a host outside the cluster is reached. Default: the operator makes pods."""

    def spec(self) -> dict[str, Any]:
        """The parts of a specification that were given; None in them takes a value away. Raises ValueError."""
        given = self.model_fields_set
        spec: dict[str, Any] = {}
        if endpoint := self._endpoint():
            spec["endpoint"] = endpoint
        if networks := self._networks():
            spec["networks"] = networks
        if "location" in given:
            spec["location"] = {"name": self.location} if self.location else None
        if "dns_servers" in given:
            spec["dns"] = self.dns_servers
        if "allowed_ips" in given:
            spec["clientAllowedIPs"] = self.allowed_ips
        if "persistent_keepalive" in given:
            spec["persistentKeepalive"] = self.persistent_keepalive
        if "mtu" in given:
            spec["mtu"] = self.mtu
        if self.is_active is not None:
            spec["enabled"] = self.is_active
        if self.agent_url is not None:
            spec["dataPlane"] = {"type": "Host", "host": {"url": self.agent_url}}
        return spec

    def _endpoint(self) -> dict[str, Any] | None:
        if self.public_endpoint is not None:
            return parse_endpoint(self.public_endpoint)
        if self.public_host is None:
            if self.public_port is not None:
                raise ValueError("public_port goes with public_host")
            return None
        return {"host": self.public_host.lower()} | ({"port": self.public_port} if self.public_port else {})

    def _networks(self) -> list[str]:
        given = (("server_ipv4", self.server_ipv4, 4), ("server_ipv6", self.server_ipv6, 6))
        return [parse_network(name, value, version) for name, value, version in given if value is not None]


class ServerCreate(_ServerFields):
    """A server that is to be made."""

    name: Name
    """Its name, of which there is one in the tenant."""
    listen_port: Port = 51820
    """UDP port on which it listens."""
    max_peers: Annotated[int, Field(ge=1, le=65536)] = 1000
    """The most peers that it takes."""
    metadata: Annotated[Metadata | None, Field(validation_alias=AliasChoices("metadata", "metadata_"))] = None
    """Anything, kept as it is and given back."""

    @model_validator(mode="after")
    def _complete(self) -> ServerCreate:
        if self.server_ipv4 is None and self.server_ipv6 is None:
            raise ValueError("server_ipv4 or server_ipv6 is needed: the server's address and network, e.g. 10.8.0.1/24")
        self.spec()
        return self

    def body(self, namespace: str, id_: str, by: str) -> Object:
        """The WireGuardServer."""
        annotations = {ID: id_, LAST_CHANGED_BY: by}
        name = object_name(self.name)
        if name != self.name:
            annotations[TITLE] = self.name
        if self.description:
            annotations[DESCRIPTION] = self.description
        if self.metadata:
            annotations[METADATA] = json.dumps(self.metadata, ensure_ascii=False)
        spec = {key: value for key, value in self.spec().items() if value is not None}
        return {
            "apiVersion": API_VERSION,
            "kind": "WireGuardServer",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": spec | {"listenPort": self.listen_port, "maxPeers": self.max_peers},
        }


class ServerUpdate(_ServerFields):
    """What is to change about a server. What is not given stays."""

    name: Name | None = None
    """What the API calls the server from now on; the object keeps its name."""
    listen_port: Port | None = None
    """UDP port on which it listens."""
    max_peers: Annotated[int | None, Field(ge=1, le=65536)] = None
    """The most peers that it takes."""
    status: ServerStatus | None = None
    """active serves, inactive takes all peers off the device, maintenance keeps new ones away."""
    metadata: Annotated[Metadata | None, Field(validation_alias=AliasChoices("metadata", "metadata_"))] = None
    """Replaces the metadata."""

    @model_validator(mode="after")
    def _consistent(self) -> ServerUpdate:
        if self.status is ServerStatus.DEGRADED:
            raise ValueError("status degraded is observed and cannot be set: active, inactive or maintenance can")
        self.spec()
        return self

    def patch(self, object_name: str, by: str) -> Object:
        """A merge patch."""
        given = self.model_fields_set
        spec = self.spec()
        if self.listen_port is not None:
            spec["listenPort"] = self.listen_port
        if "max_peers" in given:
            spec["maxPeers"] = self.max_peers
        if self.status is not None:
            spec["enabled"] = self.status is not ServerStatus.INACTIVE
            spec["maintenance"] = {"enabled": True} if self.status is ServerStatus.MAINTENANCE else None
        annotations: dict[str, str | None] = {LAST_CHANGED_BY: by}
        if self.name is not None:
            annotations[TITLE] = self.name if self.name != object_name else None
        if "description" in given:
            annotations[DESCRIPTION] = self.description
        if "metadata" in given:
            annotations[METADATA] = json.dumps(self.metadata, ensure_ascii=False) if self.metadata else None
        return {"metadata": {"annotations": annotations}} | ({"spec": spec} if spec else {})


def parse_endpoint(text: str) -> dict[str, Any]:
    """``host:port`` as an endpoint of a specification. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"public_endpoint: an IPv6 address stands in brackets, e.g. [2001:db8::1]:51820, not {text}")
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError(f"public_endpoint: {text!r} is not host:port, e.g. vpn.example.net:51820")
    return {"host": host.lower(), "port": int(port)}


def parse_network(field: str, text: str, version: int) -> str:
    """The network of a server's address. Raises ValueError when the operator would give the server another one."""
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(f"{field}: {text[:64]!r} is not an address with a prefix length, e.g. 10.8.0.1/24") from None
    network = interface.network
    if network.version != version:
        raise ValueError(f"{field}: {text} is not IPv{version}")
    if network.num_addresses < 4:
        raise ValueError(f"{field}: {text} leaves no room for peers; a network has at most /30 or /126")
    if interface.ip not in (network.network_address, network.network_address + 1):
        raise ValueError(
            f"{field}: the server has the first address of its network: {network[1]}/{network.prefixlen}, not {text}"
        )
    return str(network)
