"""Firezone 0.7, as its API behaves. This file is the protocol as the operator knows it; all of it needs a bearer token.

=============================  =========================================  ==========================================
``GET /v0/configuration``      —                                          default_client_endpoint, ...
``GET /v0/users``              —                                          ``{"data": [{id, email, role, ...}]}``
``POST /v0/users``             ``{"user": {email, role}}``                201; 422 for an address that is taken
``GET /v0/users/<id|email>``   —                                          404 ``{"error": "not_found"}``
``DELETE /v0/users/<id>``      —                                          204, its devices go, too
``GET /v0/devices``            —                                          with preshared_key and counters; no paging
``POST /v0/devices``           ``{"device": {user_id, name, public_key,   201; 422 with the field that is wrong
                               preshared_key, ipv4, ipv6}}``
``PATCH /v0/devices/<id>``     ``{"device": {...}}``                      200, and changes name and description only
``DELETE /v0/devices/<id>``    —                                          204; 404
=============================  =========================================  ==========================================

Known for it, and acted out here:

* A user has ten devices at most. Names are unique for a user; keys and addresses are unique.
* A device without a preshared key is given one, an address that was not named is a random free one.
* Only a device says the server's public key.
* There is no switch; counters go with the device and begin at zero with the next.
"""

from __future__ import annotations

import ipaddress
import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from wireguard_operator.domain.keys import generate_pair, generate_preshared

MOST_DEVICES = 10
SETTABLE = ("name", "description", "public_key", "preshared_key", "ipv4", "ipv6")


@dataclass
class FirezoneLegacyDouble:
    """One installation. Public attributes are there for tests to look at and to change."""

    token: str = "legacy-token-of-the-api"
    networks: tuple[str, str] = ("10.8.0.0/24", "fd42:8::/64")
    endpoint: str = "firezone.example.net"
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: list[int] = field(default_factory=list)
    """Statuses with which the next writes are answered and not carried out."""
    answers: list[int] = field(default_factory=list)
    """Statuses with which the next writes are answered although they are carried out."""
    writes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pair = generate_pair()
        self._numbers = itertools.count(100)

    def talk(self, public_key: str, received: int, sent: int) -> None:
        """A device's traffic, in total since it was made."""
        device = next(device for device in self.devices.values() if device["public_key"] == public_key)
        now = datetime.now(UTC).isoformat()
        device |= {"rx_bytes": received, "tx_bytes": sent, "latest_handshake": now, "remote_ip": "192.0.2.2"}

    def app(self) -> web.Application:
        """The API."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/v0/configuration", self._configuration),
                web.get("/v0/users", self._list_users),
                web.post("/v0/users", self._create_user),
                web.get("/v0/users/{id}", self._show_user),
                web.delete("/v0/users/{id}", self._delete_user),
                web.get("/v0/devices", self._list_devices),
                web.post("/v0/devices", self._create_device),
                web.patch("/v0/devices/{id}", self._update_device),
                web.delete("/v0/devices/{id}", self._delete_device),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"errors": {"auth": "unauthenticated"}}, status=401)
        if request.method != "GET":
            self.writes.append((request.method, request.path))
            if self.refusals:
                return web.json_response({"error": "internal"}, status=self.refusals.pop(0))
        answer: web.StreamResponse = await handler(request)
        if request.method != "GET" and self.answers:
            return web.json_response({"error": "internal"}, status=self.answers.pop(0))
        return answer

    async def _configuration(self, _: web.Request) -> web.Response:
        return _data({"default_client_endpoint": self.endpoint, "default_client_dns": [], "default_client_mtu": 1280})

    async def _list_users(self, _: web.Request) -> web.Response:
        return _data(list(self.users.values()))

    async def _create_user(self, request: web.Request) -> web.Response:
        wanted = (await request.json())["user"]
        if self._user(wanted["email"]) is not None:
            return _wrong("email", "has already been taken")
        user = {"id": str(uuid.uuid4()), "disabled_at": None, "last_signed_in_at": None, **wanted}
        self.users[user["id"]] = user
        return _data(user, 201)

    async def _show_user(self, request: web.Request) -> web.Response:
        user = self._user(request.match_info["id"])
        return _data(user) if user is not None else _not_found()

    async def _delete_user(self, request: web.Request) -> web.Response:
        user = self._user(request.match_info["id"])
        if user is None:
            return _not_found()
        del self.users[user["id"]]
        self.devices = {key: device for key, device in self.devices.items() if device["user_id"] != user["id"]}
        return web.Response(status=204)

    async def _list_devices(self, _: web.Request) -> web.Response:
        return _data(list(self.devices.values()))

    async def _create_device(self, request: web.Request) -> web.Response:
        wanted = (await request.json())["device"]
        for part in ("user_id", "public_key"):
            if not wanted.get(part):
                return _wrong(part, "can't be blank")
        if wanted["user_id"] not in self.users:
            return _wrong("user_id", "does not exist")
        mine = [device for device in self.devices.values() if device["user_id"] == wanted["user_id"]]
        if len(mine) >= MOST_DEVICES:
            return _wrong("base", "Maximum device limit reached. Remove an existing device before creating a new one.")
        if any(device["name"] == wanted.get("name") for device in mine):
            return _wrong("user_id", "has already been taken")
        for part in ("public_key", "ipv4", "ipv6"):
            if wanted.get(part) in {device[part] for device in self.devices.values()}:
                return _wrong(part, "has already been taken")
        for part, network in zip(("ipv4", "ipv6"), self.networks, strict=True):
            if part not in wanted:
                wanted[part] = str(ipaddress.ip_network(network)[next(self._numbers)])
            elif ipaddress.ip_address(wanted[part]) not in ipaddress.ip_network(network):
                return _wrong(part, f"IP must be contained within network {network}")
        device = {
            "id": str(uuid.uuid4()), "user_id": wanted["user_id"], "description": None,
            "preshared_key": generate_preshared().reveal(), "server_public_key": self.pair.public,
            "allowed_ips": ["0.0.0.0/0", "::/0"], "dns": [], "endpoint": self.endpoint, "mtu": 1280,
            "persistent_keepalive": 25, "latest_handshake": None, "rx_bytes": None, "tx_bytes": None, "remote_ip": None,
            **{part: value for part, value in wanted.items() if part in SETTABLE},
        }  # fmt: skip
        self.devices[device["id"]] = device
        return _data(device, 201)

    async def _update_device(self, request: web.Request) -> web.Response:
        device = self.devices.get(request.match_info["id"])
        if device is None:
            return _not_found()
        wanted = (await request.json())["device"]
        device |= {part: wanted[part] for part in ("name", "description") if part in wanted}
        return _data(device)

    async def _delete_device(self, request: web.Request) -> web.Response:
        gone = self.devices.pop(request.match_info["id"], None)
        return web.Response(status=204) if gone is not None else _not_found()

    def _user(self, name: str) -> dict[str, Any] | None:
        return next((user for user in self.users.values() if name in (user["id"], user["email"])), None)


def _data(data: Any, status: int = 200) -> web.Response:
    return web.json_response({"data": data}, status=status)


def _wrong(part: str, text: str) -> web.Response:
    return web.json_response({"errors": {part: [text]}}, status=422)


def _not_found() -> web.Response:
    return web.json_response({"error": "not_found"}, status=404)
