"""What becomes of answers, and of none: the errors that decide what is done next."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.doubles.https import Site, served
from wireguard_operator.backends import web as module
from wireguard_operator.backends.errors import (
    Denied,
    Rejected,
    SystemError,
    Throttled,
    Uncertain,
    Unreachable,
    Unsuitable,
)
from wireguard_operator.backends.web import Web, expect, said
from wireguard_operator.domain.keys import Hidden

TOKEN = "a-token-that-nobody-may-read"


async def answer(request: web.Request) -> web.StreamResponse:
    """What the path asks for."""
    kind = request.match_info["kind"]
    if kind == "redirect":
        raise web.HTTPFound("/login")
    if kind == "page":
        return web.Response(text="<html>Sign in</html>", content_type="text/html")
    if kind == "slow":
        await asyncio.sleep(0.5)
    if kind == "patience":
        return web.json_response({}, status=429, headers={"Retry-After": request.query.get("after", "7")})
    if kind == "problem":
        problem = {"title": "Unprocessable Content", "validation_errors": {"name": ["is invalid"]}}
        return web.json_response(problem, status=422, content_type="application/problem+json")
    if kind.isdigit():
        return web.json_response({"message": "Server\nError"}, status=int(kind))
    return web.json_response({"accept": request.headers["Accept"], "auth": request.headers.get("Authorization")})


@pytest.fixture
async def system(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.2)
    app, site = web.Application(), Site()
    app.router.add_route("*", "/{kind}", answer)
    async with served(app, site) as url:
        system = Web(url, site.authority, Hidden(TOKEN))
        yield system
        await system.close()


async def test_json_is_asked_for_and_the_token_shown(system: Web) -> None:
    body = expect(await system.read("/ok"), "GET /ok")
    assert body["accept"].startswith("application/json") and body["auth"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("path", "of_reading", "of_writing"),
    [
        ("/500", Unreachable, Uncertain),
        ("/503", Unreachable, Uncertain),
        ("/slow", Unreachable, Uncertain),
        ("/redirect", Unsuitable, Unsuitable),
        ("/patience", Throttled, Throttled),
    ],
)
async def test_a_write_that_fails_may_have_been_carried_out(
    system: Web, path: str, of_reading: type[SystemError], of_writing: type[SystemError]
) -> None:
    with pytest.raises(of_reading) as read:
        await system.read(path)
    with pytest.raises(of_writing) as written:
        await system.write("POST", path, {"secret": TOKEN})
    assert TOKEN not in f"{read.value}{written.value}"
    if isinstance(written.value, Uncertain):
        assert written.value.answered == (path != "/slow")


async def test_how_long_to_wait_is_taken_from_the_answer(system: Web) -> None:
    with pytest.raises(Throttled) as told:
        await system.read("/patience")
    with pytest.raises(Throttled) as untold:
        await system.read("/patience", {"after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    assert (told.value.seconds, untold.value.seconds) == (7, module.PATIENCE_SECONDS)


async def test_a_page_for_people_is_no_answer(system: Web) -> None:
    assert (await system.read("/page")).body is None


async def test_a_system_s_own_sentence_is_quoted_on_one_line(system: Web) -> None:
    with pytest.raises(Rejected, match="GET /404 was answered 404: Server Error"):
        expect(await system.read("/404"), "GET /404")
    assert said(await system.read("/problem")) == 'Unprocessable Content: {"name": ["is invalid"]}'


async def test_nobody_at_the_address_is_unreachable_for_writes_too() -> None:
    system = Web("https://127.0.0.1:1", Site().authority)
    with pytest.raises(Unreachable):
        await system.write("POST", "/ok")
    await system.close()


async def test_a_certificate_of_another_authority_is_refused() -> None:
    app = web.Application()
    async with served(app, Site()) as url:
        system = Web(url, Site().authority)
        with pytest.raises(Denied, match=r"put the authority's certificate into ca\.crt"):
            await system.read("/ok")
        await system.close()


async def test_an_authority_that_is_no_certificate_is_named() -> None:
    with pytest.raises(Denied, match=r"ca\.crt of the Secret"):
        Web("https://127.0.0.1:1", "not a certificate")
