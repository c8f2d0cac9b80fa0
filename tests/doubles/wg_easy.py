"""wg-easy 15.4, as its API behaves. This file is the protocol as the operator knows it.

================================  ===========================  ====================================================
``GET /api/information``          —                            ``{"currentRelease": "v15.4.0"}``, without a login
``POST /api/auth/password``       username, password,          cookie ``wg-easy``; 401, 403, or ``TOTP_REQUIRED``
                                  remember                     (15.0 to 15.3: ``POST /api/session``)
``GET /api/client``               ?filter=&sort=               a list without private keys, with counters
``POST /api/client``              name and expiresAt           ``{"success": true, "clientId": n}``
``GET /api/client/<n>``           —                            with privateKey, preSharedKey, without counters
``POST /api/client/<n>``          the whole object             ``{"success": true}``; 400 names what is missing
``DELETE /api/client/<n>``        —                            ``{"success": true}``
``POST /api/client/<n>/enable``   —                            the same; and ``/disable``
``GET /api/admin/interface``      —                            publicKey, ipv4Cidr, ipv6Cidr, port, mtu
``GET /api/admin/userconfig``     —                            host, port, defaultDns, ...
================================  ===========================  ====================================================

Known for it, and acted out here:

* Duplicate names are allowed. ``filter`` is a LIKE pattern, so ``_`` and ``%`` in it match anything.
* Deletion and switching of an id that does not exist answer success.
* The address of a new client is wg-easy's choice: the lowest that is free. A taken one is a bare 500.
* Counters are those of the device: null when the client is not there, from zero when it comes back.
* Each write rewrites the device's configuration without a lock. Two at a time fail with 500, after they were carried
  out in the database, and leave the device without peers until the next write.
* A write takes seconds (``write_seconds``); an answer that nobody waits for any more changes nothing about it.
* An expired client is switched off once a minute, and cannot be switched on (422).
* Without ``Accept: application/json`` an error of authentication is a redirect to the login page.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from wireguard_operator.domain.keys import generate_pair, generate_preshared

UPDATE_FIELDS = (
    "name", "enabled", "expiresAt", "ipv4Address", "ipv6Address", "preUp", "postUp", "preDown", "postDown",
    "allowedIps", "serverAllowedIps", "mtu", "persistentKeepalive", "serverEndpoint", "dns",
)  # fmt: skip
NOW = "2026-11-23T13:14:43.000Z"


@dataclass
class Live:
    """A client on the device."""

    received: int = 0
    sent: int = 0
    handshake: str | None = None
    endpoint: str | None = None


@dataclass
class WGEasyDouble:
    """One instance. Public attributes are there for tests to look at and to change."""

    username: str = "admin"
    password: str = "correct horse battery"
    networks: tuple[str, str] = ("10.8.0.0/24", "fd42:8::/64")
    host: str = "vpn.example.net"
    release: str = "v15.4.0"
    write_seconds: float = 0.0
    clients: dict[int, dict[str, Any]] = field(default_factory=dict)
    device: dict[int, Live] = field(default_factory=dict)
    """What is on wg0; a client of the database that is not here was lost."""
    answers: list[int] = field(default_factory=list)
    """Statuses with which the next writes are answered although they are carried out, e.g. 500."""
    refusals: list[int] = field(default_factory=list)
    """Statuses with which the next writes are answered and not carried out."""
    lose: int = 0
    """So many writes leave the device without peers."""
    hangs: bool = False
    totp: bool = False
    passwords_disabled: bool = False
    install: Callable[[], None] | None = None
    """Brings a real device to what is in the database, as ``wg syncconf`` does."""
    measure: Callable[[], dict[str, Live]] | None = None
    """What a real device has, by public key."""
    writes: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each write, in order."""
    most_at_once: int = 0
    logins: int = 0

    def __post_init__(self) -> None:
        self._sessions: set[str] = set()
        self._busy = 0
        self._next = 1
        self.pair = generate_pair()

    def end_sessions(self) -> None:
        """As a restart of wg-easy does."""
        self._sessions.clear()

    def wipe(self) -> None:
        """The device loses all its peers, as colliding writes bring about."""
        self.device.clear()

    def restart_interface(self) -> None:
        """All counters begin anew."""
        self.device.clear()
        self._sync()

    def named(self, name: str) -> dict[str, Any]:
        """The only client of that name."""
        (client,) = [client for client in self.clients.values() if client["name"] == name]
        return client

    def add(self, name: str, address: str | None = None, **fields: Any) -> dict[str, Any]:
        """A client that somebody makes on the web page."""
        client = self._make(name)
        client |= fields
        if address is not None:
            client["ipv4Address"] = address
        self._sync()
        return client

    def on_device(self) -> dict[str, str]:
        """Allowed IPs by public key, as ``wg show wg0 allowed-ips`` prints them."""
        found = {}
        for number in self.device:
            client = self.clients[number]
            own = [f"{client['ipv4Address']}/32", f"{client['ipv6Address']}/128"]
            found[client["publicKey"]] = " ".join([*own, *client["serverAllowedIps"]])
        return found

    def talk(self, public_key: str, received: int, sent: int, moment: datetime | None = None) -> None:
        """A client's traffic, in total since it came to the device."""
        number = next(n for n, client in self.clients.items() if client["publicKey"] == public_key)
        when = (moment or datetime.now(UTC)).isoformat()
        self.device[number] = Live(received, sent, when, "192.0.2.2:42145")

    def app(self) -> web.Application:
        """The API."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/api/information", self._information),
                web.post("/api/auth/password", self._login),
                web.get("/api/client", self._list),
                web.post("/api/client", self._create),
                web.get("/api/client/{id}", self._show),
                web.post("/api/client/{id}", self._update),
                web.delete("/api/client/{id}", self._delete),
                web.post("/api/client/{id}/{verb:enable|disable}", self._switch),
                web.get("/api/admin/interface", self._interface),
                web.get("/api/admin/userconfig", self._userconfig),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        while self.hangs:  # noqa: ASYNC110 - a test says when from another thread
            await asyncio.sleep(0.05)
        if request.path in ("/api/information", "/api/auth/password"):
            return await handler(request)
        if request.cookies.get("wg-easy") not in self._sessions:
            if "application/json" not in request.headers.get("Accept", ""):
                raise web.HTTPFound("/login")
            return _error(401, "Session failed. No Authorization")
        if request.method == "GET":
            return await handler(request)
        # Whoever goes away before the answer has changed nothing about the write.
        return await asyncio.shield(asyncio.ensure_future(self._write(request, handler)))

    async def _write(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.writes.append((request.method, request.path))
        body = await request.read()
        self._busy += 1
        self.most_at_once = max(self.most_at_once, self._busy)
        collided = self._busy > 1
        try:
            await asyncio.sleep(self.write_seconds)
            if self.refusals:
                return _error(self.refusals.pop(0), "Server Error")
            del body
            answer = await handler(request)
        finally:
            self._busy -= 1
        if collided or self._busy or self.lose:
            self.lose = max(0, self.lose - 1)
            self.wipe()
            if collided:
                return _error(500, "Line unrecognized: `lient:cc-29(58)'")
        if self.answers:
            return _error(self.answers.pop(0), "Server Error")
        return answer

    async def _information(self, _: web.Request) -> web.Response:
        return web.json_response({"currentRelease": self.release, "latestRelease": {"version": self.release}})

    async def _login(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.logins += 1
        if self.passwords_disabled:
            return _error(403, "Password authentication is disabled")
        if (body["username"], body["password"]) != (self.username, self.password):
            return _error(401, "Incorrect credentials")
        if self.totp:
            return web.json_response({"status": "TOTP_REQUIRED"})
        session = secrets.token_hex(16)
        self._sessions.add(session)
        answer = web.json_response({"status": "success"})
        answer.set_cookie("wg-easy", session, httponly=True)
        return answer

    async def _list(self, request: web.Request) -> web.Response:
        pattern = request.query.get("filter", "").replace("%", "*").replace("_", "?")
        found = [self._listed(client) for client in self.clients.values()]
        return web.json_response([c for c in found if fnmatch.fnmatch(str(c["name"]), f"*{pattern}*")])

    def _listed(self, client: dict[str, Any]) -> dict[str, Any]:
        live = self.device.get(client["id"])
        if self.measure is not None:
            live = self.measure().get(client["publicKey"])
        hidden = {"privateKey", "preSharedKey"}
        return {key: value for key, value in client.items() if key not in hidden} | {
            "latestHandshakeAt": live.handshake if live else None,
            "endpoint": live.endpoint if live else None,
            "transferRx": live.received if live else None,
            "transferTx": live.sent if live else None,
            "oneTimeLink": None,
        }

    async def _show(self, request: web.Request) -> web.Response:
        client = self._find(request)
        return web.json_response(client) if client is not None else _error(404, "Client not found")

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        for part in ("name", "expiresAt"):
            if part not in body:
                return _error(400, f"{part} is required")
        client = self._make(body["name"])
        client["expiresAt"] = body["expiresAt"]
        self._sync()
        return web.json_response({"success": True, "clientId": client["id"]})

    async def _update(self, request: web.Request) -> web.Response:
        body, client = await request.json(), self._find(request)
        missing = [part for part in UPDATE_FIELDS if part not in body]
        if missing:
            return _error(400, f"{', '.join(missing)} is required")
        if client is None:
            return web.json_response({"success": True})
        others = [other for other in self.clients.values() if other is not client]
        for part, network in zip(("ipv4Address", "ipv6Address"), self.networks, strict=True):
            inside = ipaddress.ip_address(body[part]) in ipaddress.ip_network(network)
            if not inside or any(other[part] == body[part] for other in others):
                return _error(500, "Server Error")
        client |= {part: body[part] for part in UPDATE_FIELDS}
        self._sync()
        return web.json_response({"success": True})

    async def _delete(self, request: web.Request) -> web.Response:
        if (client := self._find(request)) is not None:
            del self.clients[client["id"]]
        self._sync()
        return web.json_response({"success": True})

    async def _switch(self, request: web.Request) -> web.Response:
        client, verb = self._find(request), request.match_info["verb"]
        if client is not None:
            if (
                verb == "enable"
                and client["expiresAt"]
                and datetime.fromisoformat(client["expiresAt"]) < datetime.now(UTC)
            ):
                return _error(422, "Client is expired. Please update the expiration date first.")
            client["enabled"] = verb == "enable"
        self._sync()
        return web.json_response({"success": True})

    async def _interface(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "name": "wg0", "device": "eth0", "port": 51820, "publicKey": self.pair.public,
                "ipv4Cidr": self.networks[0], "ipv6Cidr": self.networks[1], "mtu": 1420, "enabled": True,
            }
        )  # fmt: skip

    async def _userconfig(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": "wg0", "host": self.host, "port": 51820, "defaultMtu": 1420, "defaultPersistentKeepalive": 0,
                "defaultDns": ["9.9.9.9"], "defaultAllowedIps": ["0.0.0.0/0", "::/0"],
            }
        )  # fmt: skip

    def _find(self, request: web.Request) -> dict[str, Any] | None:
        text = request.match_info["id"]
        return self.clients.get(int(text)) if text.isdigit() else None

    def _make(self, name: str) -> dict[str, Any]:
        pair, number = generate_pair(), self._next
        self._next += 1
        v4, v6 = (
            self._free(part, net) for part, net in zip(("ipv4Address", "ipv6Address"), self.networks, strict=True)
        )
        hooks = dict.fromkeys(("preUp", "postUp", "preDown", "postDown"), "")
        client = {
            "id": number, "userId": 1, "interfaceId": "wg0", "name": name, "ipv4Address": v4, "ipv6Address": v6,
            **hooks, "publicKey": pair.public, "privateKey": pair.private.reveal(),
            "preSharedKey": generate_preshared().reveal(), "expiresAt": None, "allowedIps": None,
            "serverAllowedIps": [], "firewallIps": None, "persistentKeepalive": 0, "mtu": 1420, "jC": 7, "jMin": 10,
            "jMax": 1000, "i1": None, "dns": None, "serverEndpoint": None, "enabled": True,
            "createdAt": NOW, "updatedAt": NOW,
        }  # fmt: skip
        self.clients[number] = client
        return client

    def _free(self, part: str, network: str) -> str:
        used = {client[part] for client in self.clients.values()}
        pool = ipaddress.ip_network(network)
        return next(text for number in range(2, 250) if (text := str(pool[number])) not in used)

    def _sync(self) -> None:
        """``wg syncconf``: who stays keeps its counters."""
        enabled = [number for number, client in self.clients.items() if client["enabled"]]
        self.device = {number: self.device.get(number, Live()) for number in enabled}
        if self.install is not None:
            self.install()


def _error(status: int, message: str) -> web.Response:
    body = {"error": True, "url": "", "statusCode": status, "statusMessage": message, "message": message}
    return web.json_response(body, status=status)
