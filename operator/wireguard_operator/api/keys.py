"""References to keys that somebody else keeps, and the policy for preshared keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from .base import Model
from .fields import ObjectName, rule, rules

SecretKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            rule(
                "self.matches('^[-._a-zA-Z0-9]+$')",
                "must be a key of a Secret's data: letters, digits, '-', '_' and '.'",
            )
        ),
    ),
]

KeyGeneration = Annotated[
    int,
    Field(
        ge=0,
        le=2**31 - 1,
        json_schema_extra=rules(
            rule("self >= oldSelf", "can only be raised: keys that were replaced do not come back")
        ),
    ),
]


class PrivateKeyRef(Model):
    """A private key in a Secret of the object's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey = "privateKey"
    """Key of the Secret's data that holds the private key as `wg genkey` prints it."""


class PresharedKeyRef(Model):
    """A preshared key in a Secret of the object's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey = "presharedKey"
    """Key of the Secret's data that holds the preshared key as `wg genpsk` prints it."""


class PresharedKeyPolicy(StrEnum):
    """When a peer has a preshared key."""

    AUTO = "Auto"
    ALWAYS = "Always"
    NEVER = "Never"


class PresharedKey(Model):
    """The preshared key, which keeps recorded traffic safe from quantum computers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.secretRef) || self.policy != 'Never'", "policy Never takes no secretRef; remove one of them"
            )
        )
    )

    policy: PresharedKeyPolicy = PresharedKeyPolicy.AUTO
    """Auto: one is made together with generated keys, none for keys from elsewhere. Always: one is made in any case."""
    secret_ref: Annotated[PresharedKeyRef | None, Field(alias="secretRef")] = None
    """Take it from this Secret instead of making one."""
