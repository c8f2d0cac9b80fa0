"""All routes of the REST API."""

from __future__ import annotations

from fastapi import APIRouter

from ..context import Context
from . import bulk, configs, dashboard, peer_actions, peers, provisioning, server_health, servers


def router(context: Context) -> APIRouter:
    """Servers, peers, provisioning and the dashboard."""
    routes = APIRouter()
    for part in (servers, server_health, bulk, peers, peer_actions, configs, provisioning, dashboard):
        routes.include_router(part.router(context))
    return routes
