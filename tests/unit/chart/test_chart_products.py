"""Generated files are as they would be generated; every value has a description, a default and a schema."""

import tomllib
from pathlib import Path

import pytest
import yaml
from rendering import Object

from tools import chart
from tools.controlplane import find_or_build
from tools.lab import sh

VALUES = yaml.safe_load((chart.CHART / "values.yaml").read_text())
DESCRIBED = chart.descriptions((chart.CHART / "values.yaml").read_text())


def test_generated_files_are_as_they_would_be_generated() -> None:
    wanted = chart.products()
    outdated = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    assert not outdated, "run `make generate`"
    assert not chart.stale(wanted), "run `make generate`"


def test_the_chart_has_the_definitions_that_the_repository_has() -> None:
    repository = {path.name: path.read_text() for path in (chart.REPOSITORY / "crds").iterdir()}
    assert {path.name: path.read_text() for path in (chart.CHART / "files" / "crds").iterdir()} == repository


def test_chart_and_operator_are_of_one_version() -> None:
    found = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    project = tomllib.loads((chart.REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (found["version"], found["appVersion"]) == (project["version"], project["version"])


def leaves_of(values: Object, known: set[str], prefix: str = "") -> set[str]:
    """Dotted paths of values.yaml, down to where the schema ends."""
    found = set()
    for name, value in values.items():
        path = f"{prefix}{name}"
        found |= {path} if path in known or not isinstance(value, dict) else leaves_of(value, known, f"{path}.")
    return found


def test_every_value_is_described_and_known_to_the_schema_and_has_a_default() -> None:
    known = set(
        chart.leaves(chart.with_descriptions(yaml.safe_load((chart.CHART / "values.schema.json").read_text()), {}))
    )
    assert leaves_of(VALUES, known) == known
    assert known - DESCRIBED.keys() == set()
    for path in known:
        chart.default_of(VALUES, path)


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(path.read_text() for path in (chart.CHART / "templates").iterdir())
    # Of the image, the helper takes all parts.
    unused = {path for path in DESCRIBED if f".Values.{path}" not in templates and not path.startswith("image.")}
    assert unused == {"global"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# One.\na: 1\n", {"a": "One."}),
        ("# Two\n# lines.\na: 1\n", {"a": "Two lines."}),
        ("# Of the file.\n\n# Of a.\na: 1\n", {"a": "Of a."}),
        ("a:\n  # Inner.\n  b: 1\nc: 2\n", {"a.b": "Inner."}),
        ("a:\n  b:\n    # Deep.\n    c: 1\n  # Back.\n  d: 1\n", {"a.b.c": "Deep.", "a.d": "Back."}),
        ("a: 1\n", {}),
    ],
)
def test_a_comment_describes_the_value_below_it(text: str, found: dict[str, str]) -> None:
    assert chart.descriptions(text) == found


def built(folder: str) -> list[Object]:
    return list(yaml.safe_load_all(sh(str(find_or_build("kubectl")), "kustomize", folder)))


def identity(body: Object) -> tuple[str, str, str]:
    return body["kind"], body["metadata"].get("namespace", ""), body["metadata"]["name"]


def without_helm(body: Object) -> Object:
    meta = body["metadata"]
    for part, key in (
        ("labels", "helm.sh/chart"),
        ("labels", "app.kubernetes.io/managed-by"),
        ("annotations", "helm.sh/resource-policy"),
    ):
        meta.get(part, {}).pop(key, None)
    return {**body, "metadata": {key: value for key, value in meta.items() if value != {}}}


def test_kustomize_gives_the_objects_of_the_chart_and_their_namespace() -> None:
    by_chart = {identity(o): without_helm(o) for o in yaml.safe_load_all(chart.render()) if o}
    by_kustomize = {identity(o): o for o in built(str(chart.INSTALL))}
    namespace = by_kustomize.pop(("Namespace", "", "wireguard-system"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert by_kustomize == by_chart


def test_an_image_that_is_set_in_the_kustomization_is_that_of_server_pods_too(tmp_path: Path) -> None:
    for path in chart.INSTALL.iterdir():
        (tmp_path / path.name).write_text(path.read_text())
    file = tmp_path / "kustomization.yaml"
    changed = file.read_text().replace(
        "images:\n- name: wireguard-operator\n",
        "images:\n- name: wireguard-operator\n  newName: registry.example.net/isp/wireguard-operator\n  newTag: '7'\n",
    )
    file.write_text(changed)
    deployment = next(o for o in built(str(tmp_path)) if o["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item.get("value") for item in container["env"]}
    wanted = "registry.example.net/isp/wireguard-operator:7"
    assert (container["image"], env["WIREGUARD_OPERATOR_IMAGE"]) == (wanted, wanted)
