"""The client: verbs on paths, dictionaries in and out, one pooled connection set."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config
from pydantic_core import from_json, to_json

from .errors import Expired, TooManyRequests, Unavailable, error_of
from .pace import Pace
from .resources import ResourceType

Object = dict[str, Any]
Observer = Callable[[str, str, int, float], None]
"""Told of each request: verb and resource as in a role, HTTP status (0: no answer), seconds."""

FIELD_MANAGER = "wireguard-operator"
PAGE = 500
TRIES = 5
"""Of a request to which the API server answers 429; then TooManyRequests is raised."""
WATCH_GRACE = 30
"""Seconds after the end that was asked for, until the connection counts as dead."""
_METHODS = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
"""By the verb of a role."""
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class KubeClient:
    """Reads and writes objects. Every method raises a ``KubeError`` of ``kube.errors``."""

    def __init__(self, configuration: kubernetes_client.Configuration, observer: Observer | None = None) -> None:
        self._configuration = configuration
        self._observer = observer
        self._api = kubernetes_client.ApiClient(configuration)
        self._pace = Pace()

    @classmethod
    async def connect(
        cls, kubeconfig: str | None = None, *, connections: int = 64, observer: Observer | None = None
    ) -> KubeClient:
        """A client for ``kubeconfig``, else the pod's service account, else the user's kubeconfig."""
        configuration = kubernetes_client.Configuration()
        if kubeconfig is None and _SERVICE_ACCOUNT.exists():
            kubernetes_config.load_incluster_config(client_configuration=configuration)
        else:
            await kubernetes_config.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        configuration.connection_pool_maxsize = connections
        return cls(configuration, observer)

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        """Read one object."""
        return await self._request("get", kind.plural, kind.item(namespace, name))

    async def create(self, kind: ResourceType, namespace: str, body: Object) -> Object:
        """Create an object; AlreadyExists when there is one of the name."""
        return await self._request("create", kind.plural, kind.collection(namespace), body=body)

    async def replace(self, kind: ResourceType, namespace: str, name: str, body: Object) -> Object:
        """Write a whole object; with ``metadata.resourceVersion`` in it, Conflict if it has changed since."""
        return await self._request("update", kind.plural, kind.item(namespace, name), body=body)

    async def merge_patch(
        self, kind: ResourceType, namespace: str, name: str, body: Object, *, subresource: str = ""
    ) -> Object:
        """JSON merge patch (RFC 7386). ``metadata.uid`` in the body makes it apply to that very object only."""
        return await self._request(
            "patch",
            f"{kind.plural}/{subresource}" if subresource else kind.plural,
            kind.item(namespace, name, subresource),
            body=body,
            content_type="application/merge-patch+json",
        )

    async def apply(
        self, kind: ResourceType, namespace: str, name: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        """Server-side apply, forced: what we declare is ours. ``dry_run``: all of it but for the write."""
        return await self._request(
            "patch",
            kind.plural,
            kind.item(namespace, name),
            {"force": "true", "fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {}),
            body=body,
            content_type="application/apply-patch+yaml",
        )

    async def delete(self, kind: ResourceType, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete an object; with ``uid``, Conflict if the name now belongs to another."""
        body = {"preconditions": {"uid": uid}} if uid else None
        await self._request("delete", kind.plural, kind.item(namespace, name), body=body)

    async def list(
        self,
        kind: ResourceType,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[Object]:
        """All objects in pages of ``PAGE``. Expired is raised when the walk took too long: start again."""
        async for page in self.pages(kind, namespace, labels=labels, fields=fields, metadata_only=metadata_only):
            for item in page.get("items") or ():  # an empty PartialObjectMetadataList says null
                yield item

    async def pages(
        self,
        kind: ResourceType,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[Object]:
        """The lists themselves; all are of the resource version that stands in each, from which a watch can begin."""
        query = {"limit": str(PAGE)}
        query |= ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})
        accept = (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" if metadata_only else "application/json"
        )
        while True:
            page = await self._request("list", kind.plural, kind.collection(namespace), query, accept=accept)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def watch(
        self, kind: ResourceType, namespace: str | None, version: str, seconds: int
    ) -> AsyncIterator[Object]:
        """Events (``type``, ``object``) after a resource version, bookmarks among them.

        It ends after ``seconds``, or with the connection. Expired is raised when the version is too old.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        path = kind.collection(namespace)
        url = f"{self._configuration.host}{path}?{urlencode(query)}"
        try:
            answer = await self._api.rest_client.request(
                "GET", url, headers=await self._headers("application/json"), _request_timeout=seconds + WATCH_GRACE
            )
            stream: aiohttp.ClientResponse = answer.response
            async with stream:
                if answer.status >= 400:
                    raise error_of(answer.status, answer.headers, await answer.read())
                while line := await stream.content.readline():
                    event: Object = from_json(line)
                    if event["type"] == "ERROR":
                        raise error_of(int(event["object"].get("code") or 500), {}, to_json(event["object"]))
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"WATCH {path}: {type(error).__name__}: {error}") from error

    async def _request(
        self,
        verb: str,
        resource: str,
        path: str,
        query: dict[str, str] | None = None,
        *,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        for _ in range(TRIES - 1):
            await self._pace.wait()
            try:
                return await self._try(verb, resource, path, query, body, content_type, accept)
            except TooManyRequests as error:
                self._pace.hold(error.retry_after)
        await self._pace.wait()
        return await self._try(verb, resource, path, query, body, content_type, accept)

    async def _try(
        self,
        verb: str,
        resource: str,
        path: str,
        query: dict[str, str] | None,
        body: Object | None,
        content_type: str,
        accept: str,
    ) -> Object:
        url = f"{self._configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = await self._headers(accept) | {"Content-Type": content_type}
        method, began, status = _METHODS[verb], time.monotonic(), 0
        try:
            answer = await self._api.rest_client.request(method, url, headers=headers, body=body, _request_timeout=30)
            data = await answer.read()
            status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            if self._observer is not None:
                self._observer(verb, resource, status, time.monotonic() - began)
        if answer.status >= 400:
            raise error_of(answer.status, answer.headers, data)
        parsed: Object = from_json(data)
        return parsed

    async def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": FIELD_MANAGER}
        for setting in (await self._configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        return headers


async def walk(
    client: KubeClient,
    kind: ResourceType,
    namespaces: tuple[str, ...],
    *,
    labels: str = "",
    metadata_only: bool = False,
) -> AsyncIterator[Object]:
    """Every object of ``namespaces`` (empty: of the cluster), a page in memory at a time.

    When a page has expired the walk begins again, so an object may come twice.
    """
    while True:
        try:
            for namespace in namespaces or (None,):
                async for item in client.list(kind, namespace, labels=labels, metadata_only=metadata_only):
                    yield item
        except Expired:
            continue
        return


__all__ = ["FIELD_MANAGER", "KubeClient", "Object", "Observer", "walk"]
