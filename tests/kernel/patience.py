"""Waiting for an agent in the virtual machine, whose emulated processor reads the program in for long."""

from __future__ import annotations

import aiohttp

from tests.cluster.agent.agent_lab import Agent, eventually
from wireguard_operator.agent import protocol

START_SECONDS = 180.0


async def answer(agent: Agent) -> protocol.AgentStatus:
    """The first status after a start."""

    async def ask() -> protocol.AgentStatus | None:
        try:
            return await agent.status()
        except (aiohttp.ClientError, TimeoutError):
            return None

    status = await eventually(ask, seconds=START_SECONDS)
    assert status is not None
    return status
