"""Changes on disk: one line each, and after any crash the state that was acknowledged last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wireguard_operator.agent import journal as journal_module
from wireguard_operator.agent.journal import Journal
from wireguard_operator.agent.protocol import Applied, DeltaRequest
from wireguard_operator.agent.store import Store, StoreError
from wireguard_operator.domain.device import Delta, DesiredState, DevicePeer, Interface

INTERFACE = Interface("the private key", 51820, 1420, ("10.8.0.1/24",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    store.prepare()
    yield store
    store.close()


class Agent:
    """What the service does with a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.revision, self.state = 1, DesiredState(INTERFACE, [DevicePeer("one", ("10.8.0.2/32",), "secret")])
        store.save_state(1, self.state)

    def change(self, *upsert: DevicePeer, remove: tuple[str, ...] = ()) -> None:
        base = Applied(self.revision, self.state.digest)
        self.state.apply(Delta(None, upsert, remove))
        delta = DeltaRequest(base, self.revision + 1, None, upsert, remove)
        self.store.save_change(delta, self.state)
        self.revision += 1

    def loads(self, directory: Path) -> bool:
        """Whether a restarted agent would have just this state."""
        loaded = Store(directory).load_state()
        return loaded is not None and (loaded[0], loaded[1].digest) == (self.revision, self.state.digest)


def test_changes_come_back_and_cost_a_line_each(store: Store, tmp_path: Path) -> None:
    agent = Agent(store)
    whole = (tmp_path / "state.json").read_bytes()
    for number in range(3, 30):
        agent.change(DevicePeer(f"peer {number}", (f"10.8.0.{number}/32",)))
        assert agent.loads(tmp_path)
    agent.change(remove=("one", "peer 7"))
    assert agent.loads(tmp_path)
    assert (tmp_path / "state.json").read_bytes() == whole
    assert (tmp_path / "changes.jsonl").read_bytes().count(b"\n") == 28


def test_a_line_that_was_cut_off_was_never_acknowledged(store: Store, tmp_path: Path) -> None:
    agent = Agent(store)
    agent.change(DevicePeer("two", ()))
    file = tmp_path / "changes.jsonl"
    with file.open("ab") as more:
        more.write(file.read_bytes()[:-20])
    assert agent.loads(tmp_path)
    assert not Journal(file).takes_more()  # nothing may be added behind it


def test_lines_from_before_the_whole_state_are_passed_over(store: Store, tmp_path: Path) -> None:
    agent = Agent(store)
    agent.change(DevicePeer("two", ()))
    agent.change(remove=("two",))
    former = (tmp_path / "changes.jsonl").read_bytes()
    store.save_state(agent.revision, agent.state)
    (tmp_path / "changes.jsonl").write_bytes(former)  # as a crash between the two leaves it
    assert agent.loads(tmp_path)


@pytest.mark.parametrize("damage", [b"rubbish\n", b"{}\n"])
def test_a_damaged_line_makes_the_state_unusable_and_quotes_no_secret(
    store: Store, tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(store)
    agent.change(DevicePeer("two", (), "the preshared key"))
    file = tmp_path / "changes.jsonl"
    file.write_bytes(damage + file.read_bytes())
    assert store.load_state() is None
    assert "changes.jsonl is damaged" in caplog.text and "the preshared key" not in caplog.text


def test_a_missing_line_is_noticed(store: Store, tmp_path: Path) -> None:
    agent = Agent(store)
    agent.change(DevicePeer("two", ()))
    agent.change(DevicePeer("three", ()))
    file = tmp_path / "changes.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"three"', b'"other"'))
    assert store.load_state() is None


def test_a_full_journal_gives_way_to_the_whole_state(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "FULL_BYTES", 1000)
    agent = Agent(store)
    for number in range(3, 60):
        agent.change(DevicePeer(f"peer {number}", (f"10.8.0.{number}/32",)))
        assert agent.loads(tmp_path)
        assert (tmp_path / "changes.jsonl").stat().st_size < 1500


def test_a_full_disk_is_told_and_the_next_change_is_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(store)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(StoreError, match=r"changes\.jsonl cannot be written: No space left"):
            agent.change(DevicePeer("two", ()))
    agent.state.apply(Delta(remove=("two",)))
    agent.change(DevicePeer("three", ()))
    assert agent.loads(tmp_path)
    assert b"three" in (tmp_path / "state.json").read_bytes()


def test_a_line_whose_safety_was_not_told_does_not_come_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(store)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(StoreError, match="Input/output error"):
            agent.change(DevicePeer("two", ()))
    agent.state.apply(Delta(remove=("two",)))
    assert agent.loads(tmp_path)


def test_a_line_that_is_lost_between_others_is_noticed(store: Store, tmp_path: Path) -> None:
    agent = Agent(store)
    for name in ("two", "three", "four"):
        agent.change(DevicePeer(name, ()))
    file = tmp_path / "changes.jsonl"
    first, _, third = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + third)
    assert store.load_state() is None
