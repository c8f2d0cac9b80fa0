"""The side of a server that another system carries: what it is, who works on it, and where its keys come from.

To the rest of the controller it is an agent like any other, but for three things: the server's own key and endpoint
are read and not made, a system may make the keys of peers, and accounts are gone before addresses are given back.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from typing import TypeVar

from ...agent.protocol import Ack, AgentStatus, CountersPage, DeltaRequest, PartReply
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...backends.access import connect, credentials_of, system_url
from ...backends.agent import BaseMismatch as ForeignMismatch
from ...backends.agent import SystemAgent
from ...backends.contract import ForeignSystem, Site
from ...backends.errors import InUse, NoCredentials, SystemError, Unreachable
from ...backends.steward import Steward
from ...domain import client_config
from ...domain.capabilities import Capability, System, system_of
from ...domain.conditions import Problem
from ...domain.device import Interface
from ...domain.key_ring import ClientKeys
from ...domain.networks import Network, is_inside, server_address
from ...kube.errors import KubeError, NotFound
from ...kube.resources import SECRETS
from ..agents.client import AgentError, BaseMismatch
from ..services import Services
from ..watch.records import PeerRecord, ServerRecord
from .identity import Ready
from .pods import Reach

logger = logging.getLogger(__name__)

T = TypeVar("T")

REST_SECONDS = 4.0
"""For which a write that is under way is waited for at the end; wg-easy takes three."""
LEAVE_SECONDS, LEAVE_POLL_SECONDS = 300.0, 0.5
"""For which a system is still told to take its clients off after the server is gone, and between looks whether."""


class ForeignError(AgentError):
    """A foreign system could not do what was asked."""

    def __init__(self, error: SystemError) -> None:
        super().__init__(str(error))
        self.reason = error.reason


class ForeignServer:
    """One server that another system carries. Implements ``agents.client.Agent``.

    Nothing of it waits for the system but ``make``, which the intake calls beside the turns.
    """

    def __init__(
        self,
        services: Services,
        server: WireGuardServer,
        members: Callable[[], Mapping[str, str | None]],
        owner: Callable[[str], str],
        wake: Callable[[], None],
    ) -> None:
        self._services = services
        self._key, self._uid = server.key, server.metadata.uid
        self._members = members
        self._wake = wake
        self._news = self._leaves = False
        self._url = system_url(server.spec.data_plane) or ""
        self._plane = server.spec.data_plane
        self._steward = Steward(str(server.key), self._connect, members, self._tell, services.settings.stats_interval)
        self._agent = SystemAgent(self._steward, owner)
        self._task = asyncio.create_task(self._steward.run(), name=f"system of {server.key}")

    @property
    def system(self) -> System | None:
        """What carries the server; None: not known yet."""
        if self._steward.site is not None:
            return self._steward.site.system
        record = self._services.cache.servers.get(self._key)
        return system_of(record.server.spec) if record is not None else None

    def can(self, capability: Capability) -> bool:
        """Whether the system, as far as it is known, can do that."""
        return self.system is not None and capability in self.system.capabilities

    def take_news(self) -> bool:
        """Whether something happened there since the last call."""
        news, self._news = self._news, False
        return news

    def reach(self, server: WireGuardServer) -> Reach:
        """Where subscribers reach the server, and what is in the way."""
        self._follow(server)
        trouble = self._steward.trouble
        problem = Problem(trouble.reason, str(trouble)) if trouble is not None else None
        site = self._steward.site
        if site is None:
            waiting = problem or Problem(Reason.WAITING, f"{self._url} has not answered yet")
            return Reach(waiting, None, waiting)
        spec = server.spec
        public = site.endpoint
        if spec.endpoint is not None:
            port = spec.endpoint.port or int((public or f":{spec.listen_port}").rpartition(":")[2])
            public = client_config.endpoint(spec.endpoint.host, port)
        if public is None and Capability.CONFIGURATION in site.system.capabilities:
            missing = f"{site.system} does not say how clients reach it; set its host there, or spec.endpoint here"
            return Reach(Problem(Reason.ENDPOINT_PENDING, missing), None, problem)
        return Reach(public or self._url, None, problem)

    def _follow(self, server: WireGuardServer) -> None:
        """Work with the system that the server names now."""
        plane = server.spec.data_plane
        if (plane.wg_easy, plane.firezone, plane.credentials_secret_ref) == (
            self._plane.wg_easy,
            self._plane.firezone,
            self._plane.credentials_secret_ref,
        ):
            return
        self._give_back()
        self._plane, self._url = plane, system_url(plane) or ""
        self._steward.move()

    async def reconcile(self, record: ServerRecord, networks: tuple[Network, ...]) -> Ready | None:
        """As ``Identity.reconcile``; here nothing is made, only said."""
        facts, site = record.facts, self._steward.site
        facts.networks = tuple(map(str, networks))
        facts.addresses = tuple(f"{server_address(network)}/{network.prefixlen}" for network in networks)
        facts.key_problem = None
        if site is None:
            return None
        facts.key_keeper, facts.public_key = site.system.value, site.public_key
        try:
            self._claim(site.public_key or self._url)  # it may have several names
        except InUse as error:
            facts.key_problem = Problem(error.reason, str(error))
            return None
        outside = _outside(networks, site)
        if outside is not None:
            facts.key_problem = outside
            return None
        if facts.endpoint is None:
            return None
        mtu = record.server.spec.mtu or client_config.DEFAULT_MTU
        interface = Interface("", record.server.spec.listen_port, mtu, facts.addresses)
        return Ready(site.public_key or "", facts.endpoint, interface)

    async def status(self) -> AgentStatus:
        """See ``Agent``."""
        return await _told(self._agent.status())

    async def put_part(self, part: bytes) -> PartReply:
        """See ``Agent``."""
        return await _told(self._agent.put_part(part))

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        """See ``Agent``."""
        return await _told(self._agent.post_delta(delta))

    async def counters(self, cursor: str, *, more: bool = False) -> CountersPage:
        """See ``Agent``."""
        return await _told(self._agent.counters(cursor, more=more))

    @property
    def gives_tokens(self) -> bool:
        """Whether a peer has a token for the system's own client instead of keys."""
        return not self.can(Capability.CONFIGURATION)

    @property
    def makes_keys(self) -> bool:
        """Whether the keys of peers are the system's to make."""
        return not self.can(Capability.IMPORTED_KEY)

    async def make(self, record: PeerRecord, generation: int, *, fresh: bool) -> ClientKeys | Problem | None:
        """The keys of a peer's account; None when there is no account and none may be made."""
        verdict, addresses = record.facts.verdict, record.facts.addresses
        spare = verdict is not None and verdict.admitted
        try:
            return await self._steward.make(record.uid, generation, addresses, fresh=fresh, spare=spare)
        except SystemError as error:
            return Problem(error.reason, str(error))

    def is_void(self, public_key: str) -> bool:
        """Whether the keys of a peer that comes back are of no use any more."""
        account = (self._steward.accounts or {}).get(public_key)
        return self.system is System.FIREZONE and account is not None and not account.enabled

    def void_keys(self) -> set[str]:
        """Of those who should be there, the ones whose keys are of no use any more."""
        return {key for key in self._steward.wanted or () if self.is_void(key)}

    def withhold(self, uid: str) -> None:
        """The peer must not use its tunnel."""
        self._steward.withhold(uid)

    def keep(self, uid: str) -> None:
        """The peer is to be provided for."""
        self._steward.keep(uid)

    def gone(self, uids: Set[str]) -> frozenset[str]:
        """Of peers that are gone for good, those that have no account any more; the others' are about to go."""
        return frozenset(self._steward.discard(uids))

    def leave(self, uids: frozenset[str]) -> None:
        """The server is gone: take its peers' accounts away, however long that takes; returns at once."""
        if self._leaves:
            return
        self._leaves = True
        keys = dict(self._members())
        members: dict[str, str | None] = {uid: keys.get(uid) for uid in uids}
        self._steward.change_members(lambda: members)
        task = asyncio.create_task(self._leave(uids), name=f"farewell of {self._key}")
        self._services.farewells.add(task)
        task.add_done_callback(self._services.farewells.discard)

    async def _leave(self, uids: frozenset[str]) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                while left := uids - self.gone(uids):
                    uids = left
                    await asyncio.sleep(LEAVE_POLL_SECONDS)
        except TimeoutError:
            logger.warning("server %s is gone; %d accounts of it stay at %s", self._key, len(uids), self._url)
        finally:
            await self._close()

    async def close(self) -> None:
        """Stop what is under way, but for a farewell. The system goes on as it is."""
        if not self._leaves:
            await self._close()

    async def _close(self) -> None:
        await self._steward.rest(REST_SECONDS)
        self._task.cancel()
        await asyncio.wait([self._task])
        self._give_back()

    def _give_back(self) -> None:
        for name in [name for name, uid in self._services.systems.items() if uid == self._uid]:
            del self._services.systems[name]

    def _tell(self) -> None:
        self._news = True
        self._wake()

    async def _connect(self) -> ForeignSystem:
        self._claim(self._url)
        ref = self._plane.credentials_secret_ref
        if ref is None:
            raise NoCredentials("spec.dataPlane.credentialsSecretRef names no Secret to log in with")
        try:
            secret = await self._services.client.get(SECRETS, self._key.namespace, ref.name)
        except NotFound:
            raise NoCredentials(f"there is no Secret {ref.name} to log in with") from None
        except KubeError as error:
            raise Unreachable(f"Secret {ref.name} cannot be read: {error}") from None
        return await connect(self._plane, credentials_of(self._plane, secret))

    def _claim(self, name: str) -> None:
        """Two who make the same system as they want it would undo each other's work for ever."""
        if self._services.systems.setdefault(name, self._uid) != self._uid:
            raise InUse(f"another WireGuardServer works with {self._url}, which bears one only")


async def _told(work: Awaitable[T]) -> T:
    try:
        return await work
    except ForeignMismatch as error:
        raise BaseMismatch(str(error)) from None
    except SystemError as error:
        raise ForeignError(error) from None


def _outside(networks: Iterable[Network], site: Site) -> Problem | None:
    pools = [ipaddress.ip_network(text, strict=False) for text in site.networks]
    if not pools:
        return None
    for network in networks:
        if not any(is_inside(network, pool) for pool in pools):
            has = " and ".join(map(str, pools))
            return Problem(
                Reason.SYSTEM_UNSUITABLE,
                f"spec.networks has {network}, and {site.system} has {has}: set one to what the other says",
            )
    return None
