"""The routes about devices."""

from __future__ import annotations

from fastapi import APIRouter

from ..context import Context
from . import connection_logs, devices, mikrotik


def router(context: Context) -> APIRouter:
    """What staff and their systems ask for, and the registration itself."""
    routes = APIRouter()
    routes.include_router(devices.router(context))
    routes.include_router(devices.public_router(context))
    routes.include_router(mikrotik.router(context))
    routes.include_router(connection_logs.router(context))
    return routes
