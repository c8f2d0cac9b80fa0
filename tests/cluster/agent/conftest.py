"""Fixtures: a lab with real namespaces and a real wireguard-go."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_lab import REPOSITORY, Agent, Lab
from agent_world import World

sys.path.append(str(REPOSITORY))  # tools/ is no installed package


@pytest.fixture(scope="session")
def wireguard_go() -> Path:
    from tools.controlplane.binaries import find_or_build

    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("network namespaces and tunnels need root and /dev/net/tun")
    return find_or_build("wireguard-go")


@pytest.fixture
def lab(tmp_path: Path, wireguard_go: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, wireguard_go)
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture
def agent(lab: Lab) -> Agent:
    """An agent that runs and holds nothing yet."""
    agent = lab.make_agent()
    agent.start()
    return agent


@pytest.fixture
def world(lab: Lab) -> Iterator[World]:
    world = World(lab)
    try:
        yield world
    finally:
        world.close()
