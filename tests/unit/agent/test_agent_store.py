"""The agent's files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from wireguard_operator.agent.bundle import Bundle
from wireguard_operator.agent.store import Store, StoreError
from wireguard_operator.domain.device import DesiredState, DevicePeer, Interface

STATE = DesiredState(
    Interface("the private key", 51820, 1420, ("10.8.0.1/24",)),
    [DevicePeer("one", ("10.8.0.2/32",), "the preshared key"), DevicePeer("two", ())],
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state"


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    store = Store(directory)
    store.prepare()
    yield store
    store.close()


def test_a_state_comes_back_as_it_was(store: Store) -> None:
    assert store.load_state() is None
    store.save_state(7, STATE)
    loaded = store.load_state()
    assert loaded is not None
    revision, state = loaded
    assert (revision, state.digest, dict(state.peers)) == (7, STATE.digest, dict(STATE.peers))


def test_files_are_for_the_owner_alone_whatever_was_there(store: Store, directory: Path) -> None:
    (directory / "state.json").touch(0o666)
    store.save_state(1, STATE)
    store.save_endpoints({"one": "192.0.2.1:9"})
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in directory.iterdir()} == {0o600}
    assert {file.name for file in directory.iterdir()} == {"state.json", "changes.jsonl", "endpoints.json"}


@pytest.mark.parametrize("damage", ["truncated", "empty", "nonsense", "changed", "other"])
def test_a_damaged_state_is_not_used_and_said_without_a_secret(
    store: Store, directory: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.save_state(1, STATE)
    file = directory / "state.json"
    content = file.read_bytes()
    changed = {
        "truncated": content[:-30],
        "empty": b"",
        "nonsense": b"\x00" * len(content),
        "changed": content.replace(b"10.8.0.2/32", b"10.8.0.3/32"),
        "other": content.replace(b'"peers"', b'"pears"'),
    }
    file.write_bytes(changed[damage])
    with caplog.at_level(logging.INFO):
        assert store.load_state() is None
    assert "state.json is damaged" in caplog.text
    assert "the private key" not in caplog.text and "the preshared key" not in caplog.text
    store.save_state(2, STATE)
    assert store.load_state() is not None


def test_a_failed_write_leaves_the_state_before_and_no_litter(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    store.save_state(1, STATE)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        store.save_state(2, STATE)
    loaded = store.load_state()
    assert loaded is not None and loaded[0] == 1
    assert {file.name for file in directory.iterdir()} == {"state.json", "changes.jsonl"}


def test_endpoints_and_bundle_come_back(store: Store) -> None:
    bundle = Bundle(server="a/b", listen="0.0.0.0:1", certificate="c", private_key="k", ca="ca")
    assert store.load_endpoints() == {}
    assert store.load_bundle() is None
    store.save_endpoints({"one": "192.0.2.1:9"})
    store.save_bundle(bundle)
    assert store.load_endpoints() == {"one": "192.0.2.1:9"}
    assert store.load_bundle() == bundle


def test_a_directory_serves_one_agent_at_a_time(store: Store, directory: Path) -> None:
    second = Store(directory)
    with pytest.raises(StoreError, match="another agent"):
        second.prepare()
    second.close()


def test_a_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "file" / "state").prepare()
