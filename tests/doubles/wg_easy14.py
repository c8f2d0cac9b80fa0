"""wg-easy 14, as far as it is read from: its versions are imported and not worked with.

================================================  =========================================================
``POST /api/session``                             ``{"password", "remember"}``; cookie ``connect.sid``; 401
``GET /api/wireguard/backup``                     wg0.json: server and clients with all their keys
``GET /api/wireguard/client/<id>/configuration``  the client's configuration; the endpoint is nowhere else
================================================  =========================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from wireguard_operator.domain.keys import generate_pair, generate_preshared

SESSION = "s%3A14"


@dataclass
class WGEasy14Double:
    """One instance with two clients."""

    password: str = "password of fourteen"
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pair = generate_pair()
        for number, name in enumerate(("Alice's phone", "Bob"), start=2):
            pair = generate_pair()
            self.clients[f"id-{number}"] = {
                "id": f"id-{number}", "name": name, "address": f"10.8.0.{number}", "privateKey": pair.private.reveal(),
                "publicKey": pair.public, "preSharedKey": generate_preshared().reveal(), "enabled": number != 3,
                "expiredAt": None, "createdAt": "2024-01-01T00:00:00.000Z",
            }  # fmt: skip

    def app(self) -> web.Application:
        """The API."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/api/session", self._login),
                web.get("/api/wireguard/backup", self._backup),
                web.get("/api/wireguard/client/{id}/configuration", self._configuration),
            ]
        )
        return app

    async def _login(self, request: web.Request) -> web.Response:
        if (await request.json())["password"] != self.password:
            return web.json_response({"statusCode": 401, "message": "Incorrect Password"}, status=401)
        answer = web.json_response({"success": True})
        answer.set_cookie("connect.sid", SESSION)
        return answer

    async def _backup(self, request: web.Request) -> web.Response:
        if request.cookies.get("connect.sid") != SESSION:
            return web.json_response({"error": "Not Logged In"}, status=401)
        server = {"privateKey": self.pair.private.reveal(), "publicKey": self.pair.public, "address": "10.8.0.1"}
        return web.json_response({"server": server, "clients": self.clients})

    async def _configuration(self, request: web.Request) -> web.Response:
        client = self.clients[request.match_info["id"]]
        text = (
            f"[Interface]\nPrivateKey = {client['privateKey']}\nAddress = {client['address']}/24\nDNS = 1.1.1.1\n"
            f"\n[Peer]\nPublicKey = {self.pair.public}\nPresharedKey = {client['preSharedKey']}\n"
            "AllowedIPs = 0.0.0.0/0, ::/0\nPersistentKeepalive = 0\nEndpoint = old.example.net:51821"
        )
        return web.Response(text=text, content_type="text/config")
