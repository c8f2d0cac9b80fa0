"""The README's section on installing, followed word by word but for the image and the address of the node."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.cluster import Cluster, image_values
from tests.node.outside import Site, Subscriber
from tests.node.tenant import Tenant
from tools.controlplane import find_or_build
from tools.image import OPERATOR_IMAGE
from tools.lab import REPOSITORY

NODE_ADDRESS = "198.51.100.1"


def commands() -> str:
    """The first block of commands of the section."""
    section = (REPOSITORY / "README.md").read_text().split("## Install", 1)[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def commands_for(cluster: Cluster) -> str:
    """The commands as a reader fills them in: with the image where the nodes find it, and an address of a node."""
    text = commands()
    assert image_values(OPERATOR_IMAGE) in text, "the README installs what `make image` builds"
    assert f"{{host: {NODE_ADDRESS}}}" in text
    return text.replace(image_values(OPERATOR_IMAGE), image_values(cluster.image)).replace(
        NODE_ADDRESS, cluster.node_address()
    )


@pytest.fixture
def tidy(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.kubectl("delete", "namespace", "isp", "--timeout=60s")
    cluster.uninstall()


@pytest.mark.timeout(180)
def test_whoever_follows_the_readme_has_a_tunnel(cluster: Cluster, home: Site, tmp_path: Path, tidy: None) -> None:
    for name in ("helm", "kubectl"):
        (tmp_path / name).symlink_to(find_or_build(name))
    environment = cluster.environment()
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands_for(cluster)], env=environment, cwd=REPOSITORY,
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wireguardpeer.wireguard.dotmac.io/alice" in done.stdout
    device = Subscriber(home)
    try:
        device.connect(Tenant(cluster, "isp"), "alice")
        device.wait_for_ping()
    finally:
        device.disconnect()
