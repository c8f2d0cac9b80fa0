"""Every route either asks who calls, or says why it does not."""

from __future__ import annotations

from fastapi.routing import RouteContext, iter_route_contexts
from gateway_world import application

from wireguard_operator.gateway.auth.authorize import Authorize


def is_guarded(route: RouteContext) -> bool:
    dependant = getattr(route, "dependant", None)
    return dependant is not None and any(isinstance(entry.call, Authorize) for entry in dependant.dependencies)


def test_no_route_lets_anybody_in_by_oversight() -> None:
    everything = list(iter_route_contexts(application().routes))
    assert len(everything) > 4
    open_ones = [
        f"{route.methods} {route.path}"
        for route in everything
        if not is_guarded(route) and not getattr(route.endpoint, "__public__", "")
    ]
    assert open_ones == []
