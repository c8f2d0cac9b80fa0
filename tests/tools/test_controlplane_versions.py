"""What is pinned in tools/*/go.mod, and which foreign binaries may stand in for it."""

import pytest

from tools.controlplane import versions
from tools.controlplane.state import choose_ports


@pytest.mark.parametrize(
    "name",
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
     "wireguard-go"],
)  # fmt: skip
def test_every_binary_of_the_design_is_pinned(name: str) -> None:
    found = versions.binary(name)
    assert versions.parse_version(found.version) is not None
    assert found.package


def test_an_unknown_binary_is_refused_with_the_names_of_those_that_exist() -> None:
    with pytest.raises(versions.PinError, match="kube-apiserver"):
        versions.binary("kube-apiserv")


@pytest.mark.parametrize(
    ("name", "output", "accepted"),
    [
        ("kube-apiserver", "Kubernetes v1.34.9", True),
        ("kube-apiserver", "Kubernetes v1.33.1", False),
        ("kube-apiserver", "no version at all", False),
        ("etcd", "etcd Version: 3.5.21", True),
        ("etcd", "etcd Version: 3.4.1", False),
        ("wireguard-go", "0.0.20250522", False),
    ],
)
def test_a_binary_on_path_is_taken_only_when_its_version_fits(name: str, output: str, accepted: bool) -> None:
    assert versions.binary(name).accepts(output) is accepted


def test_ports_are_free_and_differ() -> None:
    taken: list[int] = []

    def is_free(port: int) -> bool:
        taken.append(port)
        return len(taken) > 5

    ports = choose_ports(is_free)
    assert {ports.etcd, ports.etcd_peer, ports.apiserver} == set(taken[5:8])
