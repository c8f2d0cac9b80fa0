"""The table of endpoints in docs/rest.md against the application's routes."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import iter_route_contexts
from gateway_world import application

from wireguard_operator.gateway.app import PREFIX
from wireguard_operator.gateway.auth.authorize import Authorize

DOCUMENT = Path(__file__).parents[3] / "docs" / "rest.md"
ROW = re.compile(r"^\| (GET|POST|PUT|PATCH|DELETE|HEAD) \| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def documented() -> dict[tuple[str, str], str]:
    """Right by method and path."""
    rows = ROW.findall(DOCUMENT.read_text())
    found = {(method, path if path.startswith("/api") else PREFIX + path): right for method, path, right in rows}
    assert len(found) == len(rows)
    return {call: "none" if right.startswith("none: ") else right for call, right in found.items()}


def served() -> dict[tuple[str, str], str]:
    """The same of the application, where it is not the second prefix or a page."""
    found = {}
    for route in iter_route_contexts(application().routes):
        if not route.path.startswith("/api/v1/"):
            continue
        guards = [entry.call for entry in route.dependant.dependencies if isinstance(entry.call, Authorize)]
        for method in route.methods:
            right = f"{guards[0].verb} {guards[0].resource}/{guards[0].subresource}".rstrip("/") if guards else "none"
            found[method, route.path] = right
    return found


def test_the_table_of_endpoints_is_complete_and_names_the_right_of_each() -> None:
    assert documented() == served()
