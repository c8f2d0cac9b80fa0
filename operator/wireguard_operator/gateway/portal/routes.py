"""The routes of both pages and of their files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from ..auth.authorize import public
from ..context import Context
from ..errors import Refusal
from . import subscriber
from .pages import STAFF, Pages


def router(context: Context) -> APIRouter:
    """``/p``, ``/staff`` and ``/portal``. Raises BrandError."""
    brand = context.settings.portal_brand
    pages = Pages(Path(brand) if brand else None)
    routes = APIRouter(include_in_schema=False)
    routes.include_router(subscriber.router(context, pages))

    @routes.get("/staff")
    @public("the staff's page; it shows nothing before somebody pastes a token")
    async def staff() -> Response:
        return pages.page(STAFF)

    @routes.get("/portal/strings.json")
    @public("the words of the pages")
    async def strings(
        accept_language: Annotated[str, Header()] = "", if_none_match: Annotated[str | None, Header()] = None
    ) -> Response:
        return pages.strings(accept_language, if_none_match)

    @routes.get("/portal/{name}")
    @public("files of the pages, the same for everybody")
    async def asset(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        response = pages.asset(name, if_none_match)
        if response is None:
            raise Refusal(404, f"the pages have no file {name}")
        return response

    return routes
