"""Firezone 1.x, as its API behaves. This file is the protocol as the operator knows it; all of it needs a bearer token.

=========================================  ==========================================  ==============================
``GET /actors``                            ?limit=&page_cursor=                        ``{"data": [], "metadata": {}}``
``POST /actors``                           ``{"actor": {name, type}}``                 201
``PATCH /actors/<id>``                     ``{"actor": {is_disabled}}``                200
``DELETE /actors/<id>``                    —                                           200; 404
``GET /actors/<id>/client_tokens``         pages                                       without the tokens themselves
``POST /actors/<id>/client_tokens``        ``{"client_token": {expires_at}}``          201, with ``token``, this once
``DELETE /actors/<id>/client_tokens``      —                                           200, with a count
``GET /groups``                            pages
``GET /groups/<id>/memberships``           pages                                       the actors
``PATCH /groups/<id>/memberships``         ``{"memberships": {"add", "remove"}}``      200; 403 for a synced group
``GET /clients``                           pages                                       actor_id, online, last_seen_at
=========================================  ==========================================  ==============================

Known for it, and acted out here:

* ``is_disabled: true`` revokes the actor's client tokens: they do not come back with the actor.
* Errors are problems in JSON (RFC 9457). 429 comes with ``Retry-After``.
* Names need not be unique. Service accounts alone have tokens that the API makes.
* Nothing tells bytes, handshakes or keys.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web


@dataclass
class FirezoneDouble:
    """One account. Public attributes are there for tests to look at and to change."""

    token: str = "token-of-the-api-client"
    page: int = 2
    """Entries of a page, whatever is asked for: what is read must be read to its end."""
    actors: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """Client tokens that work, by actor."""
    groups: dict[str, str] = field(default_factory=dict)
    """Names of groups by id."""
    members: dict[str, set[str]] = field(default_factory=dict)
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    throttled: int = 0
    """So many of the next requests are answered 429."""
    refusals: list[int] = field(default_factory=list)
    """Statuses with which the next writes are answered and not carried out."""
    answers: list[int] = field(default_factory=list)
    """Statuses with which the next writes are answered although they are carried out."""
    writes: list[tuple[str, str]] = field(default_factory=list)

    def add_group(self, name: str) -> str:
        """A group that an administrator makes."""
        group = str(uuid.uuid4())
        self.groups[group], self.members[group] = name, set()
        return group

    def connect(self, actor: str, *, online: bool = True) -> None:
        """Firezone's client signs in with the actor's token."""
        now = datetime.now(UTC).isoformat()
        self.clients[actor] = {
            "id": str(uuid.uuid4()), "actor_id": actor, "online": online, "last_seen_at": now, "ipv4": "100.64.0.2",
            "last_seen_remote_ip": "192.0.2.2",
        }  # fmt: skip

    def admitted(self) -> set[str]:
        """Actors whose tokens work."""
        return {actor for actor, tokens in self.tokens.items() if tokens and not self.actors[actor]["is_disabled"]}

    def app(self) -> web.Application:
        """The API."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/actors", self._list_actors),
                web.post("/actors", self._create_actor),
                web.patch("/actors/{id}", self._update_actor),
                web.delete("/actors/{id}", self._delete_actor),
                web.get("/actors/{id}/client_tokens", self._list_tokens),
                web.post("/actors/{id}/client_tokens", self._create_token),
                web.delete("/actors/{id}/client_tokens", self._delete_tokens),
                web.get("/groups", self._list_groups),
                web.get("/groups/{id}/memberships", self._list_members),
                web.patch("/groups/{id}/memberships", self._change_members),
                web.get("/clients", self._list_clients),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _problem(401, "Unauthorized")
        if self.throttled:
            self.throttled -= 1
            return _problem(429, "Too Many Requests", {"Retry-After": "1"})
        if request.method != "GET":
            self.writes.append((request.method, request.path))
            if self.refusals:
                return _problem(self.refusals.pop(0), "Internal Server Error")
        actor = request.match_info.get("id") if request.path.startswith("/actors/") else None
        if actor is not None and actor not in self.actors:
            return _problem(404, "Not Found")
        answer: web.StreamResponse = await handler(request)
        if request.method != "GET" and self.answers:
            return _problem(self.answers.pop(0), "Internal Server Error")
        return answer

    async def _list_actors(self, request: web.Request) -> web.Response:
        return self._page(request, list(self.actors.values()))

    async def _create_actor(self, request: web.Request) -> web.Response:
        wanted = (await request.json())["actor"]
        if wanted.get("type") not in ("account_user", "account_admin_user", "service_account"):
            return _problem(422, "Unprocessable Content", validation_errors={"type": ["is invalid"]})
        actor = {"id": str(uuid.uuid4()), "is_disabled": False, "email": None, **wanted}
        self.actors[actor["id"]], self.tokens[actor["id"]] = actor, set()
        return web.json_response({"data": actor}, status=201)

    async def _update_actor(self, request: web.Request) -> web.Response:
        actor = self.actors[request.match_info["id"]]
        actor |= (await request.json())["actor"]
        if actor["is_disabled"]:
            self.tokens[actor["id"]].clear()
        return web.json_response({"data": actor})

    async def _delete_actor(self, request: web.Request) -> web.Response:
        actor = self.actors.pop(request.match_info["id"])
        del self.tokens[actor["id"]]
        for members in self.members.values():
            members.discard(actor["id"])
        return web.json_response({"data": actor})

    async def _list_tokens(self, request: web.Request) -> web.Response:
        tokens = self.tokens[request.match_info["id"]]
        return self._page(request, [{"id": str(number)} for number, _ in enumerate(tokens)])

    async def _create_token(self, request: web.Request) -> web.Response:
        actor, wanted = self.actors[request.match_info["id"]], (await request.json())["client_token"]
        if actor["type"] != "service_account":
            return _problem(400, "Actor must be a service account")
        if not wanted.get("expires_at"):
            return _problem(422, "Unprocessable Content", validation_errors={"expires_at": ["can't be blank"]})
        token = secrets.token_urlsafe(32)
        self.tokens[actor["id"]].add(token)
        return web.json_response({"data": {"id": str(uuid.uuid4()), "token": token, **wanted}}, status=201)

    async def _delete_tokens(self, request: web.Request) -> web.Response:
        tokens = self.tokens[request.match_info["id"]]
        count = len(tokens)
        tokens.clear()
        return web.json_response({"data": {"deleted_count": count}})

    async def _list_groups(self, request: web.Request) -> web.Response:
        return self._page(request, [{"id": group, "name": name} for group, name in self.groups.items()])

    async def _list_members(self, request: web.Request) -> web.Response:
        return self._page(request, [self.actors[actor] for actor in sorted(self.members[request.match_info["id"]])])

    async def _change_members(self, request: web.Request) -> web.Response:
        change = (await request.json())["memberships"]
        members = self.members[request.match_info["id"]]
        members |= set(change.get("add", ()))
        members -= set(change.get("remove", ()))
        return web.json_response({"data": [{"actor_id": actor} for actor in members]})

    async def _list_clients(self, request: web.Request) -> web.Response:
        return self._page(request, list(self.clients.values()))

    def _page(self, request: web.Request, entries: list[dict[str, Any]]) -> web.Response:
        begin = int(request.query.get("page_cursor", "0"))
        end = begin + min(self.page, int(request.query.get("limit", "50")))
        following = str(end) if end < len(entries) else None
        metadata = {"count": len(entries), "limit": self.page, "next_page": following, "prev_page": None}
        return web.json_response({"data": entries[begin:end], "metadata": metadata})


def _problem(status: int, title: str, headers: dict[str, str] | None = None, **more: Any) -> web.Response:
    body = {"type": "about:blank", "title": title, "status": status, **more}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")
