"""A cluster in memory: an API server, agents, and a controller of real parts between them, all in one event loop."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, cast

import aiohttp
import pytest

from wireguard_operator.agent import parts, protocol
from wireguard_operator.agent.protocol import (
    Ack,
    AgentStatus,
    Applied,
    CountersPage,
    DeltaRequest,
    PartReply,
    PeerCounters,
    Snapshot,
)
from wireguard_operator.api.base import API_VERSION, Key
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.controller import placer as placer_module
from wireguard_operator.controller.agents.authority import Authority
from wireguard_operator.controller.agents.client import AgentError, AgentUnreachable, BaseMismatch
from wireguard_operator.controller.placer import Placer
from wireguard_operator.controller.server import pipeline
from wireguard_operator.controller.server.carrier import Carrier
from wireguard_operator.controller.services import Services
from wireguard_operator.controller.settings import Settings
from wireguard_operator.controller.supervisor import Supervisor
from wireguard_operator.controller.watch.cache import Cache
from wireguard_operator.controller.watch.sweep import Sweep
from wireguard_operator.controller.writes import status_writer
from wireguard_operator.controller.writes.event_recorder import EventRecorder
from wireguard_operator.controller.writes.secret_store import SecretStore
from wireguard_operator.controller.writes.status_writer import StatusWriter
from wireguard_operator.domain.certificates import make_authority
from wireguard_operator.domain.device import Delta, DesiredState
from wireguard_operator.kube.client import KubeClient, Object
from wireguard_operator.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from wireguard_operator.kube.resources import BLOCKS, EVENTS, NAMESPACES, PEERS, SECRETS, SERVERS, ResourceType

NAMESPACE = "isp"
URL = "https://192.0.2.1:8443"
QUIET_SECONDS = 0.12

Refusal = Callable[[str, ResourceType, str], None]


def allow(_verb: str, _kind: ResourceType, _name: str) -> None:
    """Refuse nothing."""


def clock() -> datetime:
    """What a loop with a clock of its own says, or the machine."""
    return datetime.fromtimestamp(time.time(), UTC)


class Kube:
    """Objects by kind and key; tells watchers a moment later. ``refuse`` may raise a KubeError."""

    def __init__(self) -> None:
        self.objects: dict[tuple[ResourceType, Key], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.refuse: Refusal = allow
        self.watch: Callable[[str, ResourceType, Object], None] | None = None
        self._versions, self._uids = count(100), count(1)

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        await self._called("get", kind, name)
        namespace = name if kind == NAMESPACES else namespace
        return copy.deepcopy(self._find(kind, namespace, name))

    async def create(self, kind: ResourceType, namespace: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        await self._called("create", kind, name)
        if (kind, Key(namespace, name)) in self.objects:
            raise AlreadyExists(f"{kind.plural} {name} exists", 409)
        body = copy.deepcopy(body)
        now = clock().isoformat()
        made = {"namespace": namespace, "uid": f"uid-{next(self._uids)}", "generation": 1, "creationTimestamp": now}
        body["metadata"] = {**body["metadata"], **made}
        return self._store("ADDED", kind, body)

    async def replace(self, kind: ResourceType, namespace: str, name: str, body: Object) -> Object:
        await self._called("replace", kind, name)
        old = self._find(kind, namespace, name)
        if body["metadata"].get("resourceVersion") not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict("changed meanwhile", 409)
        kept = {key: old["metadata"][key] for key in ("namespace", "uid", "generation", "creationTimestamp")}
        return self._change(kind, old, {**copy.deepcopy(body), "metadata": {**body["metadata"], **kept}})

    async def merge_patch(
        self, kind: ResourceType, namespace: str, name: str, body: Object, *, subresource: str = ""
    ) -> Object:
        await self._called("patch" + subresource, kind, name)
        old = self._find(kind, namespace, name)
        for part in ("uid", "resourceVersion"):
            if body.get("metadata", {}).get(part) not in (None, old["metadata"][part]):
                raise Conflict("another object", 409)
        change = {"status": body.get("status", {})} if subresource else body
        new = _merged(old, change)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        return self._change(kind, old, new)

    async def delete(self, kind: ResourceType, namespace: str, name: str, *, uid: str | None = None) -> None:
        await self._called("delete", kind, name)
        old = self._find(kind, namespace, name)
        if uid not in (None, old["metadata"]["uid"]):
            raise Conflict("another object", 409)
        if old["metadata"].get("finalizers"):
            now = clock().isoformat()
            self._change(kind, old, _merged(old, {"metadata": {"deletionTimestamp": now}}))
        else:
            self._gone(kind, old)

    async def list(
        self, kind: ResourceType, namespace: str | None = None, *, labels: str = "", metadata_only: bool = False
    ) -> AsyncIterator[Object]:
        await self._called("list", kind, "")
        wanted = dict(part.split("=") for part in labels.split(",") if part)
        for (other, key), body in list(self.objects.items()):
            have = body["metadata"].get("labels", {})
            if other == kind and namespace in (None, key.namespace) and wanted.items() <= have.items():
                yield copy.deepcopy({"metadata": body["metadata"]} if metadata_only else body)

    async def _called(self, verb: str, kind: ResourceType, name: str) -> None:
        self.calls.append((verb, kind.plural, name))
        await asyncio.sleep(0)
        self.refuse(verb, kind, name)

    def _find(self, kind: ResourceType, namespace: str, name: str) -> Object:
        try:
            return self.objects[kind, Key(namespace, name)]
        except KeyError:
            raise NotFound(f"no {kind.plural} {name}", 404) from None

    def _change(self, kind: ResourceType, old: Object, new: Object) -> Object:
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if new == old:
            return copy.deepcopy(old)
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            self._gone(kind, new)
            return copy.deepcopy(new)
        return self._store("MODIFIED", kind, new)

    def _store(self, event: str, kind: ResourceType, body: Object) -> Object:
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[kind, Key(body["metadata"]["namespace"], body["metadata"]["name"])] = body
        self._tell(event, kind, body)
        return copy.deepcopy(body)

    def _gone(self, kind: ResourceType, body: Object) -> None:
        del self.objects[kind, Key(body["metadata"]["namespace"], body["metadata"]["name"])]
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self._tell("DELETED", kind, body)

    def _tell(self, event: str, kind: ResourceType, body: Object) -> None:
        if self.watch is not None:
            asyncio.get_running_loop().call_soon(self.watch, event, kind, copy.deepcopy(body))


def _merged(old: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    new = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key), value)
    return new


class Agent:
    """An agent with a device in memory; ``down`` makes it unreachable."""

    def __init__(self) -> None:
        self.state: DesiredState | None = None
        self.revision = 0
        self.down = False
        self.pushes = 0
        self.tries = 0
        self.assembly = parts.Assembly()
        self.counted: dict[str, tuple[int, int]] = {}
        """What the device has counted for each public key, received and sent."""
        self.life = "life-1"
        self.handshakes: dict[str, int] = {}

    @property
    def allowed_ips(self) -> dict[str, tuple[str, ...]]:
        """By public key, as ``wg show allowed-ips`` prints them."""
        return {key: peer.allowed_ips for key, peer in self.state.peers.items()} if self.state else {}

    @property
    def addresses(self) -> list[str]:
        """All allowed IPs."""
        return sorted(ip for ips in self.allowed_ips.values() for ip in ips)

    async def status(self) -> AgentStatus:
        await self._reached()
        partial = self.assembly.partial()
        return AgentStatus("1", "Userspace", self.life, self._applied(), partial=partial)

    async def put_part(self, part: bytes) -> PartReply:
        await self._reached()
        self.assembly.add(parts.read_part(part))
        if missing := self.assembly.missing():
            return PartReply(missing)
        snapshot = protocol.decode(Snapshot, self.assembly.content())
        self.assembly.clear()
        return PartReply((), self._put_state(snapshot))

    def _put_state(self, snapshot: Snapshot) -> Ack:
        self.pushes += 1
        gone = set(self.allowed_ips) - {peer.public_key for peer in snapshot.peers}
        self.state, self.revision = DesiredState(snapshot.interface, snapshot.peers), snapshot.revision
        return self._ack(gone)

    async def post_delta(self, delta: DeltaRequest) -> Ack:
        await self._reached()
        if self.state is None or delta.base != self._applied():
            raise BaseMismatch
        self.pushes += 1
        gone = set(self.allowed_ips) & set(delta.remove)
        self.state.apply(Delta(delta.interface, delta.upsert, delta.remove))
        self.revision = delta.revision
        return self._ack(gone)

    async def counters(self, cursor: str, *, more: bool = False) -> CountersPage:
        await self._reached()
        return CountersPage(self.life, "1", tuple(self._count(key) for key in self.allowed_ips), time.time())

    def _applied(self) -> Applied | None:
        return Applied(self.revision, self.state.digest) if self.state is not None else None

    def _ack(self, gone: set[str]) -> Ack:
        final = tuple(self._count(key) for key in sorted(gone))
        for key in gone:
            self.counted.pop(key, None)
        return Ack(cast(Applied, self._applied()), self.life, {}, final)

    def _count(self, key: str) -> PeerCounters:
        return PeerCounters(key, *self.counted.get(key, (0, 0)), self.handshakes.get(key, 0))

    async def _reached(self) -> None:
        self.tries += 1
        await asyncio.sleep(0)
        if self.down:
            raise AgentUnreachable("no answer")


class World:
    """The API server, the agents by URL, and at most one controller."""

    def __init__(self) -> None:
        self.kube = Kube()
        self.agents: dict[str, Agent] = {URL: Agent()}
        self.settings = Settings(stats_interval=3600, traffic_interval=0)
        self.late = timedelta()
        self.authority = Authority(make_authority(self.clock()), self.clock)
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None

    @property
    def agent(self) -> Agent:
        """The first agent."""
        return self.agents[URL]

    def clock(self) -> datetime:
        return clock() + self.late

    async def start(self) -> None:
        """Start a controller, which knows nothing but what the cluster says."""
        client = cast(KubeClient, self.kube)
        self.supervisor = Supervisor()
        self.cache = Cache(self.supervisor)
        self.events = EventRecorder(client, self.clock)
        self.statuses = StatusWriter(client, self.events, self.clock)
        self.placer = Placer(self.cache, self.statuses, self.clock)
        self._http = aiohttp.ClientSession()
        self.services = Services(
            settings=self.settings,
            client=client,
            http=self._http,
            cache=self.cache,
            secrets=SecretStore(client, self.cache),
            statuses=self.statuses,
            events=self.events,
            placer=self.placer,
            authority=self.authority,
            clock=self.clock,
        )
        self.sweep = Sweep(client, self.cache, (), self.supervisor.look_for_orphans)
        self.kube.watch = self.see
        await self.sweep.fill()
        self.supervisor.open(self.services)
        work = [self.statuses.work() for _ in range(4)]
        self._tasks = [asyncio.create_task(w) for w in (*work, self.events.work(), self.placer.run())]

    async def stop(self) -> None:
        """End the controller as a kill does: nothing is tidied up."""
        self.kube.watch = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._http is not None:
            await self.supervisor.close()
            await self._http.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def see(self, event: str, kind: ResourceType, body: Object) -> None:
        """The watch tells the cache."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        see: dict[ResourceType, Any] = {
            SERVERS: (self.cache.see_server, self.cache.lose_server),
            PEERS: (self.cache.see_peer, self.cache.lose_peer),
            SECRETS: (partial(self.cache.children.see, SECRETS), partial(self.cache.children.lose, SECRETS)),
        }
        if kind == NAMESPACES:
            self.cache.see_namespace(body) if event != "DELETED" else self.cache.lose_namespace(key.name)
        elif kind in see and event == "DELETED":
            see[kind][1](key, body["metadata"]["uid"])
        elif kind in see:
            see[kind][0](body)

    async def settle(self, seconds: float = 3.0) -> None:
        """Return when nothing happens any more, or after ``seconds``."""
        until, seen, since = time.monotonic() + seconds, (-1, -1), time.monotonic()
        while time.monotonic() < until:
            now = len(self.kube.calls), sum(agent.pushes for agent in self.agents.values())
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS:
                return
            await asyncio.sleep(0.01)

    async def namespace(self, name: str = NAMESPACE, **labels: str) -> None:
        await self.kube.create(NAMESPACES, name, {"metadata": {"name": name, "labels": labels}})

    async def server(self, name: str = "berlin", url: str = URL, **spec: Any) -> None:
        self.agents.setdefault(url, Agent())
        base = {
            "endpoint": {"host": "vpn.example.net"},
            "networks": ["10.8.0.0/24"],
            "dataPlane": {"type": "Host", "host": {"url": url}},
        }
        await self.kube.create(SERVERS, NAMESPACE, self._object("WireGuardServer", name, base | spec))

    async def peer(self, name: str = "alice", namespace: str = NAMESPACE, **spec: Any) -> None:
        base: dict[str, Any] = {} if "serverSelector" in spec else {"serverRef": {"name": "berlin"}}
        await self.kube.create(PEERS, namespace, self._object("WireGuardPeer", name, base | spec))

    def _object(self, kind: str, name: str, spec: dict[str, Any]) -> Object:
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}

    async def patch(self, kind: ResourceType, name: str, **spec: Any) -> None:
        await self.kube.merge_patch(kind, NAMESPACE, name, {"spec": spec})

    async def delete(self, kind: ResourceType, name: str) -> None:
        await self.kube.delete(kind, NAMESPACE, name)

    def status(self, name: str = "alice", kind: ResourceType = PEERS, namespace: str = NAMESPACE) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.objects[kind, Key(namespace, name)].get("status", {})
        return found

    def reason(self, name: str = "alice", type_: str = "Ready", kind: ResourceType = PEERS) -> str:
        conditions = self.status(name, kind).get("conditions", ())
        return next((str(c["reason"]) for c in conditions if c["type"] == type_), "")

    def held(self) -> dict[str, str]:
        """UID by address, as the blocks on the API server say."""
        blocks = [body for (kind, _), body in self.kube.objects.items() if kind == BLOCKS]
        return {address: one["uid"] for b in blocks for address, one in b["spec"]["allocations"].items()}

    def notes(self, reason: str) -> list[str]:
        """Events of that reason."""
        events = [body for (kind, _), body in self.kube.objects.items() if kind == EVENTS]
        return [event["note"] for event in events if event["reason"] == reason]


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    """Return when the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - parts of the world change without an event
            await asyncio.sleep(0.005)


async def serving(world: World, *peers: str, **server: Any) -> None:
    """Have server berlin serve these peers."""
    await world.server(**server)
    for name in peers:
        await world.peer(name)
    await world.start()
    await world.settle()
    assert all(world.reason(name) == "Ready" for name in peers)


def refusing(kind: ResourceType, name: str, error: KubeError, *verbs: str) -> Refusal:
    """Refuse calls (all, or these) about objects of a kind whose names begin with ``name``."""

    def refuse(verb: str, other: ResourceType, about: str) -> None:
        if other == kind and about.startswith(name) and (not verbs or verb in verbs):
            raise error

    return refuse


@asynccontextmanager
async def quick_world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world in which pauses are short."""
    world = World()

    def agent(_: Carrier, server: WireGuardServer) -> Any:
        host = server.spec.data_plane.host
        if host is None:
            raise AgentError("no host")
        return world.agents[host.url]

    monkeypatch.setattr(Carrier, "_own_agent", agent)
    monkeypatch.setattr(pipeline, "RETRY_FIRST", 0.02)
    monkeypatch.setattr(pipeline, "RETRY_LAST", 0.05)
    monkeypatch.setattr(pipeline, "REPORT_SECONDS", 0.01)
    monkeypatch.setattr(placer_module, "PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(status_writer, "RETRY_DELAY", 0.05)
    await world.namespace()
    yield world
    await world.stop()
