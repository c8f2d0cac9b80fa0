"""Fixtures: one host for all tests of the unit, with one subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.agent.agent_lab import Client, Lab
from tests.systemd.host import ThisMachine, UnitAgent, journal, lay_out_program
from tools.controlplane.binaries import find_or_build


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if Path("/proc/1/comm").read_text() != "systemd\n" or not Path("/run/units").is_dir():
        pytest.exit("only for the virtual machine: python -m tools.kernel --systemd", 2)
    lab = Lab(tmp_path_factory.mktemp("lab"), find_or_build("wireguard-go"), ThisMachine("thismachine"))
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture(scope="session")
def agent(lab: Lab) -> Iterator[UnitAgent]:
    """Installed and started by ``host-install``."""
    lay_out_program()
    agent = UnitAgent(lab)
    agent.install()
    yield agent
    agent.socket.close()


@pytest.fixture(scope="session")
def client(lab: Lab, agent: UnitAgent) -> Client:
    """A subscriber whose tunnel works."""
    client = lab.make_client()

    async def connect() -> None:
        await agent.put(lab.snapshot(client.peer))
        await lab.reach()

    asyncio.run(connect())
    return client


@pytest.fixture(autouse=True)
def _told_why(request: pytest.FixtureRequest) -> Iterator[None]:
    """The journal of the service, which is gone with the machine, beside what failed."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(journal())
