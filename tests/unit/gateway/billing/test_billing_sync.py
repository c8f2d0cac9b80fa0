"""The full list of who is suspended: what is refused, and that a long list is read from nobody who may not send it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from gateway_world import FakeApi, client_of, context_on, part_of_application

from wireguard_operator.gateway.app import MAX_BODY, PREFIX, make_app
from wireguard_operator.gateway.billing import sync
from wireguard_operator.kube.client import Object
from wireguard_operator.kube.resources import PEERS, ResourceType

URL = f"{PREFIX}/sync/suspensions"


class ListApi(FakeApi):
    """A tenant without peers, and the token of a caller."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens["good", "wireguard-gateway"] = "system:serviceaccount:isp:billing"

    async def list(self, kind: ResourceType, namespace: str | None = None, **_: Any) -> AsyncIterator[Object]:
        assert (kind, namespace) == (PEERS, "isp")
        for item in ():
            yield item


async def put(content: Any, token: str = "good") -> httpx.Response:  # noqa: S107
    context = context_on(ListApi())
    context.cache.servers.replace(None, [])
    context.cache.peers.replace(None, [])
    app = part_of_application(context, sync.router(context), PREFIX)
    async with client_of(app, Authorization=f"Bearer {token}") as client:
        return await client.put(URL, content=content)


async def test_an_empty_tenant_has_no_difference() -> None:
    answer = await put(b'{"subscribers": ["s-1"], "mode": "apply"}')
    assert answer.status_code == 200
    assert (answer.json()["rows"], answer.json()["unknown_subscribers"]) == ([], ["s-1"])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "Invalid JSON"),
        (b"[]", "should be an object"),
        (b'{"subscriber": ["s-1"]}', "subscriber: Extra inputs"),
        (b'{"mode": "apply"}', "subscribers or customers must be given"),
        (b'{"mode": "now"}', "mode: "),
        (b'{"reason": "Not Paid"}', "reason: "),
        (b'{"subscribers": [""]}', "subscribers.0: "),
        (b'{"guard": {"max_percent": 101}}', "guard.max_percent: "),
        (b'{"as_of": "2026-01-01T00:00:00"}', "as_of: "),
        (b'{"customers": [], "as_of": "2001-01-01T00:00:00Z"}', "as_of: the list is of 2001-01-01T00:00:00Z"),
        (b'{"suspension_mode": "cut"}', "suspension_mode: "),
    ],
    ids=range(11),
)
async def test_a_wrong_list_is_refused_with_the_name_of_the_field(body: bytes, named: str) -> None:
    answer = await put(body)
    assert answer.status_code == 422
    assert named in answer.json()["detail"]


async def test_a_list_of_a_stranger_is_not_read() -> None:
    read = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * 65536

    assert (await put(parts(), token="wrong")).status_code == 401
    assert read <= 1


async def test_a_hundred_thousand_names_are_read_and_too_many_bytes_are_not() -> None:
    names = ",".join(f'"subscriber-{number:020}"' for number in range(100_000))
    answer = await put(f'{{"subscribers": [{names}]}}'.encode())
    assert len(answer.json()["unknown_subscribers"]) == 100_000
    assert (await put(b" " * (sync.LIMIT + 1))).status_code == 413


async def test_a_body_of_any_other_route_ends_at_a_megabyte_whoever_sends_it() -> None:
    async with client_of(make_app(context_on(ListApi()))) as client:
        long = b'{"token": "' + b"x" * MAX_BODY + b'", "public_key": "x"}'
        answer = await client.post(f"{PREFIX}/register", content=long)
    assert (answer.status_code, answer.text) == (413, "Content Too Large")
