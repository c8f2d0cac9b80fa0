"""CustomResourceDefinitions, generated: the models are the source, ``crds/*.yaml`` the product."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yaml

from .base import GROUP, VERSION, Kind
from .block import BLOCK
from .peer import PEER
from .schema import structural
from .server import SERVER

KINDS: tuple[Kind, ...] = (SERVER, PEER, BLOCK)


def definition(kind: Kind) -> dict[str, Any]:
    """The CRD object of ``kind``."""
    schema = structural(kind.model)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    root: dict[str, Any] = {
        "type": "object",
        "description": kind.description,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # A name becomes part of the names of Secrets and of certificates, where a label of 63 is the limit.
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 63}}},
            "spec": spec,
            "status": status,
        },
        "required": ["spec"],
    }
    if kind.spec_rules:
        spec["x-kubernetes-validations"] = list(kind.spec_rules)
    if "observedGeneration" in status.get("properties", {}):
        # An object that no controller has seen yet must not look finished to kstatus; Flux does it the same way.
        status["default"] = {"observedGeneration": -1}
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(asdict(c)) for c in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": list(kind.short_names),
                "categories": list(kind.categories),
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _column(column: dict[str, Any]) -> dict[str, Any]:
    entry = {"name": column["name"], "type": column["type"], "jsonPath": column["path"]}
    if column["priority"]:
        entry["priority"] = column["priority"]
    if column["description"]:
        entry["description"] = column["description"]
    return entry


def manifest(kind: Kind) -> str:
    """The CRD of ``kind`` as YAML with a header that says where it comes from."""
    body = yaml.safe_dump(definition(kind), sort_keys=False, width=110, allow_unicode=True)
    return f"# Generated from operator/wireguard_operator/api by `make generate`. Do not edit.\n{body}"
