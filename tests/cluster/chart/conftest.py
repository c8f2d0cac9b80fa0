"""An API server for each file: definitions belong to the whole cluster, and its audit log has what was refused."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from release import CRDS, RESTRICTED, Release

from tools.controlplane import ControlPlane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that writes an audit log."""
    folder = tmp_path_factory.mktemp("chart")
    with ControlPlane(folder / "plane", audit_log=folder / "audit.log") as plane:
        yield plane


@pytest.fixture(scope="module")
def audit_log(plane: ControlPlane) -> Path:
    return plane.directory.parent / "audit.log"


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[Callable[..., str]]:
    """Makes namespaces, and deletes them at the end."""
    made: list[str] = []

    def make(**labels: str) -> str:
        name = f"chart-{uuid.uuid4().hex[:8]}"
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        plane.kubectl("create", "-f", "-", stdin=json.dumps(body))
        made.append(name)
        return name

    yield make
    if made:
        plane.kubectl("delete", "namespace", "--wait=false", *made)


@pytest.fixture
def release(plane: ControlPlane, namespace: Callable[..., str]) -> Iterator[Callable[..., Release]]:
    """Makes releases that are uninstalled at the end."""
    made: list[Release] = []

    def make(name: str = "wireguard-operator") -> Release:
        made.append(Release(plane, namespace(**RESTRICTED), name))
        return made[-1]

    yield make
    for one in made:
        one.helm("uninstall", "--ignore-not-found")


@pytest.fixture
def no_definitions(plane: ControlPlane) -> Iterator[None]:
    """No CustomResourceDefinitions of ours, before and after."""
    plane.kubectl("delete", "crd", "--ignore-not-found", *CRDS)
    yield
    plane.kubectl("delete", "crd", "--ignore-not-found", *CRDS)
