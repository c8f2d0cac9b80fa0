"""``Depends(authorize("get", "wireguardpeers", "config"))``: the one way into the REST API and the staff's page.

A tenant is a namespace. ``X-Tenant-ID``, or ``?tenant=``, names it and can only narrow: RBAC must allow the very verb
in it. Without them it is the namespace of the caller's own ServiceAccount.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from ..context import Context, context_of
from ..errors import Refusal, too_many
from .caller import Caller, Identity

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="wireguard-gateway"'}
READS = ("get", "list", "watch")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_bearer = HTTPBearer(
    auto_error=False, scheme_name="Token", description="A token of Kubernetes for the audience wireguard-gateway."
)
_key = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="Key", description="The same token in another header."
)
_tenant = APIKeyHeader(
    name="X-Tenant-ID",
    auto_error=False,
    scheme_name="Tenant",
    description="The tenant, a namespace. Default that of the caller's ServiceAccount.",
)
F = TypeVar("F", bound=Callable[..., object])


class Authorize:
    """The dependency. An instance for each verb, resource and subresource; tests find it on every route."""

    def __init__(self, verb: str, resource: str, subresource: str = "") -> None:
        self.verb, self.resource, self.subresource = verb, resource, subresource

    async def __call__(
        self,
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
        key: Annotated[str | None, Security(_key)] = None,
        header: Annotated[str | None, Security(_tenant)] = None,
        tenant: Annotated[str | None, Query(description="Instead of X-Tenant-ID.")] = None,
    ) -> Caller:
        """The caller; refused with 401, 403 or 429."""
        context = context_of(request)
        identity = await _identity(context, request, bearer.credentials if bearer else key or "")
        namespace = _tenant_of(identity, header if header is not None else tenant)
        if not await _may(context, identity, self, namespace):
            what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
            if self.verb not in READS or self.subresource:
                context.audit.record(
                    user=identity.username, tenant=namespace, verb=self.verb, resource=what, outcome="forbidden"
                )
            raise Refusal(403, f"{identity.username} may not {self.verb} {what} in tenant {namespace}")
        if not context.cache.complete:
            raise Refusal(503, "the gateway does not know all servers and peers yet; try again", {"Retry-After": "2"})
        return Caller(identity, namespace)


async def _may(context: Context, identity: Identity, what: Authorize, namespace: str) -> bool:
    served = context.settings.watch_namespaces
    # Of a tenant that is not served nothing is known: it must not look like one without peers.
    if served and namespace not in served:
        return False
    return await context.auth.permits(identity, what.verb, what.resource, what.subresource, namespace)


def authorize(verb: str, resource: str, subresource: str = "") -> Authorize:
    """A dependency that lets a caller in who may do this in the tenant that they name."""
    return Authorize(verb, resource, subresource)


def public(why: str) -> Callable[[F], F]:
    """Mark an endpoint that has no caller on purpose. Nothing else may lack ``authorize``, a test sees to it."""

    def mark(endpoint: F) -> F:
        endpoint.__public__ = why  # type: ignore[attr-defined]
        return endpoint

    return mark


async def limited(request: Request) -> None:
    """A dependency of paths without a caller: so many requests of one client address, and no more."""
    context = context_of(request)
    if wait := context.anonymous.take(address_of(request)):
        context.metrics.limited()
        raise too_many(wait)


def address_of(request: Request) -> str:
    """The client's address, as the connection or a trusted proxy says."""
    return request.client.host if request.client else ""


async def _identity(context: Context, request: Request, token: str) -> Identity:
    address = address_of(request)
    # Who tries wrong tokens by the thousand must not lock out those who share an address, e.g. that of a proxy.
    if not context.anonymous.left(address) and not context.auth.was_good(token):
        context.metrics.limited()
        raise too_many(1.0)
    identity = await context.auth.authenticate(token) if token else None
    if identity is None:
        context.anonymous.take(address)
        told = "the token is not valid for this gateway: wrong, expired, or made for another audience"
        if not token:
            told = "a token is missing: send Authorization: Bearer <token>, or X-API-Key"
        raise Refusal(401, told, CHALLENGE)
    return identity


def _tenant_of(identity: Identity, given: str | None) -> str:
    if given is None:
        if not identity.namespace:
            raise Refusal(400, f"{identity.username} belongs to no tenant: name one in the header X-Tenant-ID")
        return identity.namespace
    if not _NAMESPACE.fullmatch(given):
        raise Refusal(400, "X-Tenant-ID must be the name of a namespace: lower-case letters, digits and '-'")
    return given
