"""Firezone 1.x as a system of access: who is a member of a group reaches what policies say, by Firezone's own client.

It manages no WireGuard that others could configure. A peer becomes a service account with membership in one group, and
its Secret has the token for the client. Switching an account off revokes its tokens, so that one that comes back is
given a new one. What its API does is written down, and acted out, in ``tests/doubles/firezone.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ..domain.capabilities import System
from ..domain.key_ring import ClientKeys
from ..domain.keys import Hidden
from .contract import Account, Site, Wanted, uid_of
from .errors import Denied, Rejected, Unsuitable
from .firezone_legacy import unix
from .web import Answer, Credentials, Web, expect, said

ACTORS, GROUPS, CLIENTS = "/actors", "/groups", "/clients"
PAGE = "100"
TOKEN_AGE = timedelta(days=3650)
"""Tokens end by suspension, expiry and deletion of the peer, not by themselves."""


class Firezone:
    """One account of Firezone. Implements ``contract.ForeignSystem``."""

    makes_keys = True
    keeps_accounts = True

    def __init__(self, url: str, credentials: Credentials, group: str | None) -> None:
        self._web = Web(url, credentials.authority, credentials.token)
        self._group_name = group
        self._group: str | None = None

    async def close(self) -> None:
        """See ``ForeignSystem.close``."""
        await self._web.close()

    async def identify(self) -> Site:
        """See ``ForeignSystem.identify``."""
        self._page(await self._web.read(ACTORS, {"limit": "1"}), ACTORS)
        if self._group_name is not None:
            groups = await self._list(GROUPS)
            found = [str(group["id"]) for group in groups if group.get("name") == self._group_name]
            if not found:
                raise Unsuitable(
                    f"Firezone has no group {self._group_name}; make it there, or correct spec.dataPlane.firezone.group"
                )
            self._group = found[0]
        return Site(System.FIREZONE, "1")

    async def accounts(self) -> tuple[Account, ...]:
        """See ``ForeignSystem.accounts``."""
        actors = await self._list(ACTORS)
        members = await self._members()
        seen = dict[str, dict[str, Any]]()
        for client in await self._list(CLIENTS):
            actor = str(client.get("actor_id"))
            if actor not in seen or _last_seen(client) > _last_seen(seen[actor]):
                seen[actor] = client
        return tuple(
            _account(actor, seen.get(str(actor["id"]), {}), members)
            for actor in actors
            if actor.get("type") == "service_account"
        )

    async def make(self, name: str) -> Account:
        """See ``ForeignSystem.make``."""
        there = [account for account in await self.accounts() if account.name == name]
        if there:
            return there[0]
        body = {"actor": {"name": name, "type": "service_account"}}
        made = _account(_data(await self._write("POST", ACTORS, body)), {}, None)
        await self._join(made.id)
        return made

    async def keys(self, account: Account) -> ClientKeys:
        """See ``ForeignSystem.keys``. A token is shown once: those that nobody may have seen are revoked."""
        if not account.enabled:
            await self._switch(account.id, on=True)
        path = f"{ACTORS}/{account.id}/client_tokens"
        await self._write("DELETE", path)
        end = (datetime.now(UTC) + TOKEN_AGE).strftime("%Y-%m-%dT%H:%M:%SZ")
        made = _data(await self._write("POST", path, {"client_token": {"expires_at": end}}))
        if not made.get("token"):
            raise Rejected("Firezone made a client token and does not show it")
        return ClientKeys(account.key, None, None, Hidden(str(made["token"])))

    async def put(self, account: Account | None, wanted: Wanted) -> None:
        """See ``ForeignSystem.put``. One that is switched off has no token that works, and comes on with a new one."""
        if account is None:
            raise Rejected("Firezone makes the tokens of its accounts and takes none")
        if account.spoilt:
            await self._join(account.id)
        if not account.enabled:
            raise Rejected("waits for a new token")

    async def cut(self, account: Account) -> None:
        """See ``ForeignSystem.cut``. To leave the group would not be enough: everybody is in the group Everyone."""
        await self._switch(account.id, on=False)

    async def delete(self, account: Account) -> None:
        """See ``ForeignSystem.delete``."""
        await self._write("DELETE", f"{ACTORS}/{account.id}", fine=(200, 204, 404))

    async def _switch(self, actor: str, *, on: bool) -> None:
        await self._write("PATCH", f"{ACTORS}/{actor}", {"actor": {"is_disabled": not on}})

    async def _join(self, actor: str) -> None:
        if self._group is not None:
            change = {"memberships": {"add": [actor], "remove": []}}
            await self._write("PATCH", f"{GROUPS}/{self._group}/memberships", change)

    async def _members(self) -> frozenset[str] | None:
        if self._group is None:
            return None
        return frozenset(str(actor["id"]) for actor in await self._list(f"{GROUPS}/{self._group}/memberships"))

    async def _list(self, path: str) -> list[dict[str, Any]]:
        """All pages."""
        found, query = list[dict[str, Any]](), {"limit": PAGE}
        while True:
            body = self._page(await self._web.read(path, query), path)
            found += body["data"]
            following = (body.get("metadata") or {}).get("next_page")
            if not following:
                return found
            query = {"limit": PAGE, "page_cursor": str(following)}

    async def _write(self, method: str, path: str, body: Any = None, fine: tuple[int, ...] = (200, 201, 204)) -> Any:
        return expect(self._admitted(await self._web.write(method, path, body)), f"{method} {path}", *fine)

    def _page(self, answer: Answer, path: str) -> dict[str, Any]:
        body = expect(self._admitted(answer), f"GET {path}", 200, 404)
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise Unsuitable(
                f"GET {path} is not answered as Firezone 1.x does; spec.dataPlane.firezone.url must name its API"
            )
        return body

    def _admitted(self, answer: Answer) -> Answer:
        if answer.status in (401, 403):
            raise Denied(f"Firezone does not let the operator do that: {said(answer)}; see the token of the Secret")
        return answer


def _account(actor: dict[str, Any], client: dict[str, Any], members: frozenset[str] | None) -> Account:
    try:
        name, identity = str(actor["name"]), str(actor["id"])
        return Account(
            id=identity,
            key=identity,
            name=name,
            uid=uid_of(name),
            enabled=not actor.get("is_disabled", False),
            spoilt=members is not None and identity not in members,
            last_handshake=_last_seen(client),
            endpoint=str(client["last_seen_remote_ip"]) if client.get("last_seen_remote_ip") else None,
        )
    except (KeyError, TypeError):
        raise Unsuitable("Firezone lists an actor in another form than version 1.x does") from None


def _last_seen(client: dict[str, Any]) -> int:
    """Of a client that is connected: now."""
    if client.get("online"):
        return int(datetime.now(UTC).timestamp())
    return unix(client.get("last_seen_at"))


def _data(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
        raise Unsuitable("Firezone answers without data")
    return dict(body["data"])
