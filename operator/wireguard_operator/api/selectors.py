"""How objects choose one another: label selectors as Kubernetes has them, locations, and the namespaces that may come.

The shapes are those of ``metav1.LabelSelector`` and of the Gateway API's ``AllowedRoutes``, so that nobody has to
learn new ones.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import Model
from .fields import Line, rule, rules

LabelKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=316,
        json_schema_extra=rules(
            rule(
                "!format.qualifiedName().validate(self).hasValue()",
                "must be the key of a label, e.g. tier or example.net/tier",
            )
        ),
    ),
]
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        json_schema_extra=rules(
            rule(
                "!format.labelValue().validate(self).hasValue()",
                "must be the value of a label: letters, digits, '-', '_' and '.', a letter or digit at either end",
            )
        ),
    ),
]


class Operator(StrEnum):
    """How a requirement compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Model):
    """One requirement on the labels of an object."""

    key: LabelKey
    """The label's key."""
    operator: Operator
    """In and NotIn compare with `values`; Exists and DoesNotExist only look for the key."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=32)] = ()
    """Values for In and NotIn."""


Requirements = Annotated[
    tuple[Requirement, ...],
    Field(
        max_length=16,
        json_schema_extra=rules(
            rule(
                "self.all(r, (r.operator == 'In' || r.operator == 'NotIn') == (has(r.values) && r.values.size() > 0))",
                "operators In and NotIn need values, Exists and DoesNotExist take none",
            ),
        ),
    ),
]


class LabelSelector(Model):
    """Labels that an object must have. Empty: any object."""

    match_labels: Annotated[
        dict[str, LabelValue],
        Field(
            default_factory=dict,
            max_length=16,
            json_schema_extra=rules(
                rule(
                    "self.all(key, !format.qualifiedName().validate(key).hasValue())",
                    "every key must be the key of a label, e.g. tier or example.net/tier",
                )
            ),
        ),
    ]
    """Labels with their values, all of which must be there."""
    match_expressions: Requirements = ()
    """Further requirements, all of which must hold."""


class Region(Model):
    """Where a server stands, in the parts that people choose by."""

    name: Annotated[Line | None, Field(max_length=128)] = None
    """The place as subscribers know it, e.g. Frankfurt."""
    country: Annotated[
        str | None,
        Field(
            max_length=64,
            json_schema_extra=rules(
                rule("self.matches('^[A-Z]{2}$')", "must be a country code of two capital letters, e.g. DE")
            ),
        ),
    ] = None
    """ISO 3166-1 alpha-2 code, e.g. DE."""
    region: Annotated[Line | None, Field(max_length=128)] = None
    """State, province or the provider's region."""
    city: Annotated[Line | None, Field(max_length=128)] = None
    """City."""
    provider: Annotated[Line | None, Field(max_length=128)] = None
    """Data centre or hosting provider."""


class Location(Region):
    """Where a server stands."""

    latitude: Annotated[float | None, Field(ge=-90, le=90)] = None
    """Degrees north."""
    longitude: Annotated[float | None, Field(ge=-180, le=180)] = None
    """Degrees east."""


class ServerSelector(LabelSelector):
    """Which servers may carry a peer. Empty: any server that admits the peer's namespace."""

    location: Region | None = None
    """Parts of the location that must be equal."""


class From(StrEnum):
    """Namespaces whose peers a server takes."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class AllowedNamespaces(Model):
    """Namespaces whose peers may use a server, as in the Gateway API."""

    origin: Annotated[From, Field(alias="from")] = From.SAME
    """Same: the server's own namespace. All: every namespace. Selector: those that `selector` matches, and its own."""
    selector: LabelSelector | None = None
    """Labels of the namespaces for `from: Selector`."""
