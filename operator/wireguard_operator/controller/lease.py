"""The Lease by which one of several replicas works (coordination.k8s.io, as client-go's leader election uses it).

Not the client library's: that one never gives a Lease back, so a rolling update would stand still for its whole
duration, and it compares wall clocks of different machines. Here, as in client-go, a Lease is taken over only when
nobody has renewed it for its duration by our own monotonic clock, and it is given back at the end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ..kube.client import KubeClient, Object
from ..kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from ..kube.resources import LEASES

logger = logging.getLogger(__name__)

NAME = "wireguard-operator"
DURATION, DEADLINE, RETRY = 15.0, 10.0, 2.0
"""Seconds: how long a Lease holds, until when its holder must have renewed it, and between tries (as client-go)."""


class Lease:
    """One replica's side of the Lease."""

    def __init__(self, client: KubeClient, namespace: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._identity = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._renewed = 0.0

    async def acquire(self) -> None:
        """Return when the Lease is ours."""
        said = False
        while not await self._try():
            if not said:
                logger.info("standing by: another replica has the Lease %s/%s", self._namespace, NAME)
                said = True
            await asyncio.sleep(RETRY)
        logger.info("%s has the Lease %s/%s", self._identity, self._namespace, NAME)

    async def keep(self) -> None:
        """Renew the Lease; returns when it is lost, and nothing may be done any more."""
        while (left := self._renewed + DEADLINE - time.monotonic()) > 0:
            # An answer that does not come must not take longer than others wait before they take over.
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await asyncio.sleep(RETRY)
                    await self._try()
        logger.error("the Lease is lost: it could not be renewed for %.0f s", DEADLINE)

    async def give_back(self) -> None:
        """Let another replica go on at once."""
        try:
            body = await self._client.get(LEASES, self._namespace, NAME)
            if body["spec"].get("holderIdentity") == self._identity:
                await self._write(body, holder="", duration=1)
        except KubeError as error:
            logger.info("the Lease is not given back and runs out: %s", error)

    async def _try(self) -> bool:
        try:
            return await self._take()
        except (AlreadyExists, Conflict):
            return False
        except KubeError as error:
            logger.warning("the Lease cannot be had now: %s", error)
            return False

    async def _take(self) -> bool:
        try:
            body = await self._client.get(LEASES, self._namespace, NAME)
        except NotFound:
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}, "spec": {}}
        spec = body["spec"]
        holder = spec.get("holderIdentity") or ""
        seen = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, time.monotonic()
        duration = float(spec.get("leaseDurationSeconds") or DURATION)
        if holder not in ("", self._identity) and time.monotonic() - self._seen_at < duration:
            return False
        began = time.monotonic()
        await self._write(body, self._identity, round(DURATION))
        self._renewed = began
        return True

    async def _write(self, body: Object, holder: str, duration: int) -> None:
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {**body["spec"], "holderIdentity": holder, "leaseDurationSeconds": duration}
        spec["renewTime"] = now
        if holder and body["spec"].get("holderIdentity") != holder:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(body["spec"].get("leaseTransitions") or 0) + 1
        wanted = {**body, "spec": spec}
        if "resourceVersion" in body["metadata"]:
            await self._client.replace(LEASES, self._namespace, NAME, wanted)
        else:
            await self._client.create(LEASES, self._namespace, wanted)
