"""The cluster that `make node` or `make kind-e2e` made, the places outside of it, and an empty namespace."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.node.cluster import Cluster
from tests.node.outside import Site
from tests.node.pods import Namespace
from tools.suite import Suite, SuiteError


@pytest.fixture(scope="session")
def suite() -> Suite:
    """What the environment says."""
    try:
        return Suite.read(os.environ)
    except SuiteError as error:
        trouble = str(error)
    pytest.fail(trouble, pytrace=False)


@pytest.fixture(scope="session")
def cluster(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The cluster under test."""
    return Cluster(suite, tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="session")
def home(suite: Suite) -> Site:
    """Where subscribers are."""
    return Site(suite.subscriber)


@pytest.fixture(scope="session")
def internet(suite: Suite) -> Site:
    """What subscribers go to."""
    return Site(suite.internet)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """An empty namespace; what is in it is deleted afterwards."""
    with Namespace(cluster, f"test-{uuid.uuid4().hex[:8]}") as namespace:
        yield namespace
