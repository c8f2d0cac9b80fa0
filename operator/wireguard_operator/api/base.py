"""What all models of the API group share: naming, strictness and the description of a kind.

Objects are read leniently (unknown fields are ignored, so an older controller survives a newer CRD) because
strictness towards people is the API server's duty: it prunes or refuses by the CRD.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP = "wireguard.dotmac.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


def manifest(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object of this group that somebody may apply."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


class Model(BaseModel):
    """An immutable part of an object, camelCase on the wire and snake_case in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """This model as it stands in an object: camelCase, JSON types, absent instead of null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_FIELD_SETS: dict[frozenset[str], set[str]] = {}


def share_field_sets(model: BaseModel) -> None:
    """Have a model, and those in it, share the sets of the fields that were given to them with all others alike.

    pydantic keeps such a set for each model, 200 to 700 bytes; our models are never changed, so one will do for all.
    """
    given = model.model_fields_set
    object.__setattr__(model, "__pydantic_fields_set__", _FIELD_SETS.setdefault(frozenset(given), given))
    for value in model.__dict__.values():
        if isinstance(value, BaseModel):
            share_field_sets(value)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, the form of ``metav1.Time``."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    AfterValidator(_utc),
    PlainSerializer(format_time, return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]


class ObjectMeta(Model):
    """The parts of ``metav1.ObjectMeta`` that decisions are made from."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


SpecT = TypeVar("SpecT", bound=Model)
StatusT = TypeVar("StatusT", bound=Model)


class Resource(Model, Generic[SpecT, StatusT]):
    """One object of our group."""

    metadata: ObjectMeta
    spec: SpecT
    status: StatusT

    @cached_property
    def key(self) -> Key:
        """Where the object is."""
        return Key(self.metadata.namespace, self.metadata.name)


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """Namespace and name; prints as ``namespace/name`` as kubectl and logs do."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``; priority 1 shows it only with ``-o wide``."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class Kind:
    """What a CRD says about a kind beside its schema."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    model: type[Resource[Any, Any]]
    description: str
    columns: tuple[Column, ...] = field(default=())
    selectable: tuple[str, ...] = field(default=())
    categories: tuple[str, ...] = ("wireguard",)
    spec_rules: tuple[dict[str, str], ...] = field(default=())

    @property
    def crd_name(self) -> str:
        """The name of the CustomResourceDefinition object."""
        return f"{self.plural}.{GROUP}"
