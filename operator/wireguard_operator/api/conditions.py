"""Conditions as Kubernetes defines them (``metav1.Condition``), and the types our kinds use."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Model, Time


class ConditionType(StrEnum):
    """Condition types; the meaning of each is in docs/reference.md."""

    ACCEPTED = "Accepted"
    ADDRESS_ALLOCATED = "AddressAllocated"
    KEYS_READY = "KeysReady"
    PROGRAMMED = "Programmed"
    READY = "Ready"


class Condition(Model):
    """One observation of an object."""

    type: Annotated[str, Field(max_length=316)]
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    reason: Annotated[str, Field(max_length=1024)]
    message: Annotated[str, Field(max_length=32768)] = ""
    observed_generation: int | None = None
    last_transition_time: Time


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
