"""The reference: what people look up is there, and the file in docs/ is the one of the models."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wireguard_operator.__main__ import main
from wireguard_operator.api.base import Kind
from wireguard_operator.api.conditions import MEANINGS, ConditionType
from wireguard_operator.api.crd import KINDS, definition
from wireguard_operator.api.reasons import EXPLANATIONS, Reason
from wireguard_operator.api.reference import PHASES, SECRETS, reference
from wireguard_operator.domain import secrets

FILE = Path(__file__).parents[3] / "docs" / "reference.md"

SHOWN = {"type", "format", "enum", "default", "description", "required", "properties", "items", "additionalProperties"}
SHOWN |= {f"{end}{what}" for end in ("min", "max") for what in ("imum", "Length", "Items", "Properties")}
SHOWN |= {f"x-kubernetes-{what}" for what in ("validations", "list-type", "list-map-keys")}
SHOWN |= {"anyOf", "pattern", "x-kubernetes-int-or-string"}
"""What a schema may say because the page shows it; the last line is what makes an *amount*."""


@pytest.fixture(scope="module")
def page() -> str:
    return reference()


def schema_of(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All parts of a schema with their paths in the words of the page."""
    yield "", schema
    for name, child in schema.get("properties", {}).items():
        yield from ((f".{name}{path}", node) for path, node in parts(child))
    for keyword, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            yield from ((f"{mark}{path}", node) for path, node in parts(schema[keyword]))


def section(page: str, heading: str) -> str:
    level = heading.split(" ")[0]
    start = page.index(f"\n{heading}\n") + 1
    end = re.compile(rf"^#{{2,{len(level)}}} ", re.MULTILINE).search(page, start + len(heading))
    return page[start : end.start() if end else None]


def rows(text: str) -> list[list[str]]:
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_file_is_that_of_the_models(page: str) -> None:
    assert FILE.read_text(encoding="utf-8") == page, "run `make generate`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_is_in_the_table_of_its_kind_and_described(page: str, kind: Kind) -> None:
    described = {row[0]: row[-1] for row in rows(section(page, f"## {kind.kind}"))}
    paths = [path[1:] for path, _ in parts(schema_of(kind)) if path.count(".") > 1 and not path.endswith(("[]", ".*"))]
    assert paths
    assert not [path for path in paths if not described.get(f"`{path}`")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_columns_short_names_and_selectable_fields_are_there(page: str, kind: Kind) -> None:
    text = section(page, f"## {kind.kind}")
    wide = {row[0]: row[2] == "`-o wide`" for row in rows(section(page, f"### {kind.kind}: columns"))[2:]}
    assert wide == {column.name: column.priority == 1 for column in kind.columns}
    for name in (*kind.short_names, *(path.lstrip(".") for path in kind.selectable)):
        assert f"`{name}`" in text


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.kind in PHASES], ids=lambda kind: kind.kind)
def test_the_sentences_of_a_refusal_are_there(page: str, kind: Kind) -> None:
    said = [row[-1] for row in rows(section(page, f"## {kind.kind}"))]
    for _, node in parts(schema_of(kind)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert said.count(rule["message"].replace("|", "\\|")) == 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_schema_says_nothing_that_the_page_would_leave_out(kind: Kind) -> None:
    assert not [(path, unknown) for path, node in parts(schema_of(kind)) if (unknown := set(node) - SHOWN)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_phase_has_a_meaning(kind: Kind) -> None:
    phase = schema_of(kind)["properties"]["status"]["properties"].get("phase", {})
    assert list(PHASES.get(kind.kind, {})) == phase.get("enum", [])


def test_every_condition_type_has_a_meaning(page: str) -> None:
    assert set(MEANINGS) == set(ConditionType)
    assert {row[0] for row in rows(section(page, "## Conditions"))[2:]} == {f"`{kind}`" for kind in ConditionType}


def test_every_reason_has_an_explanation(page: str) -> None:
    assert set(EXPLANATIONS) == set(Reason)
    found = {row[0]: row for heading in ("## Reasons", "## Events") for row in rows(section(page, heading))[2:]}
    assert set(found) == {f"`{reason}`" for reason in Reason}
    stalled = {reason for reason in Reason if "Stalled" in found[f"`{reason}`"]}
    assert stalled == {reason for reason, why in EXPLANATIONS.items() if why.lasting}


def test_the_secrets_are_those_that_the_operator_writes() -> None:
    keys = {name: {key for row in SECRETS for key in row[1].split(", ") if row[0] == name} for name, _, _ in SECRETS}
    of_server = {secrets.PRIVATE_KEY, secrets.PUBLIC_KEY, secrets.GENERATION}
    previous = {secrets.PREVIOUS_PUBLIC, secrets.PREVIOUS_PRESHARED, secrets.PREVIOUS_UNTIL}
    assert keys == {
        secrets.server_secret_name("<server>"): of_server,
        secrets.agent_secret_name("<server>"): {"tls.crt", "tls.key", "ca.crt"},
        secrets.peer_secret_name("<peer>"): of_server
        | previous
        | {secrets.PRESHARED_KEY, secrets.CONFIG, secrets.SOURCE}
        | {secrets.ACTOR, secrets.TOKEN},
    }


def test_tables_have_as_many_cells_in_each_row_as_in_their_head(page: str) -> None:
    for block in page.split("\n\n"):
        assert len({len(row) for row in rows(block)}) <= 1, block


def test_links_lead_to_headings_of_the_page(page: str) -> None:
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings


def test_the_command_prints_the_page_or_writes_it_to_a_file(
    page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reference"]) == 0
    assert capsys.readouterr().out == page
    assert main(["reference", "--output", str(tmp_path / "reference.md")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "reference.md").read_text(encoding="utf-8") == page
