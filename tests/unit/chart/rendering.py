"""The chart as a list of objects, and what Helm says when it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tools.chart import render

Object = dict[str, Any]


def options(tmp_path: Path, values: Object) -> list[str]:
    """Options of Helm for these values."""
    path = tmp_path / "values.json"
    path.write_text(json.dumps(values))
    return ["--values", str(path)]


def objects(tmp_path: Path, values: Object | None = None) -> dict[tuple[str, str], Object]:
    """All objects of the chart by kind and name."""
    found = [o for o in yaml.safe_load_all(render(*options(tmp_path, values or {}))) if o]
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
