"""The README's section on installing, followed word by word."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.site import Subscriber, Tenant, helm
from tools.controlplane import find_or_build
from tools.lab import REPOSITORY
from tools.node import Node


def commands() -> str:
    """The first block of commands of the section."""
    section = (REPOSITORY / "README.md").read_text().split("## Install", 1)[1]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def tidy(node: Node) -> Iterator[None]:
    yield
    node.plane.kubectl("delete", "namespace", "isp", "--timeout=60s")
    helm(node, "uninstall", "wireguard-operator")


@pytest.mark.timeout(180)
def test_whoever_follows_the_readme_has_a_tunnel(node: Node, image: str, tmp_path: Path, tidy: None) -> None:
    for name in ("helm", "kubectl"):
        (tmp_path / name).symlink_to(find_or_build(name))
    environment = {
        **node.plane.kubectl_environment(),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "KUBECONFIG": str(node.plane.kubeconfig),
    }
    text = commands()
    assert image == "localhost/wireguard-operator:dev" and "image.repository=localhost/wireguard-operator" in text
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=environment, cwd=REPOSITORY, capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wireguardpeer.wireguard.dotmac.io/alice" in done.stdout
    device = Subscriber()
    try:
        device.connect(Tenant(node, "isp"), "alice")
        device.wait_for_ping()
    finally:
        device.disconnect()
