"""The application: every area's routes, one form of errors, one way in."""

from __future__ import annotations

from fastapi import FastAPI

from .. import __version__
from . import errors, public_pages
from .billing import routes as billing
from .context import Context
from .middleware import Bracket
from .portal import links
from .portal import routes as portal
from .registration import devices
from .registration import routes as registration
from .rest import routes as rest

PREFIX = "/api/v1/wireguard"
ALIAS = "/api/isp/v1/wireguard"
"""Where dotmac's newer platforms and their web pages look for the same."""
PROVISION = "/api/v1/wireguard-provision"
"""Where devices that were made for dotmac_sub register."""
MAX_BODY = 1 << 20
"""Bytes of a request, about ten times what a hundred peers with notes take; more is answered 413."""
DESCRIPTION = """WireGuard servers and peers of a tenant.

Every call carries a Kubernetes token for the audience `wireguard-gateway`; what it may do is RBAC on
`wireguardservers` and `wireguardpeers` in the tenant's namespace. Failures are answered `{"detail": "sentence"}`."""


def make_app(context: Context) -> FastAPI:
    """The application around a context."""
    app = FastAPI(
        title="WireGuard gateway",
        version=__version__,
        description=DESCRIPTION,
        max_body_size=MAX_BODY,
        # Served by public_pages, so that no page asks third parties for anything.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    errors.install(app)
    app.add_middleware(Bracket, metrics=context.metrics)
    app.include_router(public_pages.router(context))
    app.include_router(rest.router(context), prefix=PREFIX)
    app.include_router(rest.router(context), prefix=ALIAS, include_in_schema=False)
    app.include_router(links.router(context), prefix=PREFIX)
    app.include_router(links.router(context), prefix=ALIAS, include_in_schema=False)
    for area in (billing.router(context), registration.router(context)):
        app.include_router(area, prefix=PREFIX)
        app.include_router(area, prefix=ALIAS, include_in_schema=False)
    app.include_router(devices.public_router(context), prefix=PROVISION)
    app.include_router(portal.router(context))
    return app
