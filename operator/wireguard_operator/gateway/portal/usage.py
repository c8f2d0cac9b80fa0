"""What each peer used in the last day, in half hours: from the totals in the statuses, in memory only.

The truth about totals is in the objects, and Prometheus keeps history; this is the little picture on a page. It begins
when the process does, and says so, and of two replicas each has its own. A peer takes 400 bytes, and none before it
has used something.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from ...api.base import Time
from ..cache.records import PeerRecord

STEP = timedelta(minutes=30)
STEPS = 48


class Usage(BaseModel):
    """Bytes of the steps up to now, the oldest first, as the subscriber sees them."""

    step_seconds: int
    start: Time
    """When the first step began."""
    recording_since: Time
    """Steps before are not known, and are 0."""
    download: list[int]
    upload: list[int]


@dataclass(slots=True)
class _Series:
    rx_bytes: int
    tx_bytes: int
    step: int
    """The latest step that was written to."""
    rx: array[float]
    tx: array[float]
    seen: int = 0


class UsageRecorder:
    """Recent usage by the UID of peers."""

    def __init__(self, now: datetime) -> None:
        self._began = now
        self._series: dict[str, _Series] = {}
        self._bases: dict[str, tuple[int, int]] = {}
        """Totals of the peers that have used nothing yet since we look."""

    def see(self, uid: str, rx: int, tx: int, made_at: str, now: datetime) -> None:
        """Take note of the totals of a peer that was made at that time."""
        series = self._series.get(uid)
        if series is None:
            base = self._bases.get(uid)
            if base is None:
                # All that a peer used which is younger than we are, it used before our eyes.
                young = datetime.fromisoformat(made_at) >= self._began
                base = self._bases[uid] = (0, 0) if young else (rx, tx)
            if (rx, tx) == base:
                return
            del self._bases[uid]
            series = self._series[uid] = _Series(
                *base, _step(now), array("f", bytes(4 * STEPS)), array("f", bytes(4 * STEPS))
            )
        _advance(series, _step(now))
        # A total that is smaller is another peer's of a restored object: from there on.
        series.rx[series.step % STEPS] += max(0, rx - series.rx_bytes)
        series.tx[series.step % STEPS] += max(0, tx - series.tx_bytes)
        series.rx_bytes, series.tx_bytes = rx, tx

    def see_record(self, record: PeerRecord, now: datetime) -> None:
        """Take note of a peer as the cache has it."""
        self.see(record.uid, record.rx_bytes, record.tx_bytes, record.created_at, now)

    def of(self, uid: str, now: datetime) -> Usage:
        """The usage of a peer up to now."""
        last, series = _step(now), self._series.get(uid)
        download = upload = [0] * STEPS
        if series is not None:
            _advance(series, last)
            order = [step % STEPS for step in range(last - STEPS + 1, last + 1)]
            download, upload = [round(series.tx[at]) for at in order], [round(series.rx[at]) for at in order]
        return Usage(
            step_seconds=int(STEP.total_seconds()),
            start=datetime.fromtimestamp((last - STEPS + 1) * STEP.total_seconds(), UTC),
            recording_since=self._began,
            download=download,
            upload=upload,
        )

    def keep(self, uids: Iterable[str]) -> None:
        """Forget all other peers."""
        there = set(uids)
        self._series = {uid: series for uid, series in self._series.items() if uid in there}
        self._bases = {uid: base for uid, base in self._bases.items() if uid in there}


def _advance(series: _Series, step: int) -> None:
    """Empty the steps that have begun since the latest one."""
    for passed in range(max(series.step + 1, step - STEPS + 1), step + 1):
        series.rx[passed % STEPS] = series.tx[passed % STEPS] = 0.0
    series.step = max(series.step, step)


def _step(now: datetime) -> int:
    return int(now.timestamp() // STEP.total_seconds())
