"""What callers send about peers, and the WireGuardPeer that it stands for."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from ...api.base import API_VERSION, format_time
from ...api.peer import SuspensionMode
from ...kube.client import Object
from ..audit import LAST_CHANGED_BY
from ..cache.records import METADATA, NOTES, TITLE
from .fields import Address, Identifier, Metadata, Moment, Name, Networks, Text
from .names import object_name

_PLAIN = ConfigDict(extra="ignore", use_attribute_docstrings=True)
_REASON = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


class PeerStatus(StrEnum):
    """What a peer is, in the words of the contract."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    DISABLED = "disabled"
    EXPIRED = "expired"
    SUSPENDED = "suspended"


class Owner(BaseModel):
    """Who a peer belongs to, and what holds for it. Common to one peer, many, and a provisioned service."""

    model_config = _PLAIN

    customer_id: Identifier | None = None
    """Who pays, commonly a UUID."""
    subscriber_id: Identifier | None = None
    """The service or line."""
    description: Text | None = None
    """Free text for subscribers."""
    allowed_ips: Networks | None = None
    """What the client routes into the tunnel. Default what the server says."""
    persistent_keepalive: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Seconds between keepalives of the client. Default what the server says."""
    expires_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("expires_at", "expiration_date"))] = None
    """When the peer is taken off the device. Default never."""
    metadata: Annotated[Metadata | None, Field(validation_alias=AliasChoices("metadata", "metadata_"))] = None
    """Anything, kept as it is and given back."""
    notes: Text | None = None
    """Free text for staff."""

    def body(self, namespace: str, name: str, id_: str, by: str, server: dict[str, Any]) -> Object:
        """The WireGuardPeer; ``server`` is its serverRef or serverSelector."""
        subscriber = {"customerId": self.customer_id, "subscriberId": self.subscriber_id, "externalId": id_}
        client = {"allowedIPs": self.allowed_ips, "persistentKeepalive": self.persistent_keepalive}
        spec: dict[str, Any] = {
            **server,
            "subscriber": _given(subscriber),
            "client": _given(client),
            "description": self.description or None,
            "expiresAt": format_time(self.expires_at) if self.expires_at else None,
        }
        annotations = {
            TITLE: name if object_name(name) != name else None,
            NOTES: self.notes or None,
            METADATA: json.dumps(self.metadata, ensure_ascii=False) if self.metadata else None,
            LAST_CHANGED_BY: by,
        }
        metadata = {"name": object_name(name), "namespace": namespace, "annotations": _given(annotations)}
        return {"apiVersion": API_VERSION, "kind": "WireGuardPeer", "metadata": metadata, "spec": _given(spec)}


class PeerCreate(Owner):
    """A peer that is to be made."""

    server_id: UUID
    """The server that carries it."""
    name: Annotated[Name, Field(validation_alias=AliasChoices("name", "peer_name"), examples=["alice-phone"])]
    """Its name, of which there is one in the tenant."""
    generate_keys: bool = True
    """The operator makes the keys. False: public_key is that of a device that keeps its private key."""
    public_key: Annotated[str | None, Field(max_length=64)] = None
    """Public key of a device that keeps its private key to itself."""
    peer_ipv4: Annotated[
        Address | None,
        Field(
            validation_alias=AliasChoices("peer_ipv4", "peer_ip", "peer_address"),
            examples=["10.8.0.20/32"],
        ),
    ] = None
    """An IPv4 address that the peer must have. Default any free one."""
    peer_ipv6: Annotated[Address | None, Field(validation_alias=AliasChoices("peer_ipv6", "peer_address_v6"))] = None
    """The same for IPv6."""
    use_preshared_key: bool = True
    """Whether there is a preshared key beside generated keys."""
    enabled: bool = True
    """Whether the peer is put on the device."""
    status: PeerStatus | None = None
    """active, or disabled for a peer that is not put on the device."""

    @model_validator(mode="before")
    @classmethod
    def _no_private_key(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("private_key"):
            raise ValueError("private_key is not taken: a device that has one keeps it; send its public_key")
        return value

    @model_validator(mode="after")
    def _complete(self) -> PeerCreate:
        if not self.generate_keys and self.public_key is None:
            raise ValueError("public_key is needed when generate_keys is false")
        for field, address, mark in (("peer_ipv4", self.peer_ipv4, "."), ("peer_ipv6", self.peer_ipv6, ":")):
            if address is not None and mark not in address:
                raise ValueError(f"{field}: {address} is an address of the other family")
        if self.status not in (None, PeerStatus.ACTIVE, PeerStatus.DISABLED, PeerStatus.INACTIVE):
            raise ValueError(f"status: a peer cannot begin {self.status}; active and disabled can be set")
        return self

    def full_body(self, namespace: str, id_: str, by: str, server: dict[str, Any]) -> Object:
        """The WireGuardPeer with addresses and keys."""
        body = self.body(namespace, self.name, id_, by, server)
        addresses = [address for address in (self.peer_ipv4, self.peer_ipv6) if address is not None]
        off = not self.enabled or self.status in (PeerStatus.DISABLED, PeerStatus.INACTIVE)
        more = {
            "publicKey": self.public_key,
            "addresses": addresses or None,
            "presharedKey": None if self.use_preshared_key else {"policy": "Never"},
            "enabled": False if off else None,
        }
        body["spec"] |= _given(more)
        return body


class PeerUpdate(BaseModel):
    """What is to change about a peer. What is not given stays, null takes a value away."""

    model_config = _PLAIN

    name: Annotated[Name | None, Field(validation_alias=AliasChoices("name", "peer_name"))] = None
    """What the API calls the peer from now on; the object keeps its name."""
    description: Text | None = None
    """Free text for subscribers."""
    customer_id: Identifier | None = None
    """Who pays."""
    subscriber_id: Identifier | None = None
    """The service or line."""
    status: PeerStatus | None = None
    """active puts the peer on the device, disabled or inactive takes it off, expired does so by its date."""
    enabled: bool | None = None
    """The same as status active and disabled."""
    server_id: UUID | None = None
    """Another server: the peer moves there."""
    allowed_ips: Networks | None = None
    """What the client routes into the tunnel."""
    persistent_keepalive: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Seconds between keepalives of the client."""
    expires_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("expires_at", "expiration_date"))] = None
    """When the peer is taken off the device."""
    metadata: Annotated[Metadata | None, Field(validation_alias=AliasChoices("metadata", "metadata_"))] = None
    """Replaces the metadata."""
    notes: Text | None = None
    """Free text for staff."""

    @model_validator(mode="after")
    def _consistent(self) -> PeerUpdate:
        if self.status is PeerStatus.SUSPENDED:
            raise ValueError("status suspended needs a reason: POST /peers/{id}/suspend")
        by_status = {PeerStatus.ACTIVE: True, PeerStatus.DISABLED: False, PeerStatus.INACTIVE: False}
        wanted = by_status.get(self.status) if self.status is not None else None
        if None not in (wanted, self.enabled) and wanted != self.enabled:
            raise ValueError(f"status {self.status} and enabled {str(self.enabled).lower()} contradict one another")
        if self.status is PeerStatus.EXPIRED and self.expires_at is not None:
            raise ValueError("status expired sets expires_at to now: give one of the two")
        return self

    def patch(self, object_name: str, by: str, now: datetime) -> Object:
        """A merge patch. The server is left to the caller, who knows its name."""
        given = self.model_fields_set
        spec: dict[str, Any] = {}
        client: dict[str, Any] = {}
        subscriber: dict[str, Any] = {}
        if "description" in given:
            spec["description"] = self.description
        if self.enabled is not None:
            spec["enabled"] = self.enabled
        if "expires_at" in given:
            spec["expiresAt"] = format_time(self.expires_at) if self.expires_at else None
        if self.status is PeerStatus.EXPIRED:
            spec["expiresAt"] = format_time(now)
        elif self.status is not None:
            spec["enabled"] = self.status is PeerStatus.ACTIVE
        if "allowed_ips" in given:
            client["allowedIPs"] = self.allowed_ips
        if "persistent_keepalive" in given:
            client["persistentKeepalive"] = self.persistent_keepalive
        if "customer_id" in given:
            subscriber["customerId"] = self.customer_id
        if "subscriber_id" in given:
            subscriber["subscriberId"] = self.subscriber_id
        spec |= ({"client": client} if client else {}) | ({"subscriber": subscriber} if subscriber else {})
        annotations: dict[str, str | None] = {LAST_CHANGED_BY: by}
        if self.name is not None:
            annotations[TITLE] = self.name if self.name != object_name else None
        if "notes" in given:
            annotations[NOTES] = self.notes
        if "metadata" in given:
            annotations[METADATA] = json.dumps(self.metadata, ensure_ascii=False) if self.metadata else None
        return {"metadata": {"annotations": annotations}} | ({"spec": spec} if spec else {})


class SuspendRequest(BaseModel):
    """A lock on the tunnel. One that is there with the same reason is replaced."""

    model_config = _PLAIN

    reason: Annotated[str, Field(pattern=_REASON, examples=["non-payment", "abuse"])] = "manual"
    """Why, as a word of lower-case letters, digits and '-'. Locks of different reasons are lifted one by one."""
    mode: SuspensionMode = SuspensionMode.CUT
    """Cut, WalledGarden or Throttle."""
    until: Annotated[Moment | None, Field(validation_alias=AliasChoices("until", "suspend_until"))] = None
    """When it ends by itself. Default never."""
    message: Text | None = None
    """Free text."""


class ResumeRequest(BaseModel):
    """Which lock is lifted."""

    model_config = _PLAIN

    reason: Annotated[str, Field(pattern=_REASON, examples=["non-payment"])] = "manual"
    """The reason that the lock was set with. Others stay, and the peer stays suspended by them."""


class BulkCreate(Owner):
    """Up to a hundred peers: so many that are numbered, or rows of their own."""

    server_id: UUID | None = None
    """The server of all that do not name another."""
    count: Annotated[int | None, Field(ge=1, le=100)] = None
    """How many to make that differ in their number only."""
    name_prefix: Annotated[Name | None, Field(max_length=200)] = None
    """Their names: the prefix and 1, 2, 3 ..."""
    peers: Annotated[list[dict[str, Any]] | None, Field(min_length=1, max_length=100)] = None
    """Instead of count and name_prefix: each as for POST /peers. One that is wrong does not keep others back."""

    @model_validator(mode="after")
    def _one_way(self) -> BulkCreate:
        if (self.peers is None) == (self.count is None):
            raise ValueError("count with name_prefix, or peers, is needed, and not both")
        if self.count is not None and (self.name_prefix is None or self.server_id is None):
            raise ValueError("count needs name_prefix and server_id")
        return self

    def rows(self) -> list[dict[str, Any]]:
        """A request of its own for each peer, not validated yet."""
        common = self.model_dump(mode="json", exclude_unset=True, exclude={"count", "name_prefix", "peers"})
        if self.peers is not None:
            return [common | row for row in self.peers]
        assert self.count is not None  # noqa: S101 - see _one_way
        return [common | {"name": f"{self.name_prefix}{number}"} for number in range(1, self.count + 1)]


class Provision(Owner):
    """A service that is to be set up for a subscriber."""

    server_id: UUID | None = None
    """The server. Default the least utilised one that admits the tenant."""
    peer_name: Annotated[Name | None, Field(validation_alias=AliasChoices("peer_name", "name"))] = None
    """Default: after the subscriber, else the customer. The same call again finds the same peer."""
    location: Annotated[Name | None, Field(max_length=128)] = None
    """Choose only among servers of this location."""

    @model_validator(mode="after")
    def _named(self) -> Provision:
        if self.customer_id is None and self.subscriber_id is None:
            raise ValueError("customer_id or subscriber_id is needed")
        if self.server_id is not None and self.location is not None:
            raise ValueError("location is for choosing a server, and server_id names one: give one of the two")
        return self

    @property
    def name(self) -> str:
        """What the peer is called."""
        if self.peer_name is not None:
            return self.peer_name
        return f"subscriber-{self.subscriber_id}" if self.subscriber_id else f"customer-{self.customer_id}"


class StatsSync(BaseModel):
    """Of which server."""

    model_config = _PLAIN

    server_id: UUID
    """The server."""


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
