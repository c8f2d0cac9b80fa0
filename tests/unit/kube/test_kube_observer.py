"""Each request to the API server is told with its verb and resource as in a role, and with what became of it."""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio import client as kubernetes_client

from wireguard_operator.kube.client import KubeClient
from wireguard_operator.kube.errors import Conflict, NotFound, Unavailable
from wireguard_operator.kube.resources import LEASES, PEERS, SECRETS

Told = list[tuple[str, str, int]]


@pytest.fixture
def told() -> Told:
    return []


def client(port: int, told: Told) -> KubeClient:
    configuration = kubernetes_client.Configuration()
    configuration.host = f"http://127.0.0.1:{port}"

    def observer(verb: str, resource: str, code: int, seconds: float) -> None:
        assert 0 <= seconds < 30
        told.append((verb, resource, code))

    return KubeClient(configuration, observer)


async def answer(request: web.Request) -> web.Response:
    if request.path.endswith("/absent"):
        return web.json_response({"message": "not found"}, status=404)
    if request.method == "PUT":
        return web.json_response({"message": "changed"}, status=409)
    if "limit" in request.query:
        more = {"continue": "next"} if "continue" not in request.query else {}
        return web.json_response({"metadata": more, "items": [{}]})
    return web.json_response({}, status=201 if request.method == "POST" else 200)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """An API server that has one answer to each kind of request."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_verbs_resources_and_codes_are_told(port: int, told: Told) -> None:
    async with client(port, told) as api:
        await api.get(SECRETS, "isp", "a")
        await api.create(SECRETS, "isp", {})
        await api.merge_patch(PEERS, "isp", "a", {}, subresource="status")
        await api.merge_patch(PEERS, "isp", "a", {})
        await api.apply(PEERS, "isp", "a", {})
        await api.delete(PEERS, "isp", "a")
        with pytest.raises(NotFound):
            await api.get(LEASES, "isp", "absent")
        with pytest.raises(Conflict):
            await api.replace(LEASES, "isp", "a", {})
    assert told == [
        ("get", "secrets", 200),
        ("create", "secrets", 201),
        ("patch", "wireguardpeers/status", 200),
        ("patch", "wireguardpeers", 200),
        ("patch", "wireguardpeers", 200),
        ("delete", "wireguardpeers", 200),
        ("get", "leases", 404),
        ("update", "leases", 409),
    ]


async def test_each_page_of_a_list_is_a_request(port: int, told: Told) -> None:
    async with client(port, told) as api:
        assert len([item async for item in api.list(PEERS)]) == 2
    assert told == [("list", "wireguardpeers", 200)] * 2


async def test_no_answer_is_told_as_code_0(told: Told) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    async with client(nobody, told) as api:
        with pytest.raises(Unavailable):
            await api.get(SECRETS, "isp", "a")
    assert told == [("get", "secrets", 0)]
