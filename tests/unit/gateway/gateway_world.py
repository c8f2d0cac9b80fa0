"""A gateway in memory: the whole application, and an API server of a few lines below it that answers reviews."""

from __future__ import annotations

from typing import Any, cast

import httpx
from fastapi import APIRouter, FastAPI

from wireguard_operator.gateway import errors
from wireguard_operator.gateway.app import make_app
from wireguard_operator.gateway.context import Context
from wireguard_operator.gateway.main import make_context
from wireguard_operator.gateway.metrics import Metrics
from wireguard_operator.gateway.settings import Settings
from wireguard_operator.kube.client import KubeClient, Object
from wireguard_operator.kube.errors import KubeError
from wireguard_operator.kube.resources import ACCESS_REVIEWS, TOKEN_REVIEWS, ResourceType


class FakeApi:
    """Answers TokenReviews and SubjectAccessReviews, and counts what it was asked."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[str, str], str] = {}
        """User name by token and audience; an audience of "" is the API server's own."""
        self.denied: set[tuple[str, str]] = set()
        """Verb and namespace of what RBAC does not allow; all else it does."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.trouble: KubeError | None = None

    async def create(self, kind: ResourceType, namespace: str, body: Object) -> Object:
        """One review."""
        if self.trouble is not None:
            raise self.trouble
        spec = body["spec"]
        self.asked.append((kind.plural, spec))
        if kind is TOKEN_REVIEWS:
            audiences = spec.get("audiences", [""])
            name = self.tokens.get((spec["token"], audiences[0]))
            if name is None:
                return {"status": {"authenticated": False}}
            return {"status": {"authenticated": True, "audiences": audiences, "user": {"username": name}}}
        assert kind is ACCESS_REVIEWS, kind
        wanted = spec["resourceAttributes"]
        return {"status": {"allowed": (wanted["verb"], wanted["namespace"]) not in self.denied}}

    def number(self, plural: str) -> int:
        """How often this review was asked for."""
        return sum(kind == plural for kind, _ in self.asked)


def context_on(api: FakeApi, **settings: Any) -> Context:
    """A context on that API."""
    return make_context(Settings(**settings), cast(KubeClient, api), Metrics())


def client_of(app: FastAPI, **headers: str) -> httpx.AsyncClient:
    """A client of the application itself, without a network."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


def application(api: FakeApi | None = None, **settings: Any) -> FastAPI:
    """The application with all its routes."""
    return make_app(context_on(api or FakeApi(), **settings))


def part_of_application(context: Context, router: APIRouter, prefix: str) -> FastAPI:
    """An application with the routes of one area only, which takes a fraction of the time to make."""
    app = FastAPI()
    app.state.context = context
    errors.install(app)
    app.include_router(router, prefix=prefix)
    return app
