"""What can carry a server, for tests that are about all of them: a double, an agent in memory, or a real instance.

A real instance takes part when its address and its credentials are in the environment:

======================  =========================================================
``WG_EASY_URL``         with ``WG_EASY_USERNAME`` and ``WG_EASY_PASSWORD``
``WG_EASY_CA``          a file with the authority's certificate, if it needs one
``WG_EASY_NETWORK``     its IPv4 network; default 10.8.0.0/24
``FIREZONE_URL``        with ``FIREZONE_TOKEN``: Firezone 1.x; and ``FIREZONE_CA``
``FIREZONE_GROUP``      a group there, if there is to be one
``FIREZONE07_URL``      with ``FIREZONE07_TOKEN``: Firezone 0.7; and ``FIREZONE07_CA``
``FIREZONE07_NETWORK``  its IPv4 network; default 10.8.0.0/24
======================  =========================================================
"""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tests.doubles.firezone import FirezoneDouble
from tests.doubles.firezone_legacy import FirezoneLegacyDouble
from tests.doubles.https import Site, served
from tests.doubles.wg_easy import WGEasyDouble
from tests.unit.controller.world import NAMESPACE, URL, World
from wireguard_operator.api.base import API_VERSION
from wireguard_operator.backends.contract import ForeignSystem
from wireguard_operator.backends.firezone import Firezone
from wireguard_operator.backends.firezone_legacy import FirezoneLegacy
from wireguard_operator.backends.web import Credentials
from wireguard_operator.backends.wg_easy import WGEasy
from wireguard_operator.domain.capabilities import System
from wireguard_operator.domain.keys import Hidden
from wireguard_operator.kube.resources import SECRETS, SERVERS

LOGIN = "login"


class Place(Protocol):
    """Something that carries a server."""

    system: System
    plays: bool
    """Whether traffic, resets and losses can be acted out."""

    def ready(self, world: World) -> AbstractAsyncContextManager[dict[str, Any]]:
        """The specification of a server there, as long as the place is there."""
        ...

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """Allowed IPs by key, of those who may use their tunnels."""
        ...

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """The counters of a client, since it came to the device."""
        ...

    def restart(self, world: World) -> None:
        """The device's counters begin anew."""
        ...

    def lose(self, world: World) -> None:
        """Somebody takes all clients off the device by hand."""
        ...


async def log_in_with(world: World, authority: str | None, **values: str) -> None:
    """The Secret with the credentials."""
    data = values | ({"ca.crt": authority} if authority else {})
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    await world.kube.create(SECRETS, NAMESPACE, {"metadata": {"name": LOGIN}, "data": encoded})


async def foreign_server(world: World, plane: dict[str, Any], name: str = "berlin", **spec: Any) -> None:
    """A server that another system carries."""
    base = {"networks": ["10.8.0.0/24"], "dataPlane": {**plane, "credentialsSecretRef": {"name": LOGIN}}}
    body = {"apiVersion": API_VERSION, "kind": "WireGuardServer", "metadata": {"name": name}, "spec": base | spec}
    await world.kube.create(SERVERS, NAMESPACE, body)


@dataclass
class Own:
    """The operator's own agent, with a device in memory."""

    system = System.OWN
    plays = True

    @asynccontextmanager
    async def ready(self, world: World) -> AsyncIterator[dict[str, Any]]:
        """See ``Place``."""
        await world.server()
        yield {}

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """See ``Place``."""
        return {key: set(ips) for key, ips in world.agent.allowed_ips.items()}

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """See ``Place``."""
        world.agent.counted[key] = received, sent

    def restart(self, world: World) -> None:
        """See ``Place``."""
        world.agent.counted.clear()

    def lose(self, world: World) -> None:
        """See ``Place``: an agent that was started on another machine holds nothing."""
        world.agents[URL].state = None


class WGEasyPlace:
    """The double of wg-easy."""

    system = System.WG_EASY
    plays = True

    def __init__(self) -> None:
        self.double = WGEasyDouble()

    @asynccontextmanager
    async def ready(self, world: World) -> AsyncIterator[dict[str, Any]]:
        """See ``Place``."""
        site = Site()
        async with served(self.double.app(), site) as url:
            await log_in_with(world, site.authority, username=self.double.username, password=self.double.password)
            plane = {"type": "WGEasy", "wgEasy": {"url": url}}
            await foreign_server(world, plane)
            yield plane
            await world.stop()

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """See ``Place``; wg-easy gives an address of each version."""
        shown = self.double.on_device().items()
        return {key: {ip for ip in ips.split() if not ip.startswith("fd42")} for key, ips in shown}

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """See ``Place``."""
        self.double.talk(key, received, sent)

    def restart(self, world: World) -> None:
        """See ``Place``."""
        self.double.restart_interface()

    def lose(self, world: World) -> None:
        """See ``Place``."""
        self.double.wipe()


class RealWGEasy:
    """The instance that the environment names."""

    system = System.WG_EASY
    plays = False

    def __init__(self) -> None:
        self._url = os.environ["WG_EASY_URL"]
        self._user, self._password = os.environ["WG_EASY_USERNAME"], os.environ["WG_EASY_PASSWORD"]
        ca = os.environ.get("WG_EASY_CA")
        self._authority = Path(ca).read_text() if ca else None

    @asynccontextmanager
    async def ready(self, world: World) -> AsyncIterator[dict[str, Any]]:
        """See ``Place``."""
        await log_in_with(world, self._authority, username=self._user, password=self._password)
        plane = {"type": "WGEasy", "wgEasy": {"url": self._url}}
        await foreign_server(world, plane, networks=[os.environ.get("WG_EASY_NETWORK", "10.8.0.0/24")])
        yield plane
        await world.stop()

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """See ``Place``."""
        system: ForeignSystem = WGEasy(
            self._url, Credentials(self._user, Hidden(self._password), authority=self._authority)
        )
        try:
            await system.identify()
            accounts = [a for a in await system.accounts() if a.uid is not None and a.enabled and not a.missing]
            return {a.key: {ip for ip in (*a.addresses, *a.routes) if ":" not in ip} for a in accounts}
        finally:
            await system.close()

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """See ``Place``."""

    def restart(self, world: World) -> None:
        """See ``Place``."""

    def lose(self, world: World) -> None:
        """See ``Place``."""


class FirezoneLegacyPlace:
    """The double of Firezone 0.7."""

    system = System.FIREZONE_LEGACY
    plays = True

    def __init__(self) -> None:
        self.double = FirezoneLegacyDouble()

    @asynccontextmanager
    async def ready(self, world: World) -> AsyncIterator[dict[str, Any]]:
        """See ``Place``."""
        site = Site()
        async with served(self.double.app(), site) as url:
            await log_in_with(world, site.authority, token=self.double.token)
            plane = {"type": "Firezone", "firezone": {"url": url}}
            await foreign_server(world, plane)
            yield plane
            await world.stop()

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """See ``Place``; Firezone gives an address of each version."""
        return {device["public_key"]: {f"{device['ipv4']}/32"} for device in self.double.devices.values()}

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """See ``Place``."""
        self.double.talk(key, received, sent)

    def restart(self, world: World) -> None:
        """See ``Place``."""
        for device in self.double.devices.values():
            device |= {"rx_bytes": None, "tx_bytes": None, "latest_handshake": None}

    def lose(self, world: World) -> None:
        """See ``Place``."""
        self.double.devices.clear()


class FirezonePlace:
    """The double of Firezone 1.x."""

    system = System.FIREZONE
    plays = True

    def __init__(self) -> None:
        self.double = FirezoneDouble()
        self.group = self.double.add_group("Subscribers")

    @asynccontextmanager
    async def ready(self, world: World) -> AsyncIterator[dict[str, Any]]:
        """See ``Place``."""
        site = Site()
        async with served(self.double.app(), site) as url:
            await log_in_with(world, site.authority, token=self.double.token)
            plane = {"type": "Firezone", "firezone": {"url": url, "group": "Subscribers"}}
            await foreign_server(world, plane)
            yield plane
            await world.stop()

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """See ``Place``: who can sign in, and reaches what the group does."""
        return {actor: set() for actor in self.double.admitted() & self.double.members[self.group]}

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """See ``Place``: all that can be seen is that somebody is there."""
        self.double.connect(key)

    def restart(self, world: World) -> None:
        """See ``Place``."""

    def lose(self, world: World) -> None:
        """See ``Place``: an administrator takes everybody out of the group."""
        self.double.members[self.group].clear()


class RealFirezone:
    """The installation that the environment names."""

    plays = False

    def __init__(self, system: System, prefix: str) -> None:
        self.system = system
        self._url, self._token = os.environ[f"{prefix}_URL"], os.environ[f"{prefix}_TOKEN"]
        ca = os.environ.get(f"{prefix}_CA")
        self._authority = Path(ca).read_text() if ca else None
        self._group = os.environ.get(f"{prefix}_GROUP")
        self._network = os.environ.get(f"{prefix}_NETWORK", "10.8.0.0/24")

    @asynccontextmanager
    async def ready(self, world: World) -> AsyncIterator[dict[str, Any]]:
        """See ``Place``."""
        await log_in_with(world, self._authority, token=self._token)
        group = {"group": self._group} if self._group else {}
        plane = {"type": "Firezone", "firezone": {"url": self._url, **group}}
        await foreign_server(world, plane, networks=[self._network])
        yield plane
        await world.stop()

    async def on_device(self, world: World) -> dict[str, set[str]]:
        """See ``Place``."""
        credentials = Credentials(token=Hidden(self._token), authority=self._authority)
        system: ForeignSystem = (
            Firezone(self._url, credentials, self._group)
            if self.system is System.FIREZONE
            else FirezoneLegacy(self._url, credentials)
        )
        try:
            await system.identify()
            accounts = [a for a in await system.accounts() if a.uid is not None and a.enabled and not a.spoilt]
            return {a.key: {ip for ip in a.addresses if ":" not in ip} for a in accounts}
        finally:
            await system.close()

    def talk(self, world: World, key: str, received: int, sent: int) -> None:
        """See ``Place``."""

    def restart(self, world: World) -> None:
        """See ``Place``."""

    def lose(self, world: World) -> None:
        """See ``Place``."""


PLACES: dict[str, Callable[[], Place]] = {
    "own-agent": Own,
    "wg-easy": WGEasyPlace,
    "firezone-0.7": FirezoneLegacyPlace,
    "firezone-1": FirezonePlace,
}
if "WG_EASY_URL" in os.environ:
    PLACES["real-wg-easy"] = RealWGEasy
if "FIREZONE_URL" in os.environ:
    PLACES["real-firezone-1"] = partial(RealFirezone, System.FIREZONE, "FIREZONE")
if "FIREZONE07_URL" in os.environ:
    PLACES["real-firezone-0.7"] = partial(RealFirezone, System.FIREZONE_LEGACY, "FIREZONE07")
