"""From a pydantic model to the structural OpenAPI v3 schema that a CRD demands.

pydantic writes JSON Schema 2020-12; a CRD takes the OpenAPI 3.0 dialect without ``$ref``, unions or ``null``
(https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_DROPPED = {"title", "$defs", "examples", "discriminator", "prefixItems"}


class UnsupportedSchemaError(TypeError):
    """The model has a shape that no structural schema can express."""


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of ``model``. Raises UnsupportedSchemaError for unions and recursion."""
    raw = model.model_json_schema(by_alias=True)
    return _convert(raw, raw.get("$defs", {}), model.__name__, ())


def _convert(node: dict[str, Any], defs: dict[str, Any], path: str, parents: tuple[str, ...]) -> dict[str, Any]:
    if "$ref" in node:
        name = str(node["$ref"]).rsplit("/", 1)[-1]
        if name in parents:
            raise UnsupportedSchemaError(f"{path}: {name} contains itself")
        overrides = {k: v for k, v in node.items() if k != "$ref"}
        return _convert({**defs[name], **overrides}, defs, path, (*parents, name))
    node = {k: v for k, v in node.items() if k not in _DROPPED}
    if "anyOf" in node:
        return _convert(_without_null(node, path), defs, path, parents)
    if node.get("default", ...) in (None, []) or isinstance(node.get("default"), dict):
        # An absent part and an empty one mean the same to us; a default would only make diffs noisier.
        del node["default"]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            node[bound], node[exclusive] = node[exclusive], True
    if "properties" in node:
        node["properties"] = {
            name: _convert(child, defs, f"{path}.{name}", parents) for name, child in node["properties"].items()
        }
    if "items" in node:
        node["items"] = _convert(node["items"], defs, f"{path}[]", parents)
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        node["additionalProperties"] = _convert(extra, defs, f"{path}.*", parents)
    elif extra is not None:
        del node["additionalProperties"]
    if node.get("x-kubernetes-int-or-string"):
        # The one union that a structural schema may have; it stands without a type, and the rest is about the text.
        return {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            **{k: v for k, v in node.items() if k not in ("type", "maxLength")},
        }
    if node.get("type") == "integer":
        node.setdefault("format", "int64" if node.get("maximum", 2**63) > 2**31 - 1 else "int32")
    if "type" not in node:
        raise UnsupportedSchemaError(f"{path}: has no type")
    return node


def _without_null(node: dict[str, Any], path: str) -> dict[str, Any]:
    branches = [b for b in node["anyOf"] if b.get("type") != "null"]
    if len(branches) != 1:
        raise UnsupportedSchemaError(f"{path}: a union has no structural form; use one field per shape and a CEL rule")
    return {**branches[0], **{k: v for k, v in node.items() if k != "anyOf"}}
