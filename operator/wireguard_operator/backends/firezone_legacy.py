"""Firezone 0.7, the last version that managed WireGuard itself; it is at its end of life.

Peers become devices, each of a user of its own (Firezone counts devices by user), with keys that the operator makes. An
update of a device changes name and description only, and there is no switch: whoever may not use the tunnel has no
device, and gets one with the same keys and addresses again. What its API does is written down, and acted out, in
``tests/doubles/firezone_legacy.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..domain.capabilities import System
from ..domain.client_config import endpoint
from ..domain.key_ring import ClientKeys
from ..domain.keys import generate_pair
from .contract import PREFIX, Account, Site, Wanted, account_name, uid_of
from .errors import Denied, Rejected, Unsuitable
from .web import Credentials, Web, expect, said

CONFIGURATION, USERS, DEVICES = "/v0/configuration", "/v0/users", "/v0/devices"
DOMAIN = "wireguard.invalid"
"""Of the users' addresses; nothing can be sent there (RFC 6761)."""
DEFAULT_PORT = 51820
GONE = 404


class FirezoneLegacy:
    """One installation. Implements ``contract.ForeignSystem``."""

    makes_keys = False
    keeps_accounts = False

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._web = Web(url, credentials.authority, credentials.token)

    async def close(self) -> None:
        """See ``ForeignSystem.close``."""
        await self._web.close()

    async def identify(self) -> Site:
        """See ``ForeignSystem.identify``."""
        configuration = await self._read(CONFIGURATION)
        devices = await self._list(DEVICES)
        about = devices[0] if devices else await self._probe()
        host = str(configuration.get("default_client_endpoint") or about.get("endpoint") or "")
        key = about.get("server_public_key")
        if not key:
            raise Unsuitable("Firezone shows a device without server_public_key, which version 0.7 has")
        return Site(System.FIREZONE_LEGACY, "0.7", str(key), _endpoint(host))

    async def accounts(self) -> tuple[Account, ...]:
        """See ``ForeignSystem.accounts``. A user without a device is an account that is switched off."""
        users = {str(user["id"]): str(user["email"]).partition("@")[0] for user in await self._list(USERS)}
        devices = await self._list(DEVICES)
        with_devices = {str(device["user_id"]) for device in devices}
        off = [
            Account(id=f"{user}:", key=f"{PREFIX}{user}", name=name, uid=uid_of(name), enabled=False)
            for user, name in users.items()
            if uid_of(name) is not None and user not in with_devices
        ]
        return (*(_account(device, users.get(str(device["user_id"]), "")) for device in devices), *off)

    async def make(self, name: str) -> Account:
        """See ``ForeignSystem.make``."""
        raise Rejected("Firezone 0.7 makes no keys")

    async def keys(self, account: Account) -> ClientKeys:
        """See ``ForeignSystem.keys``."""
        raise Rejected("Firezone 0.7 has no private keys")

    async def put(self, account: Account | None, wanted: Wanted) -> None:
        """See ``ForeignSystem.put``."""
        if account is not None:
            await self.cut(account)
        device: dict[str, Any] = {
            "user_id": await self._user(wanted.uid),
            "name": account_name(wanted.uid, 0),
            "public_key": wanted.key,
        }
        if wanted.preshared_key is not None:
            device["preshared_key"] = wanted.preshared_key
        for address in wanted.addresses:
            device["ipv6" if ":" in address else "ipv4"] = address.partition("/")[0]
        await self._create(DEVICES, {"device": device})

    async def cut(self, account: Account) -> None:
        """See ``ForeignSystem.cut``."""
        device = account.id.partition(":")[2]
        if device:
            await self._delete(f"{DEVICES}/{device}")

    async def delete(self, account: Account) -> None:
        """See ``ForeignSystem.delete``."""
        await self.cut(account)
        await self._delete(f"{USERS}/{account.id.partition(':')[0]}")

    async def _user(self, uid: str) -> str:
        email = f"{account_name(uid, 0)}@{DOMAIN}"
        answer = await self._web.read(f"{USERS}/{email}")
        if answer.status == GONE:
            return str((await self._create(USERS, {"user": {"email": email, "role": "unprivileged"}}))["id"])
        return str(_data(expect(answer, f"GET {USERS}"))["id"])

    async def _probe(self) -> dict[str, Any]:
        """Only a device says what the server's key is: one is made for a moment, with a key that nobody has."""
        user = await self._user("probe")
        body = {"device": {"user_id": user, "name": "k8s-probe", "public_key": generate_pair().public}}
        device = await self._create(DEVICES, body)
        await self._delete(f"{DEVICES}/{device['id']}")
        await self._delete(f"{USERS}/{user}")
        return device

    async def _list(self, path: str) -> list[dict[str, Any]]:
        found = await self._read(path)
        if not isinstance(found, list):
            raise Unsuitable(f"Firezone answers GET {path} without a list, which version 0.7 gives")
        return found

    async def _read(self, path: str) -> Any:
        answer = await self._web.read(path)
        if answer.status in (401, 403):
            raise Denied(f"Firezone does not accept the token of the Secret: {said(answer)}")
        if answer.status == GONE:
            raise Unsuitable(f"there is no {path}, which Firezone 0.7 has; spec.dataPlane.firezone.url must name it")
        return _data(expect(answer, f"GET {path}"))

    async def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(_data(expect(await self._web.write("POST", path, body), f"POST {path}", 200, 201)))

    async def _delete(self, path: str) -> None:
        expect(await self._web.write("DELETE", path), f"DELETE {path}", 200, 204, GONE)


def unix(text: object) -> int:
    """A time as systems write it, in Unix seconds; 0 for none."""
    if not text:
        return 0
    moment = datetime.fromisoformat(str(text))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _account(device: dict[str, Any], user: str) -> Account:
    try:
        return Account(
            id=f"{device['user_id']}:{device['id']}",
            key=str(device["public_key"]),
            name=user,
            uid=uid_of(user),
            addresses=tuple(
                f"{device[part]}/{length}" for part, length in (("ipv4", 32), ("ipv6", 128)) if device.get(part)
            ),
            preshared_key=device.get("preshared_key"),
            rx_bytes=int(device.get("rx_bytes") or 0),
            tx_bytes=int(device.get("tx_bytes") or 0),
            last_handshake=unix(device.get("latest_handshake")),
            endpoint=device.get("remote_ip"),
        )
    except (KeyError, TypeError, ValueError):
        raise Unsuitable("Firezone lists a device in another form than version 0.7 does") from None


def _data(body: Any) -> Any:
    if not isinstance(body, dict) or "data" not in body:
        raise Unsuitable("Firezone answers without data")
    return body["data"]


def _endpoint(text: str) -> str | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if host and port.isdigit() and (host.startswith("[") or ":" not in host):
        return text
    return endpoint(text.strip("[]"), DEFAULT_PORT)
