"""One control plane for all workers, and a provider in miniature for each test that asks."""

from collections.abc import Iterator

import pytest

from tools.controlplane import ControlPlane, shared_control_plane
from tools.lab import Lab, wait_for


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A real API server, shared by all test workers."""
    with shared_control_plane("pytest") as plane:
        yield plane


@pytest.fixture
def lab(plane: ControlPlane) -> Iterator[Lab]:
    """Namespaces, cable and processes that are not started yet."""
    with Lab(plane) as lab:
        yield lab


@pytest.fixture
def tunnel(lab: Lab) -> Lab:
    """The samples applied, host and subscriber joined, and the subscriber's ping answered."""
    lab.apply_samples()
    lab.start_controller()
    lab.join_host()
    lab.wait_ready("wgs", "berlin")
    lab.wait_ready("wgp", "alice")
    lab.connect()
    wait_for("the first ping through the tunnel", lab.ping, 15)
    return lab
