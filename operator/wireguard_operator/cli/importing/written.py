"""A file that ``import -o`` has written, on a host say that has no way to the cluster: what is in it is made elsewhere.

``kubectl apply`` would bring it, too. But it changes objects of the same names that belong to another server, and makes
the server though some of its peers were refused, which would then be cut.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from .found import SourceError, read_text
from .manifests import HIDDEN, RESOURCES, Body, Plan, in_order


def read(path: Path) -> Plan:
    """The objects in the file. Raises SourceError."""
    text = read_text(path)
    try:
        found = [body for body in yaml.safe_load_all(text) if body is not None]
    except yaml.YAMLError as error:  # its text quotes the file, which has keys
        mark = getattr(error, "problem_mark", None)
        raise SourceError(f"{path}: no YAML" + (f", line {mark.line + 1}" if mark is not None else "")) from None
    for number, body in enumerate(found, 1):
        if not _is_ours(body):
            raise SourceError(f"{path}: object {number} is not one that `import -o` writes: {', '.join(RESOURCES)}")
        if HIDDEN in body.get("data", {}).values():
            raise SourceError(f"{path} was shown with its keys hidden; have it written with -o {path}")
    if len(namespaces := {body["metadata"]["namespace"] for body in found}) > 1:
        raise SourceError(f"{path} has objects of several namespaces: {', '.join(sorted(namespaces))}")
    return Plan(in_order(found), ())


def _is_ours(body: Body) -> bool:
    try:
        name = body["kind"] in RESOURCES and body["metadata"]["namespace"] and body["metadata"]["name"]
        return bool(name) and isinstance(body["data" if body["kind"] == "Secret" else "spec"], dict)
    except (KeyError, TypeError):
        return False
