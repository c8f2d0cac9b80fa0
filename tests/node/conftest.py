"""One control plane with one real node for the session, in namespaces of its own: `make node`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.node.pods import Namespace
from tools.controlplane import ControlPlane
from tools.image import OPERATOR_IMAGE
from tools.node import Node, isolated, plane_for_node


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """An API server that pods can reach."""
    if not isolated():
        pytest.fail("a node needs namespaces of its own; run: make node", pytrace=False)
    with plane_for_node() as plane:
        yield plane


@pytest.fixture(scope="session")
def node(plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Node]:
    """A node that is ready; how long that took is said at once."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as stack:
        with capture.global_and_fixture_disabled():
            node = stack.enter_context(Node(plane))
        yield node


@pytest.fixture(scope="session")
def image() -> str:
    """The operator's image as it is in this checkout."""
    return OPERATOR_IMAGE


@pytest.fixture
def namespace(node: Node) -> Iterator[Namespace]:
    """An empty namespace; what is in it is deleted afterwards."""
    with Namespace(node, f"test-{uuid.uuid4().hex[:8]}") as namespace:
        yield namespace
