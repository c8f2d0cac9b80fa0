"""All routes of the REST API."""

from __future__ import annotations

from fastapi import APIRouter

from ..context import Context


def router(context: Context) -> APIRouter:
    """Servers, peers, provisioning and the dashboard."""
    return APIRouter()
