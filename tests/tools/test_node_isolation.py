"""Cgroups of both versions, on folders that look like them."""

from pathlib import Path

import pytest

from tools.node.isolation import hierarchies, images_from_outside, isolated, make_cgroups, remove_cgroups


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for name in ("cpu", "memory"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "cpu,cpuacct").symlink_to("cpu")
    (tmp_path / "not-a-cgroup").mkdir()
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    for name in ("cgroup.controllers", "cgroup.procs", "cgroup.subtree_control"):
        (tmp_path / name).touch()
    (tmp_path / "system.slice").mkdir()
    return tmp_path


def test_version_1_has_a_hierarchy_a_controller(version_1: Path) -> None:
    assert hierarchies(version_1) == [version_1 / "cpu", version_1 / "memory"]


def test_version_2_has_one_hierarchy(version_2: Path) -> None:
    assert hierarchies(version_2) == [version_2]


def test_version_2_hands_its_controllers_down(version_2: Path) -> None:
    make_cgroups("ours", version_2)
    assert (version_2 / "ours").is_dir()
    assert (version_2 / "cgroup.subtree_control").read_text() == "+pids"  # the last one written


def test_a_cgroup_is_removed_with_all_below_it(version_1: Path) -> None:
    make_cgroups("ours", version_1)
    (version_1 / "cpu" / "ours" / "kubepods" / "pod1").mkdir(parents=True)
    remove_cgroups("ours", version_1)
    assert not list(version_1.glob("*/ours"))


def test_a_cgroup_that_stays_busy_is_an_error_and_not_a_silence(version_1: Path) -> None:
    make_cgroups("ours", version_1)
    (version_1 / "cpu" / "ours" / "busy").touch()
    with pytest.raises(OSError, match="not empty"):
        remove_cgroups("ours", version_1, seconds=0.1)


def test_outside_there_are_no_images_and_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WIREGUARD_OPERATOR_NODE_CGROUP", raising=False)
    monkeypatch.delenv("WIREGUARD_OPERATOR_NODE_IMAGES", raising=False)
    assert not isolated()
    assert images_from_outside() == []
