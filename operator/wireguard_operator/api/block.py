"""``WireGuardAddressBlock``: who holds which addresses of a slice of a server's network.

The block is the truth about addresses; what stands in a peer's status is a copy. Blocks are written by the
controller alone, with the resource version that was read, so that no two writers can give one address twice.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .base import Column, Kind, Model, Resource, Time
from .fields import CIDR, ObjectName, rule

BLOCK_SIZE = 128
"""Addresses in a block: small enough to rewrite in a millisecond, large enough to batch a burst of peers."""


class Allocation(Model):
    """A held address."""

    uid: Annotated[str, Field(max_length=64)]
    """UID of the WireGuardPeer."""
    peer: Annotated[str, Field(max_length=320)]
    """namespace/name of the peer, for people."""


class Cooling(Model):
    """An address that was given back and must not be given out yet."""

    until: Time
    """From when it may be given out again."""
    peer: Annotated[str, Field(max_length=320)]
    """namespace/name of the peer that held it."""


class BlockSpec(Model):
    """The slice and its holders, by address."""

    server_name: ObjectName
    """The WireGuardServer in the same namespace."""
    cidr: CIDR
    """The slice of the server's network."""
    allocations: Annotated[dict[str, Allocation], Field(default_factory=dict, max_length=BLOCK_SIZE)]
    """Held addresses."""
    cooling: Annotated[dict[str, Cooling], Field(default_factory=dict, max_length=BLOCK_SIZE)]
    """Addresses in their cool-down."""


class BlockStatus(Model):
    """A block has no status."""


class WireGuardAddressBlock(Resource[BlockSpec, BlockStatus]):
    """One object of the kind."""

    spec: BlockSpec
    status: BlockStatus = BlockStatus()


BLOCK = Kind(
    kind="WireGuardAddressBlock",
    plural="wireguardaddressblocks",
    singular="wireguardaddressblock",
    short_names=("wgab",),
    model=WireGuardAddressBlock,
    description="A slice of a server's network and who holds its addresses. Written by the operator; do not edit.",
    categories=(),  # `kubectl get wireguard` is about what people made
    selectable=(".spec.serverName",),
    spec_rules=(
        rule(
            "self.serverName == oldSelf.serverName && self.cidr == oldSelf.cidr",
            "a block stays the block of its server and slice; it is written by the operator, do not edit it",
        ),
    ),
    columns=(
        Column("Server", ".spec.serverName"),
        Column("CIDR", ".spec.cidr"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
