"""A gateway of its own process on the real API server, with a controller and a host, and two tenants who call it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from gateway_client import Provider

from tools.controlplane import ControlPlane
from tools.lab import Lab
from tools.lab.gateway import Gateway


@pytest.fixture(scope="module")
def gateway(plane: ControlPlane) -> Iterator[Provider]:
    """Two tenants with a token each; the first has server berlin, which is Ready, and peer alice of the samples."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(plane))
        other = lab.add_tenant()
        lab.controller = lab.new_controller()
        lab.apply_samples()
        lab.start_controller()
        lab.join_host()
        process = Gateway(plane, lab.directory, lab.tenants, "--anonymous-rate", "1000", "--anonymous-burst", "1000")
        stack.callback(process.end)
        process.start()
        lab.wait_ready("wgs", "berlin")
        lab.wait_ready("wgp", "alice")
        provider = Provider(lab, process, lab.namespace, other)
        stack.callback(provider.close)
        yield provider
