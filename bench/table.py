"""Figures for people: the same table for a terminal and for docs/benchmarks.md."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HEAD = ("row", "figure", "measured", "goal", "")
_VERDICTS = {True: "met", False: "MISSED", None: ""}


def cells(figure: dict[str, Any]) -> tuple[str, ...]:
    """One figure, as in the JSON file, as the cells of a line."""
    return (
        figure["row"],
        figure["name"],
        _number(figure["value"], figure["unit"]),
        _goal(figure["goal"], figure["unit"]),
        _VERDICTS[figure["met"]],
    )


def text(figures: Sequence[dict[str, Any]]) -> str:
    """A table for a terminal; empty without figures."""
    lines = [_HEAD, *map(cells, figures)] if figures else []
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))] if lines else []
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def markdown(report: dict[str, Any]) -> str:
    """The report in Markdown: the machine, the table, and how each figure was measured."""
    machine, figures = report["machine"], report["figures"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    rows = [f"| {' | '.join(cells(figure))} |" for figure in figures]
    hows = [f"- **{figure['row']}, {figure['name']}**: {figure['how']}." for figure in figures]
    return "\n".join(
        (
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
            f"Python {machine['python']}; {machine['api_server']}; {versions}.",
            "",
            f"| {' | '.join(_HEAD)} |",
            "|---|---|---|---|---|",
            *rows,
            "",
            *hows,
            "",
        )
    )


def _number(value: float, unit: str) -> str:
    if unit == "count":
        return f"{value:g}"
    precise = f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return {"ratio": precise, "x": f"{precise}x"}.get(unit, f"{precise} {unit}")


def _goal(goal: dict[str, float] | None, unit: str) -> str:
    if goal is None:
        return ""
    name, limit = next(iter(goal.items()))
    return f"{'>=' if name == 'at_least' else '<='} {limit:g}{'' if unit in ('count', 'ratio', 'x') else ' ' + unit}"


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text())))
