"""An API server that knows no more than ``import --apply`` asks of it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, cast

import pytest

from wireguard_operator.cli import cluster
from wireguard_operator.cli.importing.manifests import RESOURCES, Body
from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.errors import AlreadyExists, NotFound
from wireguard_operator.kube.resources import ResourceType

Name = tuple[str, str]


class Cluster:
    """Objects by kind and name. ``before`` is told of each request to make one, and may raise."""

    def __init__(self) -> None:
        self.objects: dict[Name, Body] = {}
        self.before: Callable[[Name], None] = lambda _: None

    async def create(self, kind: ResourceType, namespace: str, body: Body) -> Body:
        await asyncio.sleep(0)
        name = (body["kind"], body["metadata"]["name"])
        assert RESOURCES[body["kind"]] == kind and body["metadata"]["namespace"] == namespace == "isp"
        self.before(name)
        if name in self.objects:
            raise AlreadyExists(f"{name[1]} exists", 409)
        made = self.objects[name] = copy.deepcopy(body)
        made["metadata"]["uid"] = "u"
        if "spec" in made:
            made["spec"] = {"keyGeneration": 0, "addresses": []} | made["spec"]
        return made

    async def get(self, kind: ResourceType, _namespace: str, name: str) -> Body:
        await asyncio.sleep(0)
        found = self.objects.get((next(text for text, resource in RESOURCES.items() if resource == kind), name))
        if found is None:
            raise NotFound(f"{kind.plural} {name} not found", 404)
        return copy.deepcopy(found)

    @property
    def client(self) -> KubeClient:
        return cast(KubeClient, self)

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Be what commands connect to."""

        async def connect(_: Any) -> Cluster:
            return self

        monkeypatch.setattr(cluster, "_connect", connect)
