"""What is pinned in tools/*/go.mod, and which foreign binaries may stand in for it."""

import shutil
from pathlib import Path

import pytest

from tools.controlplane import binaries, versions
from tools.controlplane.state import choose_ports


@pytest.mark.parametrize(
    "name",
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
     "wireguard-go", "kstatus", "helm"],
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
        ("kstatus", "kstatus v0.37.2", False),
        ("helm", versions.binary("helm").version, True),
        ("helm", "v3.11.3+g323249351482b3bbfc9f5004f65d400aa70f9ae7", False),
        ("helm", "v4.0.0", False),
    ],
)
def test_a_binary_on_path_is_taken_only_when_its_version_fits(name: str, output: str, accepted: bool) -> None:
    assert versions.binary(name).accepts(output) is accepted


def test_kubernetes_and_helm_are_told_their_versions_when_they_are_built() -> None:
    assert "version.gitVersion=v1." in versions.binary("kube-apiserver").ldflags
    helm = versions.binary("helm")
    assert f"internal/version.version={helm.version}" in helm.ldflags
    module = versions.parse_go_mod((helm.directory / "go.mod").read_text())
    minor = module.requires["k8s.io/client-go"].split(".")[1]
    assert f"chartutil.k8sVersionMinor={minor}" in helm.ldflags.split(" -X helm.sh/helm/v3/pkg/")
    assert versions.binary("etcd").ldflags == "-s -w"


def test_a_module_without_tool_lines_is_a_program_of_our_own_and_built_from_its_own_package() -> None:
    found = versions.binary("kstatus")
    module = versions.parse_go_mod((found.directory / "go.mod").read_text())
    assert module.tools == ()
    assert found.package == module.path
    assert found.version.startswith(module.requires["sigs.k8s.io/cli-utils"] + "-")


@pytest.mark.parametrize("file", ["main.go", "go.mod", "go.sum", "new.go"])
def test_a_program_of_our_own_is_built_anew_when_its_sources_change(tmp_path: Path, file: str) -> None:
    directory = tmp_path / "kstatus"
    shutil.copytree(versions.binary("kstatus").directory, directory)
    module = versions.parse_go_mod((directory / "go.mod").read_text())

    before = versions.own_version(directory, module, "kstatus")
    with (directory / file).open("a") as source:
        source.write("// changed\n")

    assert before == versions.binary("kstatus").version
    assert versions.own_version(directory, module, "kstatus") != before


def test_a_program_of_our_own_is_not_taken_from_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = tmp_path / "kstatus"
    foreign.write_text("#!/bin/sh\necho v0.37.2\n")
    foreign.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert shutil.which("kstatus") == str(foreign)
    assert binaries.from_path(versions.binary("kstatus")) is None


def test_ports_are_free_and_differ() -> None:
    taken: list[int] = []

    def is_free(port: int) -> bool:
        taken.append(port)
        return len(taken) > 5

    ports = choose_ports(is_free)
    assert {ports.etcd, ports.etcd_peer, ports.apiserver} == set(taken[5:8])
