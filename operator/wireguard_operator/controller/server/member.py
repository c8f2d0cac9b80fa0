"""One pod of a server with several: what its agent says, what it is told, and how its device follows."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime

from ...agent.protocol import Role, RoleOrder, Standing, agent_name
from ...api.base import Key
from ...domain import reach, succession
from ...domain.succession import Candidate
from ...kube.client import Object
from ...kube.errors import Conflict, NotFound
from ...kube.resources import PODS
from ..agents.client import AgentClient, AgentError, AgentUnreachable
from ..agents.link import DeviceLink
from ..services import Services

logger = logging.getLogger(__name__)

TIMEOUTS = 2
"""Looks in a row, of a second each, after which a silent agent is given up; a refused connection is as good as both."""
LATE_SECONDS = 1.5
"""After which a look of a second says nothing about the agent."""
SILENT_SECONDS = 2.0
"""Between looks at a silent pod that does not serve: each takes a second, for which nobody else is looked at."""


class Member:
    """A pod and its agent."""

    def __init__(self, services: Services, server: Key, body: Object) -> None:
        self._services = services
        self._server = server
        self.body = body
        self.link: DeviceLink | None = None
        """By which the device of one that stands by follows; the active pod's is the server's own."""
        self.standing: Standing | None = None
        self.silent = TIMEOUTS
        """Looks in a row without an answer; an agent that was never reached is silent."""
        self.ask_at = 0.0
        """Monotonic time of the next look."""
        self.push: asyncio.Task[None] | None = None
        self._told = ""
        """The last trouble that was logged."""

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.body["metadata"]["name"])

    @property
    def answers(self) -> bool:
        """Whether the agent is there."""
        return self.standing is not None and self.silent < TIMEOUTS

    def client(self) -> AgentClient:
        """The way to the agent. Raises AgentUnreachable."""
        url = reach.pod_url(self.body)
        if url is None:
            raise AgentUnreachable(f"pod {self.name} has no address yet")
        services = self._services
        name = agent_name(self._server.namespace, self._server.name)
        return AgentClient(services.http, services.authority.context(), url, name, services.metrics)

    def candidate(self, digest: str | None) -> Candidate:
        """What the decision needs to know. ``digest``: of what is wanted on the device."""
        meta, standing = self.body["metadata"], self.standing
        applied = standing.applied if standing is not None else None
        return Candidate(
            name=self.name,
            created=datetime.fromisoformat(meta["creationTimestamp"]),
            answers=self.answers,
            terminating=bool(meta.get("deletionTimestamp")) or (standing is not None and standing.stopping),
            loaded=applied is not None and applied.digest == digest,
            term=standing.term if standing is not None else 0,
            active=standing is not None and standing.role is Role.ACTIVE,
        )

    async def ask(self, *, serves: bool) -> None:
        """Look where the agent stands."""
        began = time.monotonic()
        if began < self.ask_at or reach.pod_url(self.body) is None:
            return
        trouble = ""
        for _ in range(TIMEOUTS):
            now = time.monotonic()
            try:
                self.standing = await self.client().standing()
                self.silent = 0
                return
            except AgentError as error:
                if isinstance(error.__cause__, TimeoutError):
                    # Where that took longer than it may, it is this process that gets no CPU.
                    self.silent += time.monotonic() - now < LATE_SECONDS
                    break
                trouble = str(error)
        else:
            self.silent = TIMEOUTS
            if self.standing is not None:  # one that starts takes its time
                self.tell(trouble)
        if not self.answers and self.link is not None:
            self.link.doubt()
            if not serves:
                self.ask_at = began + SILENT_SECONDS

    async def order(self, term: int, role: Role) -> bool:
        """Have the agent be that; whether it is."""
        try:
            self.standing = await self.client().order(RoleOrder(term, role))
        except AgentError as error:
            self.tell(str(error))
            return False
        return True

    def feed(self) -> None:
        """Bring the device to what is wanted, beside everything else."""
        if self.link is None or not self.answers or self.link.is_settled():
            return
        if self.push is None or self.push.done():
            self.push = asyncio.create_task(self._push(self.link), name=f"push to {self.name}")

    async def _push(self, link: DeviceLink) -> None:
        try:
            await link.push(self.client())
        except AgentError as error:
            self.tell(str(error))

    async def unlink(self, server: DeviceLink) -> None:
        """The device follows no longer."""
        if self.push is not None:
            self.push.cancel()
            await asyncio.gather(self.push, return_exceptions=True)
            self.push = None
        if self.link is not None:
            server.unfollow(self.link)
            self.link = None

    async def label(self, role: Role) -> None:
        """What the Service selects the pod by, what a ReplicaSet and what people go by. Raises KubeError."""
        labels = {succession.POD_LABEL: self.name, succession.ROLE_LABEL: role.value}
        cost = "1" if role is Role.ACTIVE else None
        meta = self.body["metadata"]
        known = (meta.get("annotations") or {}).get(succession.COST_ANNOTATION)
        if labels.items() <= (meta.get("labels") or {}).items() and known == cost:
            return
        annotations = {succession.COST_ANNOTATION: cost}
        change = {"metadata": {"uid": meta["uid"], "labels": labels, "annotations": annotations}}
        with suppress(NotFound, Conflict):  # the watch will tell
            body = await self._services.client.merge_patch(PODS, self._server.namespace, self.name, change)
            self._services.cache.children.see(PODS, body)
            self.body = body

    def tell(self, trouble: str) -> None:
        """Log what is wrong, once."""
        if trouble != self._told:
            self._told = trouble
            logger.warning("server %s: pod %s: %s", self._server, self.name, trouble)
