"""What carries a server: the agent in its pod, in one of several, or on a host, or a system of somebody else.

Whoever works on the server asks here for the one who speaks for its device now, and need not know which it is.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Set

from ...agent.protocol import Ack, agent_name
from ...api.base import Key
from ...api.data_plane import DataPlaneType
from ...api.reasons import Reason
from ...api.server import WireGuardServer
from ...domain import reach
from ...domain.conditions import Problem
from ..agents.client import Agent, AgentClient, AgentError, AgentUnreachable
from ..agents.link import DeviceLink
from ..services import Services
from ..watch.records import ServerRecord
from .arbiter import Arbiter
from .foreign import ForeignServer
from .pods import Pods, Reach
from .relay import Relay

logger = logging.getLogger(__name__)


class Carrier:
    """Of one server."""

    def __init__(
        self,
        services: Services,
        key: Key,
        link: DeviceLink,
        foreign: ForeignServer | None,
        read_last: Callable[[AgentClient], Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        """``read_last``: take in the last counters of a device."""
        self._services = services
        self._key = key
        self._link = link
        self._foreign = foreign
        self._wake = wake
        self._pods = Pods(services)
        self._relay = Relay()
        self._arbiter = Arbiter(services, key, link, self._relay, read_last, self._changed)
        self._ready_pods: frozenset[str] = frozenset()
        """UIDs, of a server with one replica."""
        self._reach: Reach | None = None

    def agent(self, server: WireGuardServer) -> Agent:
        """Who speaks for the device. Raises AgentUnreachable."""
        return self._foreign if self._foreign is not None else self._own_agent(server)

    async def find(self, server: ServerRecord) -> None:
        """Make the server's pods as they should be, and note where it is. Raises KubeError."""
        if self._foreign is not None:
            found = self._foreign.reach(server.server)
        else:
            found = await self._pods.reconcile(server.server)
        self._reach = found
        server.facts.endpoint = found.endpoint if isinstance(found.endpoint, str) else None
        server.facts.endpoint_problem = None if isinstance(found.endpoint, str) else found.endpoint
        server.facts.pod_problem = found.problem

    def problem(self, server: WireGuardServer, error: AgentError) -> Problem:
        """Why the device is not as wanted, in Kubernetes' words where a pod does not run."""
        found = self._pods.explain(server) if error.reason is Reason.AGENT_UNREACHABLE else None
        return found or Problem(error.reason, str(error))

    def gone(self, uids: Set[str], *, complete: bool) -> frozenset[str]:
        """Of peers that are gone for good, those that no device knows any more.

        ``complete``: all that is wanted is known.
        """
        if self._foreign is not None:
            return self._foreign.gone(uids) if complete else frozenset()
        return frozenset(uids) if self._link.is_settled_everywhere() else frozenset()

    async def look_after_pods(self, server: WireGuardServer, *, complete: bool) -> bool:
        """See to it that one of several pods serves; whether to look again at once. Raises KubeError, AgentError.

        ``complete``: all that is wanted is known.
        """
        if server.spec.data_plane.is_replicated:
            return await self._arbiter.step(server, complete=complete)
        await self._arbiter.close()
        pods = self._services.cache.children.pods_of(self._key)
        ready = frozenset(pod["metadata"]["uid"] for pod in pods if reach.is_ready(pod))
        if ready and ready != self._ready_pods:
            replaced, self._ready_pods = bool(self._ready_pods), ready
            # A pod in the place of another one knows nothing of where the peers are.
            (self._link.replace_agent if replaced else self._link.doubt)()
            self._wake()
        return False

    async def read_places(self, server: WireGuardServer) -> None:
        """Take in where the peers of a pod that is alone have their sessions. Raises AgentError."""
        if _is_alone(server):
            await self._relay.read(self._own_agent(server))

    async def tell_places(self, server: WireGuardServer, ack: Ack) -> None:
        """A pod that is alone and new is told where the peers are that had a session with the former one."""
        if not _is_alone(server) or not ack.device:
            return
        try:
            await self._relay.tell(ack.device, self._own_agent(server))
        except AgentError as error:
            logger.warning("server %s: the new pod is not told where its peers are: %s", self._key, error)
        self._relay.keep_to({ack.device})

    def describe(self, server: ServerRecord) -> None:
        """Note which of several pods serves, and whether another one could."""
        facts = server.facts
        facts.standby_problem = None
        if server.server.spec.data_plane.is_replicated:
            facts.standby_problem = self._arbiter.problem(server.server)
            if facts.data_plane is not None:
                pods = {"active_pod": self._arbiter.active_pod, "standby_pods": self._arbiter.standbys()}
                facts.data_plane = facts.data_plane.model_copy(update=pods)

    async def close(self) -> None:
        """Stop what is under way. The device goes on as it is."""
        await self._arbiter.close()
        if self._foreign is not None:
            await self._foreign.close()

    def _changed(self) -> None:
        """Another pod serves: what its agent holds has to be asked, and it is told what it needs."""
        self._link.replace_agent()
        self._wake()

    def _own_agent(self, server: WireGuardServer) -> AgentClient:
        services, host = self._services, server.spec.data_plane.host
        if host is not None and host.dial:
            return services.dialled.agent(self._key, services.metrics)
        if server.spec.data_plane.is_replicated:
            return self._arbiter.agent()
        if self._reach is None or self._reach.agent_url is None:
            raise AgentUnreachable("the Service of the agent has no address yet")
        name = agent_name(server.metadata.namespace, server.metadata.name)
        return AgentClient(services.http, services.authority.context(), self._reach.agent_url, name, services.metrics)


def _is_alone(server: WireGuardServer) -> bool:
    plane = server.spec.data_plane
    return plane.type is DataPlaneType.POD and not plane.is_replicated
