"""Usage accounting: totals that only grow, from device counters that start over.

A device's counters belong to one life of the device (its ``session``). Within a life the growth is added;
a new life, or a counter smaller than before (the peer was taken off and put back), is counted from zero.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ..api.peer import CounterSample, Traffic

ONLINE_SECONDS = 180
"""A session's keys are discarded after 180 s without a handshake (REJECT_AFTER_TIME, WireGuard paper section 6.1)."""


def accumulate(traffic: Traffic | None, session: str, rx_bytes: int, tx_bytes: int, now: datetime) -> Traffic:
    """``traffic`` with the device's present counters added in."""
    traffic = traffic or Traffic(since=now)
    last = traffic.sample
    base = last if last is not None and last.session == session else CounterSample(session=session)
    return Traffic(
        rx_bytes=traffic.rx_bytes + _growth(base.rx_bytes, rx_bytes),
        tx_bytes=traffic.tx_bytes + _growth(base.tx_bytes, tx_bytes),
        since=traffic.since,
        sample=CounterSample(session=session, rx_bytes=rx_bytes, tx_bytes=tx_bytes),
    )


def close(traffic: Traffic | None) -> Traffic | None:
    """``traffic`` after the peer went off the device: its next counters start from zero."""
    return traffic.model_copy(update={"sample": None}) if traffic else None


def resume(traffic: Traffic | None, former: Traffic | None, now: datetime) -> Traffic | None:
    """``traffic`` where the device goes on counting what ``former`` has counted so far."""
    sample = former.sample if former is not None else None
    return (traffic or Traffic(since=now)).model_copy(update={"sample": sample}) if sample is not None else traffic


def add(traffic: Traffic | None, more: Traffic | None) -> Traffic | None:
    """``traffic`` with what was counted elsewhere meanwhile; the sample stays."""
    if traffic is None or more is None:
        return traffic or more
    return traffic.model_copy(
        update={"rx_bytes": traffic.rx_bytes + more.rx_bytes, "tx_bytes": traffic.tx_bytes + more.tx_bytes}
    )


def growth(before: Traffic | None, after: Traffic | None) -> Traffic | None:
    """What ``after`` has more than ``before``."""
    if before is None or after is None:
        return after
    return Traffic(rx_bytes=after.rx_bytes - before.rx_bytes, tx_bytes=after.tx_bytes - before.tx_bytes)


def is_online(last_handshake: int, now: float) -> bool:
    """Whether a handshake at ``last_handshake`` (Unix seconds, 0 never) still holds a session at ``now``."""
    return last_handshake > 0 and now - last_handshake < ONLINE_SECONDS


def handshake_time(last_handshake: int) -> datetime | None:
    """Unix seconds as a time; 0 is never."""
    return datetime.fromtimestamp(last_handshake, UTC) if last_handshake else None


def _growth(before: int, now: int) -> int:
    return now - before if now >= before else now
