"""A bare client of the API server: aiohttp, kept connections, bodies as they are.

It stands for whoever uses the API (a billing system that creates peers) and for the best that any client could do, so
it does nothing beside sending requests.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from wireguard_operator.kube.resources import ResourceType

Object = dict[str, Any]
T = TypeVar("T")

USER_AGENT = "bench"
MERGE_PATCH = "application/merge-patch+json"
PAGE = 500


class ApiError(RuntimeError):
    """The API server refused something that the benchmark needs; the text is its own."""


class BareClient:
    """Requests over at most ``connections`` connections."""

    def __init__(self, kubeconfig: Path, connections: int) -> None:
        self.connections = connections
        config = yaml.safe_load(kubeconfig.read_text())
        self.host: str = config["clusters"][0]["cluster"]["server"]
        self._tls = _context(config)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> BareClient:
        connector = aiohttp.TCPConnector(limit=self.connections, ssl=self._tls)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        headers = {"User-Agent": USER_AGENT}
        self._session = aiohttp.ClientSession(self.host, connector=connector, timeout=timeout, headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json") -> bytes:
        """One request; the answer's body. Raises ApiError."""
        assert self._session is not None  # noqa: S101 - used inside its context only
        headers = {"Content-Type": content_type}
        async with self._session.request(method, path, data=body or None, headers=headers) as answer:
            data = await answer.read()
            if answer.status >= 300:
                raise ApiError(f"{method} {path}: {answer.status}: {data[:500].decode(errors='replace')}")
            return data

    async def create(self, kind: ResourceType, namespace: str, body: Object) -> Object:
        """Create an object; as the API server has it."""
        return _parse(await self.send("POST", kind.collection(namespace), json.dumps(body).encode()))

    async def patch(self, kind: ResourceType, namespace: str, name: str, body: Object, subresource: str = "") -> None:
        """JSON merge patch (RFC 7386)."""
        await self.send("PATCH", kind.item(namespace, name, subresource), json.dumps(body).encode(), MERGE_PATCH)

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        """Read an object."""
        return _parse(await self.send("GET", kind.item(namespace, name)))

    async def delete(self, kind: ResourceType, namespace: str, name: str) -> None:
        """Delete an object."""
        await self.send("DELETE", kind.item(namespace, name))

    async def list(self, kind: ResourceType, namespace: str) -> list[Object]:
        """All objects, read in pages."""
        found: list[Object] = []
        token = ""
        while True:
            page = _parse(await self.send("GET", f"{kind.collection(namespace)}?limit={PAGE}&continue={token}"))
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    async def version(self, kind: ResourceType, namespace: str) -> str:
        """The resource version of the collection now: where a watch can begin."""
        page = _parse(await self.send("GET", f"{kind.collection(namespace)}?limit=1"))
        return str(page["metadata"]["resourceVersion"])

    async def watch(self, kind: ResourceType, namespace: str, version: str) -> AsyncIterator[Object]:
        """Events after ``version``, until cancelled. It takes a connection of its own."""
        assert self._session is not None  # noqa: S101 - used inside its context only
        path = f"{kind.collection(namespace)}?watch=true&resourceVersion={version}&timeoutSeconds=86400"
        async with self._session.get(path) as answer:
            if answer.status != 200:
                raise ApiError(f"watch {path}: {answer.status}")
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield _parse(line)

    async def each(self, items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
        """Do ``work`` for all items, as many at once as there are connections. The first error ends it."""
        iterator = iter(items)

        async def worker() -> None:
            for item in iterator:
                await work(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.connections):
                group.create_task(worker())


def _parse(data: bytes) -> Object:
    parsed: Object = json.loads(data)
    return parsed


def _context(config: Object) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    # The ssl module reads keys from files only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "client.pem")
        path.touch(mode=0o600)
        path.write_bytes(
            base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
        )
        context.load_cert_chain(path)
    return context
