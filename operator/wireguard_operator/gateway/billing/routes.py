"""The routes of billing systems."""

from __future__ import annotations

from fastapi import APIRouter

from ..context import Context
from . import sync, webhooks


def router(context: Context) -> APIRouter:
    """``/webhooks`` and ``/sync``."""
    routes = APIRouter()
    routes.include_router(webhooks.router(context))
    routes.include_router(sync.router(context))
    return routes
