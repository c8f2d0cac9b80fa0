"""What a peer may reach: rules in the style of the egress rules of a ``NetworkPolicy``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Model
from .fields import CIDR, UNIQUE, Port, rule, rules


class Protocol(StrEnum):
    """What runs on IP. ICMP is ICMPv6, too."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMP = "ICMP"


class AccessPort(Model):
    """A destination port, a range of them, or a protocol as a whole."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("self.protocol != 'ICMP' || !has(self.port)", "ICMP has no ports; leave port out"),
            rule(
                "!has(self.endPort) || (has(self.port) && self.port <= self.endPort)",
                "endPort needs port, and must not be less than it",
            ),
        )
    )

    protocol: Protocol = Protocol.TCP
    """TCP, UDP, SCTP or ICMP, which is ICMPv6 as well."""
    port: Port | None = None
    """The port. Default every port of the protocol."""
    end_port: Port | None = None
    """The last port of a range that begins with port."""


class AccessRule(Model):
    """Destinations that a peer may send to. A rule without any field allows everything."""

    to: Annotated[tuple[CIDR, ...], Field(max_length=64, json_schema_extra=UNIQUE)] = ()
    """Networks. Default every destination. The server's own address is one, too, e.g. for its DNS."""
    ports: Annotated[tuple[AccessPort, ...], Field(max_length=64)] = ()
    """Destination ports. Default every protocol and port."""


AccessRules = Annotated[tuple[AccessRule, ...], Field(max_length=16)]
"""A packet passes that one of the rules allows. 16 rules with 64 networks each are a thousand destinations a peer."""


class WalledGarden(Model):
    """What suspended peers reach: where they are told why, and can pay."""

    allow: Annotated[tuple[CIDR, ...], Field(max_length=64, json_schema_extra=UNIQUE)] = ()
    """Networks, e.g. of the portal. The addresses in spec.dns of the server can always be asked, by UDP and TCP at port
    53."""
