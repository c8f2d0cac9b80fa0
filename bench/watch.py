"""Peers as the API server tells of them: one watch, so that asking how far they are costs the API server nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from tools.controlplane.paths import say
from wireguard_operator.kube.resources import PEERS

from .client import BareClient, Object

HEARTBEAT = 15.0
"""Seconds between signs of life."""


class Stalled(RuntimeError):
    """What was waited for did not come; the text says how far it got."""


class PeerWatch:
    """Which peers of a namespace there are and which are Ready."""

    def __init__(self, client: BareClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.ready: dict[str, float] = {}
        """Name → when it was last seen to be Ready, in seconds of the monotonic clock."""
        self.peers: dict[str, Object] = {}
        """Name → status."""
        self.renewed = 0
        """How often the API server hung up."""

    async def __aenter__(self) -> PeerWatch:
        version = await self._client.version(PEERS, self._namespace)
        for body in await self._client.list(PEERS, self._namespace):
            self._see(body)
        self._task = asyncio.create_task(self._follow(version))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def until(self, what: str, accept: Callable[[], bool], seconds: float) -> None:
        """Wait for something that this watch can tell. Raises Stalled when nothing changes for ``seconds``."""
        said = last = time.monotonic()
        while not accept():
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._changed.wait()
                    last = time.monotonic()
            if self._task is not None and self._task.done():
                self._task.result()
                raise Stalled(f"the watch ended while waiting for {what}")
            now = time.monotonic()
            if now - last > seconds:
                raise Stalled(f"nothing happened for {seconds:.0f} s, waiting for {what}; {self._state()}")
            if now - said > HEARTBEAT:
                said = now
                say(f"  waiting for {what}: {self._state()}")

    def _state(self) -> str:
        return f"{len(self.ready)} of {len(self.peers)} peers are Ready"

    async def _follow(self, version: str) -> None:
        # The API server hangs up on watchers that are slow to read, as this one is while it creates peers.
        while True:
            async for event in self._client.watch(PEERS, self._namespace, version):
                body = event["object"]
                if event["type"] == "ERROR":
                    raise Stalled(f"the watch was ended by the API server: {body.get('message')}")
                version = body["metadata"]["resourceVersion"]
                if event["type"] == "DELETED":
                    self.peers.pop(body["metadata"]["name"], None)
                    self.ready.pop(body["metadata"]["name"], None)
                else:
                    self._see(body)
                self._changed.set()
            self.renewed += 1

    def _see(self, body: Object) -> None:
        name, status = body["metadata"]["name"], body.get("status", {})
        self.peers[name] = status
        if is_ready(body):
            self.ready[name] = time.monotonic()
        else:
            self.ready.pop(name, None)


def is_ready(body: Object) -> bool:
    """Whether the condition Ready is True and about the present specification."""
    status = body.get("status", {})
    return status.get("observedGeneration") == body["metadata"]["generation"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in status.get("conditions", ())
    )
