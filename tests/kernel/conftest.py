"""Fixtures: a lab with real namespaces, where the kernel carries the server's packets and wireguard-go the clients'."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.agent.agent_lab import Lab
from tools.controlplane.binaries import find_or_build


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, find_or_build("wireguard-go"))
    try:
        yield lab
    finally:
        lab.close()
