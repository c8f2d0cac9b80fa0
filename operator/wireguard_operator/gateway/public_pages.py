"""Pages without a caller: the probes, the OpenAPI document, and its viewer, all of whose files come from here."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

from .auth.authorize import public
from .context import Context

ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
CACHED = {"Cache-Control": "public, max-age=86400"}


def router(context: Context) -> APIRouter:
    """/healthz, /readyz, /openapi.json, /docs."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/healthz")
    @public("a probe; it says that the process answers")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @pages.get("/readyz")
    @public("a probe; it says whether all objects are known")
    async def readyz() -> PlainTextResponse:
        if context.cache.complete:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("servers and peers are not all known yet\n", 503)

    @pages.get("/openapi.json")
    @public("the description of the API, the same for everybody")
    async def openapi(request: Request) -> dict[str, Any]:
        document: dict[str, Any] = request.app.openapi()
        return document

    @pages.get("/docs")
    @public("the description of the API, the same for everybody")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="WireGuard gateway",
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
        )

    @pages.get("/docs/{name}")
    @public("files of the page /docs")
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            return PlainTextResponse("no such file\n", 404)
        data = (files("fastapi_offline") / "static" / name).read_bytes()
        return Response(data, media_type=ASSETS[name], headers=CACHED)

    return pages
