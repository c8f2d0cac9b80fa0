"""What is derived from charts/wireguard-operator, and what the chart is given from elsewhere: ``make generate``.

    crds/                  →  files/crds/           a chart cannot read outside of its folder
    comments, values.yaml  →  values.schema.json    descriptions, for editors
                           →  README.md             the table of values
    tools/dashboard/       →  files/dashboard.json  for Grafana
    the rendered chart     →  manifests/install/    the same installation for kustomize and plain kubectl
    the metrics there are  →  docs/metrics.md       their table
    what systems can do    →  docs/backends.md      their table

`products` computes all these files without writing any, so that a test can compare them with those that are there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from tools import capabilities, dashboard, metrics
from tools.controlplane import find_or_build

REPOSITORY = Path(__file__).resolve().parents[1]
CHART = REPOSITORY / "charts" / "wireguard-operator"
INSTALL = REPOSITORY / "manifests" / "install"
METRICS = REPOSITORY / "docs" / "metrics.md"
BACKENDS = REPOSITORY / "docs" / "backends.md"
NAMESPACE = "wireguard-system"

_GENERATED = "# Generated from charts/wireguard-operator by `make generate`. Do not edit.\n"
_BEGIN, _END = "<!-- values: generated from values.yaml by `make generate` -->\n", "<!-- end of values -->"
_HELM_LINES = re.compile(
    r"^# Source: .*\n"
    r"|^ +(?:helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n"
    r"|^  annotations:\n(?:    #.*\n)?    helm\.sh/resource-policy: keep\n",
    re.MULTILINE,
)
"""What tells where in the chart an object comes from, and that Helm rules it."""


def main() -> int:
    """Write all products, and remove the files that are none any more."""
    wanted = products()
    for path in stale(wanted):
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


def products() -> dict[Path, str]:
    """The text of every product by its path."""
    described = descriptions((CHART / "values.yaml").read_text())
    schema = with_descriptions(json.loads((CHART / "values.schema.json").read_text()), described)
    readme = (CHART / "README.md").read_text()
    table = values_table(schema, described)
    return {
        **{CHART / "files" / "crds" / path.name: path.read_text() for path in sorted((REPOSITORY / "crds").iterdir())},
        CHART / "values.schema.json": json.dumps(schema, indent=2) + "\n",
        CHART / "README.md": readme[: readme.index(_BEGIN) + len(_BEGIN)] + table + readme[readme.index(_END) :],
        CHART / "files" / "dashboard.json": dashboard.text(dashboard.ROWS),
        METRICS: metrics.with_table(METRICS.read_text()),
        BACKENDS: capabilities.with_table(BACKENDS.read_text()),
        **{INSTALL / name: text for name, text in manifests().items()},
    }


def stale(wanted: Collection[Path]) -> list[Path]:
    """Files among the products that are none any more."""
    there = [*(CHART / "files" / "crds").glob("*"), *INSTALL.glob("*.yaml")]
    return [path for path in there if path not in wanted and path.name != "kustomization.yaml"]


def descriptions(values: str) -> dict[str, str]:
    """The comment above each value of ``values.yaml``, by the value's dotted path."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in values.splitlines():
        if text := re.fullmatch(r" *# ?(.*)", line):
            comment.append(text[1])
            continue
        if key := re.match(r"( *)([A-Za-z]+):", line):
            depth = len(key[1])
            above = [(d, name) for d, name in above if d < depth] + [(depth, key[2])]
            if comment:
                found[".".join(name for _, name in above)] = " ".join(comment)
        comment = []
    return found


def with_descriptions(schema: dict[str, Any], described: dict[str, str], prefix: str = "") -> dict[str, Any]:
    """The schema with each property's description put in, first, or taken out."""
    properties = {}
    for name, part in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        rest = {key: value for key, value in part.items() if key != "description"}
        rest = with_descriptions(rest, described, f"{path}.")
        properties[name] = {"description": described[path], **rest} if path in described else rest
    return {**schema, "properties": properties} if properties else schema


def leaves(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all values that the schema knows, in its order: where free text begins, a path ends."""
    for name, part in schema["properties"].items():
        if part.get("properties") and name != "resources":
            yield from leaves(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def default_of(values: Any, path: str) -> Any:
    """The default of the value at a dotted path."""
    for name in path.split("."):
        values = values[name]
    return values


def values_table(schema: dict[str, Any], described: dict[str, str]) -> str:
    """All values as a Markdown table."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = ["| value | default | |\n|---|---|---|\n"]
    for path in leaves(schema):
        default = json.dumps(default_of(values, path))
        rows.append(f"| `{path}` | `{default}` | {described.get(path, '')} |\n")
    return "".join(rows)


def render(*options: str, chart: Path = CHART, namespace: str = NAMESPACE) -> str:
    """What ``helm template`` prints. Raises CalledProcessError."""
    command = [str(find_or_build("helm")), "template", "wireguard-operator", str(chart), "--namespace", namespace]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout


def manifests() -> dict[str, str]:
    """The chart's objects with its defaults, without Helm's marks: one file a kind, by file name."""
    with tempfile.TemporaryDirectory() as scratch:
        # The chart with the definitions as they are now, not as they were when it was last given them.
        copy = Path(scratch) / "chart"
        shutil.copytree(CHART, copy, ignore=shutil.ignore_patterns("crds"))
        shutil.copytree(REPOSITORY / "crds", copy / "files" / "crds")
        rendered = render(chart=copy)
    found = {"namespace.yaml": _GENERATED + _namespace()}
    for text in re.split(r"^---\n", rendered, flags=re.MULTILINE):
        document = _HELM_LINES.sub("", text).strip()
        if not document:
            continue
        name = f"{yaml.safe_load(document)['kind'].lower()}.yaml"
        found[name] = found[name] + "---\n" if name in found else _GENERATED
        found[name] += document + "\n"
    return found


def _namespace() -> str:
    return f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"""


if __name__ == "__main__":
    sys.exit(main())
