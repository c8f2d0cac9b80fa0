"""Following all objects of a kind: what happens when the watch ends, is too old, or the API server is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from wireguard_operator.kube import watch
from wireguard_operator.kube.client import KubeClient, Object
from wireguard_operator.kube.errors import Expired, Unavailable
from wireguard_operator.kube.resources import PEERS


def body(name: str, version: int) -> Object:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


class FakeClient:
    """Plays a list of turns: each watch ends as its turn says."""

    def __init__(self, pages: list[Any], watches: list[Any]) -> None:
        self._pages, self._watches = pages, watches
        self.watched: list[str] = []
        self.played = asyncio.Event()

    async def pages(self, kind: Any, namespace: str | None) -> AsyncIterator[Object]:
        found = self._pages.pop(0)
        if isinstance(found, Exception):
            raise found
        for page in found:
            yield page

    async def watch(self, kind: Any, namespace: str | None, version: str, seconds: int) -> AsyncIterator[Object]:
        self.watched.append(version)
        if not self._watches:
            self.played.set()
            await asyncio.Event().wait()
        for event in self._watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


class Told:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def page(self, objects: list[Object]) -> None:
        self.heard += [f"+{entry['metadata']['name']}" for entry in objects]

    def listed(self) -> None:
        self.heard.append("listed")

    def changed(self, body: Object) -> None:
        self.heard.append(f"~{body['metadata']['name']}")

    def deleted(self, body: Object) -> None:
        self.heard.append(f"-{body['metadata']['name']}")


async def play(monkeypatch: pytest.MonkeyPatch, pages: list[Any], watches: list[Any]) -> tuple[list[str], list[str]]:
    """What was told, and the versions from which was watched, until the watches have played."""
    monkeypatch.setattr(watch, "PAUSES", (0.0,))
    client, told = FakeClient(pages, watches), Told()
    task = asyncio.create_task(watch.follow(cast(KubeClient, client), PEERS, None, told))
    async with asyncio.timeout(10):
        await client.played.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told.heard, client.watched


def page(version: int, *names: str) -> Object:
    return {"metadata": {"resourceVersion": str(version)}, "items": [body(name, version) for name in names]}


def event(kind: str, name: str, version: int) -> Object:
    return {"type": kind, "object": body(name, version)}


async def test_a_watch_goes_on_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    watches = [[event("ADDED", "b", 6), event("BOOKMARK", "", 9)], [event("DELETED", "a", 12)]]
    heard, versions = await play(monkeypatch, [[page(5, "a"), page(5)]], watches)
    assert heard == ["+a", "listed", "~b", "-a"]
    assert versions == ["5", "9", "12"]


async def test_a_version_that_is_too_old_leads_to_a_new_list(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, versions = await play(monkeypatch, [[page(5, "a")], [page(50, "b")]], [[Expired("too old")]])
    assert heard == ["+a", "listed", "+b", "listed"]
    assert versions == ["5", "50"]


async def test_while_the_api_server_is_away_it_is_asked_again_and_nothing_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = [Unavailable("no"), Unavailable("no"), [page(5, "a")]]
    watches = [[event("MODIFIED", "a", 7), Unavailable("reset")], [Unavailable("no")]]
    heard, versions = await play(monkeypatch, pages, watches)
    assert heard == ["+a", "listed", "~a"]
    assert versions == ["5", "7", "7"]
