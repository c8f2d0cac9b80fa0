"""wg-easy 15, by the API of its own web page.

Peers become clients named ``k8s-<uid>``. wg-easy makes all keys, and the operator fetches them; an address can only
be changed once the client is there. What its API does is written down, and acted out, in ``tests/doubles/wg_easy.py``.

It is fragile: two writes at a time can leave its device without any peer, and an error says nothing about what was
done. The steward therefore has one write in flight and reads after each. A client that is enabled and has no counters
(null) is not on the device; any write brings it back.
"""

from __future__ import annotations

import re
from typing import Any

from ..domain.capabilities import System
from ..domain.client_config import endpoint
from ..domain.key_ring import ClientKeys
from ..domain.keys import Hidden, InvalidKeyError, KeyPair, pair_of
from .contract import Account, Site, Wanted, uid_of
from .errors import Denied, Rejected, Unsuitable
from .firezone_legacy import unix
from .web import Answer, Credentials, Web, expect, said

INFORMATION, SESSIONS = "/api/information", ("/api/auth/password", "/api/session")
CLIENTS = "/api/client"
SUPPORTED = 15


class WGEasy:
    """One instance. Implements ``contract.ForeignSystem``."""

    makes_keys = True
    keeps_accounts = True

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._web = Web(url, credentials.authority)
        self._url = url
        self._credentials = credentials
        self._is_in = False

    async def close(self) -> None:
        """See ``ForeignSystem.close``."""
        await self._web.close()

    async def identify(self) -> Site:
        """See ``ForeignSystem.identify``."""
        version = await self._version()
        if not self._is_in:
            await self._log_in()
        interface, user = await self.settings()
        networks = tuple(str(interface[part]) for part in ("ipv4Cidr", "ipv6Cidr") if interface.get(part))
        host, port = str(user["host"] or ""), int(user.get("port") or interface.get("port") or 51820)
        public = endpoint(host, port) if host else None
        return Site(System.WG_EASY, version, str(interface["publicKey"]), public, networks)

    async def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of the interface, and of new clients."""
        interface = _part(await self._read("/api/admin/interface"), "publicKey")
        return interface, _part(await self._read("/api/admin/userconfig"), "host")

    async def accounts(self) -> tuple[Account, ...]:
        """See ``ForeignSystem.accounts``."""
        return tuple(map(_account, await self.clients()))

    async def clients(self) -> list[dict[str, Any]]:
        """All clients as wg-easy lists them, without their keys."""
        body = await self._read(CLIENTS, sort="asc")
        if not isinstance(body, list):
            raise Unsuitable(f"{self._url} does not list its clients as wg-easy 15 does")
        return body

    async def client(self, client: str) -> dict[str, Any]:
        """One client with its keys."""
        return _part(await self._read(f"{CLIENTS}/{client}"), "publicKey")

    async def make(self, name: str) -> Account:
        """See ``ForeignSystem.make``. wg-easy lets two clients have one name, so one that is there is taken."""
        if (there := await self._find(name)) is not None:
            return there
        await self._write("POST", CLIENTS, {"name": name, "expiresAt": None})
        made = await self._find(name)  # before 15.2 the answer does not say which
        if made is None:
            raise Rejected(f"wg-easy says that it made client {name}, and has none of the name")
        return made

    async def keys(self, account: Account) -> ClientKeys:
        """See ``ForeignSystem.keys``."""
        return keys_of(await self.client(account.id))

    async def put(self, account: Account | None, wanted: Wanted) -> None:
        """See ``ForeignSystem.put``: one write, two where the client was switched off."""
        if account is None:
            raise Rejected("wg-easy makes the keys of its clients and takes none")
        is_changed = (
            account.spoilt
            or not set(wanted.addresses) <= set(account.addresses)
            or set(wanted.routes) != set(account.routes)
        )
        if is_changed:
            body = await self.client(account.id)
            body |= {
                # wg-easy's own look at the clock every minute would be a second writer.
                "expiresAt": None,
                "serverAllowedIps": list(wanted.routes),
                "enabled": True,
                "name": account.name if uid_of(account.name) == wanted.uid else f"k8s-{wanted.uid}",
            }
            for address in wanted.addresses:
                body["ipv6Address" if ":" in address else "ipv4Address"] = address.partition("/")[0]
            await self._write("POST", f"{CLIENTS}/{account.id}", body)
        if not is_changed or not account.enabled:
            await self._write("POST", f"{CLIENTS}/{account.id}/enable")

    async def cut(self, account: Account) -> None:
        """See ``ForeignSystem.cut``."""
        await self._write("POST", f"{CLIENTS}/{account.id}/disable")

    async def delete(self, account: Account) -> None:
        """See ``ForeignSystem.delete``."""
        await self._write("DELETE", f"{CLIENTS}/{account.id}")

    async def _find(self, name: str) -> Account | None:
        # Its filter takes % and _ for wildcards.
        return next((account for account in await self.accounts() if account.name == name), None)

    async def _version(self) -> str:
        answer = await self._web.read(INFORMATION)
        found = re.match(r"v?(\d+)[\d.]*", str((answer.body or {}).get("currentRelease", "")))
        if answer.status != 200 or found is None:
            raise Unsuitable(
                f"{self._url} does not answer as wg-easy {SUPPORTED} does; version 14 can only be imported from:"
                " wireguard-operator import wg-easy"
            )
        if int(found[1]) != SUPPORTED:
            raise Unsuitable(f"{self._url} is wg-easy {found[0]}; the operator works with version {SUPPORTED}")
        return found[0].removeprefix("v")

    async def _log_in(self) -> None:
        """A session: to check a password anew for each request would take a second of wg-easy's time."""
        body = {
            "username": self._credentials.username,
            "password": self._credentials.password.reveal(),
            "remember": False,
        }
        for path in SESSIONS:
            answer = await self._web.write("POST", path, body)
            if answer.status not in (404, 405):
                break
        if answer.status == 403:
            raise Denied(
                f"wg-easy does not admit passwords: {said(answer)}; DISABLE_PASSWORD_AUTH must not be set, and the"
                " operator's user needs the role of an administrator"
            )
        if isinstance(answer.body, dict) and "TOTP" in str(answer.body.get("status", "")):
            raise Denied("wg-easy wants a second factor; give the operator a user without TOTP")
        if answer.status != 200:
            raise Denied(f"wg-easy does not accept username and password of the Secret: {said(answer)}")
        self._is_in = True

    async def _read(self, path: str, **query: str) -> Any:
        answer = await self._web.read(path, query)
        if answer.status == 401:
            await self._log_in()
            answer = await self._web.read(path, query)
        return expect(self._admitted(answer), f"GET {path}")

    async def _write(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._web.write(method, path, body)
        if answer.status == 401:
            await self._log_in()
            answer = await self._web.write(method, path, body)
        return expect(self._admitted(answer), f"{method} {path}")

    def _admitted(self, answer: Answer) -> Answer:
        if answer.status in (401, 403):
            raise Denied(f"wg-easy does not let the operator do that: {said(answer)}; is its user an administrator?")
        return answer


def keys_of(client: dict[str, Any]) -> ClientKeys:
    """The keys in a client as ``WGEasy.client`` reads it. Raises Unsuitable."""
    try:
        pair: KeyPair = pair_of(Hidden(str(client["privateKey"])))
    except (InvalidKeyError, KeyError):
        raise Unsuitable("wg-easy holds no private key for the client") from None
    preshared = client.get("preSharedKey")
    return ClientKeys(pair.public, pair.private, Hidden(str(preshared)) if preshared else None)


def _account(client: dict[str, Any]) -> Account:
    try:
        enabled, received = bool(client["enabled"]), client.get("transferRx")
        addresses = tuple(
            f"{client[part]}/{length}"
            for part, length in (("ipv4Address", 32), ("ipv6Address", 128))
            if client.get(part)
        )
        return Account(
            id=str(client["id"]),
            key=str(client["publicKey"]),
            name=str(client["name"]),
            uid=uid_of(str(client["name"])),
            addresses=addresses,
            routes=tuple(map(str, client.get("serverAllowedIps") or ())),
            enabled=enabled,
            missing=enabled and received is None,
            spoilt=client.get("expiresAt") is not None,
            rx_bytes=int(received or 0),
            tx_bytes=int(client.get("transferTx") or 0),
            last_handshake=unix(client.get("latestHandshakeAt")),
            endpoint=str(client["endpoint"]) if client.get("endpoint") and enabled else None,
        )
    except (KeyError, TypeError, ValueError):
        raise Unsuitable("wg-easy lists a client in another form than version 15 does") from None


def _part(body: Any, needed: str) -> dict[str, Any]:
    if not isinstance(body, dict) or needed not in body:
        raise Unsuitable(f"wg-easy answers without {needed}, which version 15 has")
    return dict(body)
