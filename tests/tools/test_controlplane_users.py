"""The list of users of the shared plane: the first starts it, the last stops it, the dead do not count."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from tools.controlplane import shared
from tools.controlplane.plane import ControlPlane, ControlPlaneError
from tools.controlplane.processes import ProcessRecord, record_of, this_process
from tools.controlplane.shared import Users, shared_control_plane, stop_if_unused


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the plane; nothing is really started."""
    done: list[str] = []
    monkeypatch.setattr(ControlPlane, "start", lambda self: done.append("start"))
    monkeypatch.setattr(ControlPlane, "stop", lambda self: done.append("stop"))
    return done


def enter_a_dead_user(path: Path) -> ProcessRecord:
    with subprocess.Popen(["/bin/sleep", "60"]) as child:
        record = record_of("killed", child.pid)
        child.kill()
    path.write_text(json.dumps({"token": asdict(record)}))
    return record


def test_the_last_to_leave_is_told_so(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    first, second = users.add("first"), users.add("second")

    assert not users.remove(first)
    assert users.remove(second)


def test_one_process_may_enter_twice(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.add("worker")
    users.add("worker")

    assert list(users.living().values()) == [this_process("worker")] * 2


def test_users_that_were_killed_do_not_count(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    dead = enter_a_dead_user(tmp_path / "users.json")

    assert not dead.alive()
    assert users.living() == {}
    assert users.remove(users.add("living"))


def test_a_half_written_list_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('{"token": {"na')

    assert Users(tmp_path / "users.json").living() == {}


def test_only_the_last_user_stops_the_plane(tmp_path: Path, calls: list[str]) -> None:
    with shared_control_plane("first", tmp_path / "shared"):
        with shared_control_plane("second", tmp_path / "shared"):
            pass
        assert calls == ["start", "start"]
    assert calls == ["start", "start", "stop"]


def test_a_test_that_fails_leaves_the_list_all_the_same(tmp_path: Path, calls: list[str]) -> None:
    with pytest.raises(ValueError, match="test"), shared_control_plane("failing", tmp_path / "shared"):
        raise ValueError("test")
    assert calls == ["start", "stop"]


def test_a_plane_that_does_not_start_has_no_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: ControlPlane) -> None:
        raise ControlPlaneError("etcd died")

    monkeypatch.setattr(ControlPlane, "start", start)

    with pytest.raises(ControlPlaneError, match="etcd died"), shared_control_plane("x", tmp_path / "shared"):
        pass
    assert Users(tmp_path / "shared" / "users.json").living() == {}


def test_a_plane_in_use_is_not_stopped_from_outside(tmp_path: Path, calls: list[str]) -> None:
    with shared_control_plane("worker", tmp_path / "shared"):
        assert stop_if_unused(tmp_path / "shared") == [this_process("worker")]
        assert calls == ["start"]


def test_a_plane_whose_users_were_killed_can_be_stopped(tmp_path: Path, calls: list[str]) -> None:
    root = tmp_path / "shared"
    root.mkdir()
    enter_a_dead_user(root / "users.json")

    assert stop_if_unused(root) == []
    assert calls == ["stop"]


def test_each_checkout_shares_a_plane_of_its_own(tmp_path: Path, calls: list[str]) -> None:
    with shared_control_plane("worker") as plane:
        assert plane.directory == shared.runtime_root() / "shared" / "plane"
        assert plane.directory.is_relative_to(tmp_path)
