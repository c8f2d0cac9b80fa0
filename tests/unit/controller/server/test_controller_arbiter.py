"""How the controller makes one of a server's pods serve: what it writes, whom it tells what, and what it survives."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.controller.world import Agent
from wireguard_operator.agent.protocol import CountersPage, Endpoints, Role, RoleOrder, Seen, Standing
from wireguard_operator.api.base import Key
from wireguard_operator.api.server import WireGuardServer
from wireguard_operator.controller.agents.client import AgentClient, AgentError, AgentUnreachable, BaseMismatch
from wireguard_operator.controller.agents.link import DeviceLink
from wireguard_operator.controller.metrics.process import Metrics
from wireguard_operator.controller.server import arbiter as arbiter_module
from wireguard_operator.controller.server import handover as handover_module
from wireguard_operator.controller.server.arbiter import Arbiter
from wireguard_operator.controller.server.member import Member
from wireguard_operator.controller.server.relay import Relay
from wireguard_operator.controller.services import Services
from wireguard_operator.controller.supervisor import Supervisor
from wireguard_operator.controller.watch.cache import Cache
from wireguard_operator.domain import server_pods, succession
from wireguard_operator.domain.device import DevicePeer, Interface
from wireguard_operator.domain.events import News
from wireguard_operator.domain.succession import Seat
from wireguard_operator.kube.client import Object
from wireguard_operator.kube.errors import Conflict, Forbidden, Invalid, KubeError, Unavailable
from wireguard_operator.kube.resources import PODS, SERVICES, ResourceType

KEY = Key("isp", "berlin")
SERVICE = (SERVICES, Key("isp", "berlin-wireguard"))
ALICE = DevicePeer("A" * 43 + "=", ("10.8.0.2/32",))
ACTIVE, STANDBY = Role.ACTIVE, Role.STANDBY


class PodAgent(Agent):
    """An agent in a pod, with a role."""

    def __init__(self, log: list[str], name: str) -> None:
        super().__init__()
        self.log, self.name = log, name
        self.term, self.role, self.serves = 0, STANDBY, False
        self.seen: dict[str, Seen] = {}
        self.expected: dict[str, Seen] = {}
        self.hangs = self.is_old = False

    async def standing(self) -> Standing:
        if self.hangs:
            raise AgentUnreachable("no answer") from TimeoutError()
        await self._reached()
        return Standing(self.term, self.role, self.serves, self._applied())

    async def order(self, order: RoleOrder) -> Standing:
        await self._reached()
        if order.term < self.term:
            raise BaseMismatch
        self.log.append(f"{self.name}: {order.role} {order.term}")
        self.term, self.role, self.serves = order.term, order.role, order.role is ACTIVE
        return await self.standing()

    async def pause(self, term: int) -> Standing:
        await self._reached()
        if self.is_old:
            raise AgentError("answered 404 to PUT /v1/pause")
        self.log.append(f"{self.name}: silent for {term}")
        self.serves = False
        return await self.standing()

    async def endpoints(self, cursor: str) -> Endpoints:
        await self._reached()
        return Endpoints(dict(self.seen), "cursor")

    async def expect(self, endpoints: Endpoints) -> Standing:
        self.log.append(f"{self.name}: expects")
        self.expected |= endpoints.seen
        return await self.standing()

    async def counters(self, cursor: str, *, more: bool = False) -> CountersPage:
        self.log.append(f"{self.name}: last counters")
        return await super().counters(cursor, more=more)


class Cluster:
    """The API server, as far as an arbiter sees it: one Service and pods."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.version = log, 1
        self.problem: Exception | None = None
        """With what a write is answered."""
        self.of_rehearsals: Exception | None = None
        """The same of a dry run."""
        self.away = self.loses_answers = False
        self.objects: dict[tuple[ResourceType, Key], Object] = {}

    async def apply(
        self, kind: ResourceType, namespace: str, name: str, body: Object, *, dry_run: bool = False
    ) -> Object:
        await asyncio.sleep(0)
        if (problem := self.of_rehearsals if dry_run else self.problem) is not None:
            raise problem
        have = self.objects.get((kind, Key(namespace, name)))
        if have is not None and body["metadata"].get("resourceVersion") != have["metadata"]["resourceVersion"]:
            raise Conflict("changed meanwhile", 409)
        if dry_run:
            return body
        seat = succession.seat_of(body)
        self.log.append(f"Service: {seat.pod if seat else None} {seat.term if seat else ''}".strip())
        made = self.put(kind, body)
        if self.loses_answers:
            self.loses_answers = False
            raise Unavailable("the connection was lost")
        return made

    async def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        if self.away:
            raise Unavailable("the API server is away")
        return self.objects[kind, Key(namespace, name)]

    async def merge_patch(self, kind: ResourceType, namespace: str, name: str, body: Object) -> Object:
        have = self.objects[kind, Key(namespace, name)]
        meta = {**have["metadata"]}
        for part in ("labels", "annotations"):
            merged = {**meta.get(part, {}), **body["metadata"][part]}
            meta[part] = {name: value for name, value in merged.items() if value is not None}
        return self.put(kind, {**have, "metadata": meta})

    def put(self, kind: ResourceType, body: Object) -> Object:
        self.version += 1
        meta = {**body["metadata"], "resourceVersion": str(self.version)}
        meta.setdefault("uid", f"uid-{meta['name']}")
        self.objects[kind, Key(meta["namespace"], meta["name"])] = found = {**body, "metadata": meta}
        return found


class Stage:
    """A server with pods, and an arbiter over them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.cluster = Cluster(self.log)
        self.cache = Cache(Supervisor())
        self.agents: dict[str, PodAgent] = {}
        self.news: list[News] = []
        self.read: list[str] = []
        self.server = WireGuardServer.model_validate(
            {
                "metadata": {"namespace": "isp", "name": "berlin", "uid": "uid"},
                "spec": {"networks": ["10.8.0.0/24"], "dataPlane": {"replicas": 2}},
            }
        )
        self.link = DeviceLink()
        self.link.set_interface(Interface("", 51820, 1420, ("10.8.0.1/24",)))
        self.link.put(ALICE)
        self.arbiter = self.make()

    def make(self) -> Arbiter:
        events = SimpleNamespace(tell=lambda _kind, _about, news: self.news.append(news))
        services = SimpleNamespace(client=self.cluster, cache=self.cache, events=events, metrics=Metrics())
        self.arbiter = Arbiter(
            cast(Services, services), KEY, self.link, Relay(), self.read_last, self.link.replace_agent
        )
        return self.arbiter

    async def read_last(self, agent: AgentClient) -> None:
        await agent.counters("")

    def pod(self, name: str, **metadata: Any) -> PodAgent:
        agent = self.agents.setdefault(name, PodAgent(self.log, name))
        born = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self.agents))
        meta = {"namespace": "isp", "name": name, "creationTimestamp": born.isoformat(), "labels": {}, **metadata}
        meta["labels"] = {"wireguard.dotmac.io/server": "berlin", **meta["labels"]}
        self.cache.children.see(PODS, self.cluster.put(PODS, {"metadata": meta, "status": {"podIP": "10.244.0.9"}}))
        return agent

    def delete(self, name: str) -> None:
        self.pod(name, deletionTimestamp="2026-01-01T00:00:00Z")

    def gone(self, name: str) -> None:
        self.cache.children.lose(PODS, Key("isp", name))
        self.agents[name].down = True

    async def step(self, times: int = 1) -> None:
        for _ in range(times):
            await self.arbiter.step(self.server, complete=True)
            await asyncio.gather(*(m.push for m in self.arbiter._members.values() if m.push is not None))
            if self.arbiter.active_pod is not None:
                await self.link.push(cast(AgentClient, self.agents[self.arbiter.active_pod]))

    @property
    def seat(self) -> Seat | None:
        return succession.seat_of(self.cluster.objects.get(SERVICE))

    def cost(self, name: str) -> str | None:
        annotations = self.cluster.objects[PODS, Key("isp", name)]["metadata"].get("annotations") or {}
        cost: str | None = annotations.get("controller.kubernetes.io/pod-deletion-cost")
        return cost

    def labels(self, name: str) -> dict[str, str]:
        labels: dict[str, str] = self.cluster.objects[PODS, Key("isp", name)]["metadata"]["labels"]
        return labels


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Two pods, the older one of which serves."""
    monkeypatch.setattr(arbiter_module, "RELAY_SECONDS", 0.0)
    stage = Stage()
    monkeypatch.setattr(Member, "client", lambda member: stage.agents[member.name])
    body = server_pods.service(stage.server)
    stage.cache.children.see(SERVICES, stage.cluster.put(SERVICES, body))
    stage.pod("one")
    stage.pod("two")
    await stage.step(3)
    assert stage.seat == Seat("one", 1)
    stage.log.clear()
    return stage


async def test_the_older_of_two_new_pods_serves_and_the_other_follows_every_change(stage: Stage) -> None:
    one, two = stage.agents["one"], stage.agents["two"]
    assert (one.role, one.serves, two.role, two.serves) == (ACTIVE, True, STANDBY, False)
    assert one.allowed_ips == two.allowed_ips == {ALICE.public_key: ALICE.allowed_ips}
    assert stage.labels("one")["wireguard.dotmac.io/role"] == "active"
    assert stage.labels("two")["wireguard.dotmac.io/pod"] == "two"
    assert stage.labels("two")["wireguard.dotmac.io/role"] == "standby"
    assert stage.arbiter.standbys() == 1
    stage.link.drop(ALICE.public_key)
    assert not stage.link.is_settled_everywhere()
    await stage.step(2)
    assert one.allowed_ips == two.allowed_ips == {}
    assert stage.link.is_settled_everywhere()
    assert stage.log == [], "and nobody is told anything twice"


async def test_a_pod_that_is_deleted_hands_over_and_is_silent_before_subscribers_are_led_elsewhere(
    stage: Stage,
) -> None:
    stage.agents["one"].seen = {"key": Seen("192.0.2.2:1", int(time.time()), (7,))}
    stage.delete("one")
    await stage.step()
    assert stage.log[:6] == [
        "two: expects", "two: active 2", "one: silent for 2", "Service: two 2", "one: standby 2", "one: last counters",
    ]  # fmt: skip
    assert stage.agents["two"].expected.keys() == {"key"}
    assert not stage.news[-1].warning
    assert stage.labels("two")["wireguard.dotmac.io/role"] == "active"


async def test_an_agent_that_knows_no_pause_hands_over_all_the_same(stage: Stage) -> None:
    stage.agents["one"].is_old = True
    stage.delete("one")
    await stage.step()
    assert stage.log[:3] == ["two: active 2", "Service: two 2", "one: standby 2"]


async def test_a_pod_that_cannot_hand_over_serves_on(clock: None, stage: Stage) -> None:
    stage.delete("one")
    stage.cluster.problem = Unavailable("the API server is away")
    with pytest.raises(Unavailable):
        await stage.step()
    assert stage.log == ["two: active 2", "one: silent for 2", "one: active 1"]
    assert stage.agents["one"].serves
    stage.cluster.problem = None
    await stage.step()
    assert stage.agents["one"].serves, "each attempt interrupts the subscribers"
    await asyncio.sleep(handover_module.REST_SECONDS)
    await stage.step()
    assert (stage.agents["one"].serves, stage.agents["two"].serves) == (False, True)


@pytest.mark.parametrize("problem", [Unavailable("away"), Forbidden("no"), Conflict("changed meanwhile")])
async def test_nobody_is_silent_where_it_can_be_seen_that_the_service_cannot_be_written(
    stage: Stage, problem: KubeError
) -> None:
    stage.delete("one")
    stage.cluster.of_rehearsals = problem
    with pytest.raises(type(problem)):
        await stage.step()
    assert stage.log == []
    stage.cluster.of_rehearsals = Invalid("admission webhook does not support dry run")
    await stage.step()
    assert stage.agents["two"].serves


async def test_a_service_that_was_written_without_an_answer_is_obeyed(stage: Stage) -> None:
    stage.delete("one")
    stage.cluster.loses_answers = True
    await stage.step()
    assert stage.log == ["two: active 2", "one: silent for 2", "Service: two 2", "one: standby 2", "one: last counters"]
    assert stage.arbiter.active_pod == "two"


async def test_where_it_cannot_be_known_who_serves_nobody_is_told_to_speak(stage: Stage) -> None:
    stage.delete("one")
    stage.cluster.loses_answers = stage.cluster.away = True
    with pytest.raises(Unavailable):
        await stage.step()
    assert stage.log == ["two: active 2", "one: silent for 2", "Service: two 2"]


async def test_of_two_controllers_the_later_one_does_not_undo_what_the_former_wrote(stage: Stage) -> None:
    stage.delete("one")
    await stage.arbiter._see()
    other = server_pods.service(stage.server, Seat("three", 2))
    stage.cluster.put(SERVICES, other)
    with pytest.raises(Conflict):
        await stage.step()
    assert stage.log == [] and stage.seat == Seat("three", 2)


async def test_that_only_the_number_changed_is_no_reason_to_doubt_the_agent(stage: Stage) -> None:
    assert stage.link.is_settled()
    service = server_pods.service(stage.server, Seat("one", 0))
    stage.cache.children.see(SERVICES, stage.cluster.put(SERVICES, service))
    stage.agents["one"].term = 7
    await stage.arbiter.step(stage.server, complete=True)
    assert stage.seat == Seat("one", 8)
    assert stage.link.is_settled()


async def test_a_former_agent_that_does_not_tell_its_last_counters_holds_nobody_up(
    clock: None, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_cursor: str) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(stage.agents["one"], "counters", never)
    stage.delete("one")
    began = time.monotonic()
    await stage.step()
    assert time.monotonic() - began < 5
    assert stage.arbiter.active_pod == "two"


async def test_of_two_pods_a_rollout_replaces_the_one_first_that_does_not_serve(stage: Stage) -> None:
    assert (stage.cost("one"), stage.cost("two")) == ("1", None)
    stage.delete("one")
    await stage.step(2)
    assert stage.cost("two") == "1"


async def test_a_pod_that_is_gone_is_replaced_at_once_and_told_so_in_an_event(stage: Stage) -> None:
    stage.gone("one")
    await stage.step()
    assert stage.log == ["Service: two 2", "two: active 2"]
    assert stage.news[-1].warning
    assert "two" in stage.news[-1].message
    assert stage.arbiter.standbys() == 0


async def test_an_agent_that_refuses_connections_is_replaced_at_once_and_silenced_when_it_is_back(
    stage: Stage,
) -> None:
    stage.agents["one"].down = True
    await stage.step()
    assert stage.log == ["Service: two 2", "two: active 2"]
    stage.agents["one"].down, stage.agents["one"].serves = False, False  # it waits to be told
    stage.arbiter._members["one"].ask_at = 0
    await stage.step()
    assert stage.log[2:] == ["one: standby 2", "two: active 2"], "and the subscribers are told who serves"


async def test_one_look_without_an_answer_in_time_is_not_enough(stage: Stage) -> None:
    stage.agents["one"].hangs = True
    await stage.step()
    assert stage.log == []
    stage.agents["one"].hangs = False
    await stage.step()
    stage.agents["one"].hangs = True
    await stage.step(2)
    assert stage.log[0] == "Service: two 2"


async def test_nothing_is_ordered_that_the_service_does_not_say(stage: Stage) -> None:
    stage.cluster.problem = Unavailable("the API server is away")
    stage.gone("one")
    for _ in range(3):
        with pytest.raises(Unavailable):
            await stage.step()
    assert stage.log == []
    assert not stage.agents["two"].serves
    stage.cluster.problem = None
    await stage.step()
    assert stage.agents["two"].serves


async def test_a_service_that_changed_meanwhile_is_read_before_anything_is_decided(stage: Stage) -> None:
    stage.cluster.put(SERVICES, {**stage.cluster.objects[SERVICE], "status": {"loadBalancer": {"ingress": []}}})
    stage.gone("one")
    with pytest.raises(Conflict):
        await stage.step()
    await stage.step()
    assert stage.seat == Seat("two", 2)


@pytest.mark.parametrize("after", ["one: silent for 2", "Service: two 2", "two: active 2", "one: standby 2"])
async def test_a_controller_that_dies_in_the_middle_leaves_its_successor_something_to_finish(
    stage: Stage, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    class Fuse(list[str]):
        def append(self, line: str) -> None:
            super().append(line)
            if line == after:
                raise Killed

    fuse = Fuse()
    stage.log = stage.cluster.log = fuse
    for agent in stage.agents.values():
        agent.log = fuse
    stage.delete("one")
    with pytest.raises(Killed):
        await stage.step()
    if after == "Service: two 2":  # it is written before the answer comes
        stage.cluster.put(SERVICES, server_pods.service(stage.server, Seat("two", 2)))
    stage.cluster.log = quiet = []
    for agent in stage.agents.values():
        agent.log = quiet
    stage.cache.children.see(SERVICES, stage.cluster.objects[SERVICE])
    stage.make()
    await stage.step(2)
    assert (stage.agents["one"].serves, stage.agents["two"].serves) == (False, True)
    assert stage.seat == Seat("two", stage.agents["two"].term)


async def test_a_controller_that_starts_changes_nothing_of_what_it_finds(stage: Stage) -> None:
    stage.make()
    await stage.step(2)
    assert stage.log == []
    assert stage.arbiter.active_pod == "one"


async def test_that_nobody_could_take_over_is_told_after_a_while(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stage.arbiter.problem(stage.server) is None
    stage.agents["two"].down = True
    await stage.step()
    assert stage.arbiter.problem(stage.server) is None
    monkeypatch.setattr(arbiter_module, "ALONE_SECONDS", 0.0)
    problem = stage.arbiter.problem(stage.server)
    assert problem is not None
    assert "pod two is silent" in problem.message
    stage.gone("two")
    await stage.step()
    problem = stage.arbiter.problem(stage.server)
    assert problem is not None
    assert "no second pod" in problem.message
