"""Conditions as Kubernetes defines them (``metav1.Condition``), and the types our kinds use."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Model, Time


class ConditionType(StrEnum):
    """Condition types. ``Reconciling`` and ``Stalled`` are there only while they are True, as kstatus wants it."""

    ACCEPTED = "Accepted"
    ADDRESS_ALLOCATED = "AddressAllocated"
    KEYS_READY = "KeysReady"
    PROGRAMMED = "Programmed"
    AVAILABLE = "Available"
    DEGRADED = "Degraded"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


MEANINGS: dict[ConditionType, str] = {
    ConditionType.ACCEPTED: "the specification can be served, as far as other objects are concerned",
    ConditionType.ADDRESS_ALLOCATED: "the peer holds its addresses and routes",
    ConditionType.KEYS_READY: "the keys are in a Secret",
    ConditionType.PROGRAMMED: "the agent has confirmed that the device is so",
    ConditionType.AVAILABLE: "a selector may choose the server: there is room, and no maintenance",
    ConditionType.DEGRADED: "the server serves, but not all of what one would expect; there only while True",
    ConditionType.READY: "the world is as the specification says; for a disabled peer that is to be off the device",
    ConditionType.RECONCILING: "the operator works on it, or waits for something that usually comes by itself",
    ConditionType.STALLED: "somebody has to act; the reason says what about",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One observation of an object."""

    # No model of its own: every peer has five of them, and a model takes a kilobyte.
    __pydantic_config__ = Model.model_config

    type: Annotated[str, Field(max_length=316)]
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    reason: Annotated[str, Field(max_length=1024)]
    message: Annotated[str, Field(max_length=32768)] = ""
    observed_generation: int | None = None
    last_transition_time: Time = field(kw_only=True)


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
