"""Ports, the state file and directories: what makes it safe to start and to clean up."""

from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket

import pytest

from tools.controlplane import state
from tools.controlplane.commands import LOOPBACK, Audit, Ports, etcd
from tools.controlplane.paths import private_directory, runtime_root
from tools.controlplane.plane import ControlPlane, ControlPlaneError
from tools.controlplane.processes import ProcessRecord, this_process

PORTS = Ports(20001, 20002, 20003)
DEAD = ProcessRecord("etcd", 1, -1, "an earlier boot")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    kept = state.State(PORTS).with_process(DEAD).with_process(this_process("kube-apiserver"))
    state.write(tmp_path, kept)

    assert state.read(tmp_path) == kept
    assert [path.name for path in tmp_path.iterdir()] == [state.FILE_NAME]


def test_a_directory_without_a_plane_has_no_state(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert state.read(tmp_path) is None
    assert state.read(tmp_path / "missing") is None
    assert state.read(tmp_path / "file") is None


def test_a_process_that_does_not_run_is_dead() -> None:
    assert state.State(PORTS, (DEAD, this_process("kube-apiserver"))).dead() == [DEAD]


def test_ports_differ_and_lie_below_those_the_kernel_hands_out() -> None:
    chosen = state.choose_ports(lambda _: True)

    numbers = {chosen.etcd, chosen.etcd_peer, chosen.apiserver}
    assert len(numbers) == 3
    assert all(20000 <= number < 30000 for number in numbers)


def test_only_free_ports_are_chosen() -> None:
    free = {21000, 22000, 23000}
    chosen = state.choose_ports(free.__contains__)

    assert {chosen.etcd, chosen.etcd_peer, chosen.apiserver} == free


def test_without_free_ports_there_is_an_error_that_says_so() -> None:
    with pytest.raises(OSError, match="no three free ports"):
        state.choose_ports(lambda port: port == 21000)


def test_a_port_that_somebody_listens_on_is_not_free() -> None:
    with socket(AF_INET, SOCK_STREAM) as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()

        assert not state.port_is_free(listener.getsockname()[1])


def test_etcd_listens_on_loopback_only() -> None:
    addresses = [flag for flag in etcd(Path("etcd"), Path("data"), PORTS) if "://" in flag]

    assert addresses
    assert all(flag.split("://")[1].startswith(f"{LOOPBACK}:") for flag in addresses)


def test_an_audit_needs_its_policy_and_its_log() -> None:
    assert Audit(Path("policy"), Path("log")) != Audit(Path("policy"), Path("other"))


def test_a_folder_that_others_can_read_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)

    assert private_directory(folder).stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)

    with pytest.raises(PermissionError, match="is not a directory of user"):
        private_directory(tmp_path / "link")


def test_two_checkouts_have_two_run_time_folders(tmp_path: Path) -> None:
    assert runtime_root(tmp_path / "one") != runtime_root(tmp_path / "two")


def test_a_directory_that_no_plane_made_is_never_cleaned_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.controlplane.plane.find_or_build", lambda name: Path("/nowhere") / name)
    precious = tmp_path / "work" / "thesis.txt"
    precious.parent.mkdir()
    precious.touch()
    plane = ControlPlane(precious.parent)

    plane.stop()
    with pytest.raises(ControlPlaneError, match="no control plane made it"):
        plane.start()
    assert precious.exists()


def test_stopping_removes_what_a_dead_plane_left(tmp_path: Path) -> None:
    directory = private_directory(tmp_path / "plane")
    state.write(directory, state.State(PORTS, (DEAD,)))
    (directory / "etcd").mkdir()
    (directory / "etcd" / "data").touch()
    plane = ControlPlane(directory)

    assert not plane.ready
    plane.stop()
    assert not directory.exists()
