"""The objects of a plan brought to the API server: one way for all sources.

What is missing is made; what is there is compared and never changed. So a command that was killed is given again, and
what somebody has changed meanwhile is named and not lost.

An object that is not there as it should be holds up none but those that would do harm without it. A peer waits for its
keys, since with another Secret of that name it would get keys that its client does not have. The server waits for its
peers, since a client that is no peer of it would be taken off the device. Nothing that runs today stops meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...domain.comparison import covers
from ...kube.client import KubeClient
from ...kube.errors import AlreadyExists, KubeError, NotFound, Unavailable
from ..cluster import CommandError
from .manifests import RESOURCES, Body

AT_ONCE = 32
"""Objects that are made at the same time."""

Name = tuple[str, str]
"""Kind and name; all objects of a plan are in one namespace."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    made: list[Body] = field(default_factory=list)
    there: int = 0
    """Objects that were there and are as they should be."""
    problems: list[str] = field(default_factory=list)
    """One sentence for each object that is not there as it should be. Of a difference it names the fields only: values
    may be keys."""
    untried: int = 0
    """Objects whose turn did not come, since the API server does not answer."""


@dataclass(frozen=True, slots=True)
class _Result:
    made: bool = False
    problem: str = ""
    is_silent: bool = False
    """Nobody answered."""


async def bring(client: KubeClient, objects: Sequence[Body]) -> Outcome:
    """Make what is missing of the objects, which are in the order of RESOURCES.

    Raises CommandError where a server of that name is another one: its peers would be joined by those of this one.
    """
    for body in objects:
        if body["kind"] == "WireGuardServer" and (other := await _other(client, body)):
            raise CommandError(f"{other}; nothing was made: correct that, or choose another --server")
    outcome, absent = Outcome(), set[Name]()
    needs, rest = _needs(objects), list(objects)
    while rest:
        # Within a kind the order does not matter.
        batch = [body for body in rest[:AT_ONCE] if body["kind"] == rest[0]["kind"]]
        del rest[: len(batch)]
        waits = [[name for name in needs[_name(body)] if name in absent] for body in batch]
        results = await asyncio.gather(*(_bring(client, body, names) for body, names in zip(batch, waits, strict=True)))
        for body, result in zip(batch, results, strict=True):
            if result.problem:
                absent.add(_name(body))
                outcome.problems.append(result.problem)
            elif result.made:
                outcome.made.append(body)
            else:
                outcome.there += 1
        if all(result.is_silent for result in results):
            outcome.untried = len(rest)
            break
    return outcome


def _name(body: Body) -> Name:
    return body["kind"], body["metadata"]["name"]


def _needs(objects: Iterable[Body]) -> Mapping[Name, list[Name]]:
    """For each object those that must be there before it is."""
    needs: dict[Name, list[Name]] = defaultdict(list)
    for body in objects:
        if body["kind"] == "Secret":
            continue
        spec = body["spec"]
        references = (spec.get("privateKeySecretRef"), spec.get("presharedKey", {}).get("secretRef"))
        secrets = dict.fromkeys(("Secret", reference["name"]) for reference in references if reference)
        needs[_name(body)].extend(secrets)
        if body["kind"] == "WireGuardPeer":
            needs["WireGuardServer", spec["serverRef"]["name"]].append(_name(body))
    return needs


async def _bring(client: KubeClient, body: Body, absent: Sequence[Name]) -> _Result:
    """Bring one object; ``absent`` are those that it needs and that are not as they should be."""
    kind, namespace, name = body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]
    try:
        if not absent and await _create(client, body):
            return _Result(made=True)
        there = await client.get(RESOURCES[kind], namespace, name)
    except KubeError as error:
        if absent and isinstance(error, NotFound):
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            return _Result(problem=f"not made: {kind} {name}, which needs {' '.join(absent[0])}{more}")
        is_silent = isinstance(error, Unavailable) and not error.status
        return _Result(problem=f"failed: {kind} {name}: {error}", is_silent=is_silent)
    return _Result(problem=_difference(body, there))


async def _other(client: KubeClient, body: Body) -> str:
    """How the object that is there differs; empty when there is none, or it cannot be seen, as the rest will tell."""
    meta = body["metadata"]
    try:
        return _difference(body, await client.get(RESOURCES[body["kind"]], meta["namespace"], meta["name"]))
    except KubeError:
        return ""


def _difference(body: Body, there: Body) -> str:
    """How an object that is there is not as it should be; empty when it is."""
    kind, name = _name(body)
    if there["metadata"].get("deletionTimestamp"):
        return f"left as it is: {kind} {name} is being deleted"
    part = "data" if kind == "Secret" else "spec"
    have = there.get(part, {})
    other = [f"{part}.{key}" for key, value in body[part].items() if not covers(have, {key: value})]
    return f"left as it is: {kind} {name} is there with another {', '.join(other)}" if other else ""


async def _create(client: KubeClient, body: Body) -> bool:
    try:
        await client.create(RESOURCES[body["kind"]], body["metadata"]["namespace"], body)
    except AlreadyExists:
        return False
    return True
