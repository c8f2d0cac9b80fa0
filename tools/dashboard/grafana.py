"""Panels as Grafana's JSON: one after another in rows of its grid, so nobody has to write down where they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 8
"""Of Grafana's grid; a panel of a single number is half as high."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; ``queries`` are expressions with their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    width: int = 8
    kind: str = "timeseries"
    about: str = ""
    steps: tuple[tuple[str, float | None], ...] = ()
    """Colours from these values on, the first from the least."""


def text(rows: Iterable[tuple[str, Iterable[Panel]]]) -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(dashboard(rows), indent=1) + "\n"


def dashboard(rows: Iterable[tuple[str, Iterable[Panel]]]) -> Json:
    """The dashboard: titles of rows with their panels."""
    return {
        "title": "WireGuard operator",
        "uid": "wireguard-operator",
        "tags": ["wireguard", "vpn"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [*_variables()]},
        "panels": [*_panels(rows)],
    }


def _variables() -> Iterator[Json]:
    yield {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    for name, query in (
        ("namespace", "label_values(wireguard_server_ready, namespace)"),
        ("server", 'label_values(wireguard_server_ready{namespace=~"$namespace"}, server)'),
    ):
        yield {
            "name": name,
            "type": "query",
            "label": name.capitalize(),
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _panels(rows: Iterable[tuple[str, Iterable[Panel]]]) -> Iterator[Json]:
    number, y = 0, 0
    for title, panels in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, y, WIDTH, 1),
        }
        y, x, height = y + 1, 0, 0
        for panel in panels:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            number, height = number + 1, HEIGHT // 2 if panel.kind == "stat" else HEIGHT
            yield _panel(panel, number, _at(x, y, panel.width, height))
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, where: Json) -> Json:
    colours = [{"color": colour, "value": value} for colour, value in panel.steps or (("green", None),)]
    defaults: Json = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": colours}}
    options: Json = {}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}}
        if panel.kind == "bargauge":
            defaults |= {"min": 0} | ({"max": 1} if panel.unit == "percentunit" else {})
            options |= {"orientation": "horizontal", "displayMode": "basic"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": where,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [*_targets(panel.queries)],
    }


def _targets(queries: Iterable[tuple[str, str]]) -> Iterator[Json]:
    for letter, (expression, legend) in zip("ABCD", queries, strict=False):
        target = {"refId": letter, "datasource": SOURCE, "expr": expression}
        yield target | ({"legendFormat": legend} if legend else {})


def _at(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}
