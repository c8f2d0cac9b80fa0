"""The chart as a list of objects, and what Helm says when it refuses."""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.chart import render

Object = dict[str, Any]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in C, where PyYAML was built with it: the definitions are thousands of lines."""


def options(tmp_path: Path, values: Object) -> list[str]:
    """Options of Helm for these values."""
    path = tmp_path / "values.json"
    path.write_text(json.dumps(values))
    return ["--values", str(path)]


def objects(values: Object | None = None) -> dict[tuple[str, str], Object]:
    """All objects of the chart by kind and name. Nobody may change them: others are given the same."""
    return _objects(json.dumps(values or {}))


@cache
def _objects(values: str) -> dict[tuple[str, str], Object]:
    with tempfile.TemporaryDirectory() as folder:
        rendered = render(*options(Path(folder), json.loads(values)))
    found = [o for o in yaml.load_all(rendered, LOADER) if o]
    by_name = {(o["kind"], f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}"): o for o in found}
    assert len(by_name) == len(found), "two objects have one name"
    return by_name


def refusal(tmp_path: Path, values: Object) -> str:
    """What Helm says about values that it does not take."""
    try:
        render(*options(tmp_path, values))
    except subprocess.CalledProcessError as error:
        return str(error.stderr)
    raise AssertionError(f"{values} were taken")
