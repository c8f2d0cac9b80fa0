"""The command line: results on stdout only, errors in one line, arguments of kubectl untouched."""

import os
from pathlib import Path

import pytest

from tools.controlplane import state
from tools.controlplane.__main__ import main
from tools.controlplane.commands import Ports
from tools.controlplane.paths import default_plane_dir, private_directory


def test_without_a_plane_env_prints_nothing_that_a_shell_would_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["env", "--dir", str(tmp_path / "none")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "python -m tools.controlplane up" in printed.err


def test_stopping_what_does_not_run_is_no_error(tmp_path: Path) -> None:
    assert main(["down", "--dir", str(tmp_path / "none")]) == 0
    assert main(["down", "--shared"]) == 0


def test_kubectl_without_a_plane_is_an_error_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kubectl", "--dir", str(tmp_path / "none"), "--", "get", "namespaces"]) == 1
    assert capsys.readouterr().err.startswith("error: there is no control plane in")


def test_an_unknown_binary_is_an_error_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["binaries", "kube-apisever"]) == 1
    assert "kube-apisever is not pinned" in capsys.readouterr().err


@pytest.mark.parametrize("separator", [["--"], []])
def test_kubectl_gets_its_arguments_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: list[str]
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda _, command, __: calls.append(command))
    monkeypatch.setattr("tools.controlplane.plane.find_or_build", lambda _: Path("/bin/kubectl"))
    directory = private_directory(tmp_path / "plane")
    state.write(directory, state.State(Ports(1, 2, 3)))

    wanted = ["exec", "pod", "-o", "yaml", "--", "ls", "--dir", "x"]
    main(["kubectl", "--dir", str(directory), *separator, *wanted])

    assert calls == [["/bin/kubectl", f"--kubeconfig={directory}/kubeconfig", *wanted]]


def test_the_default_plane_is_in_the_run_time_folder(tmp_path: Path) -> None:
    assert default_plane_dir().is_relative_to(tmp_path)
