"""A peer's connection log, put together from what Kubernetes still has about it.

Nothing is stored for it. The object has when it was made, what holds of it now and since when, the suspensions in
force, and the last handshake with the address it came from; the API server has the Events of about the last hour
(``--event-ttl``). What is older is in the logs and metrics of whoever keeps those, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from ...api.base import Time

REACH = (
    "made from the object as it is and the Events that the API server still has, usually those of the last hour;"
    " of earlier connections only the last handshake is known"
)


class Entry(BaseModel):
    """One thing that happened."""

    timestamp: Time
    event_type: str
    """created, handshake, suspended, condition, or the reason of an Event."""
    source: str
    """object or event."""
    message: str
    endpoint: str | None = None
    """The subscriber's public address and port, for a handshake."""
    count: int = 1


def entries(peer: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> list[Entry]:
    """All that is known, the newest first (objects as the API server has them)."""
    found = [*_of_object(peer), *(entry for event in events if (entry := _of_event(event)) is not None)]
    return sorted(found, key=lambda entry: entry.timestamp, reverse=True)


def _of_object(peer: Mapping[str, Any]) -> Iterator[Entry]:
    meta, spec, status = peer["metadata"], peer["spec"], peer.get("status") or {}
    yield Entry(timestamp=meta["creationTimestamp"], event_type="created", source="object", message="the peer was made")
    if at := status.get("lastHandshakeTime"):
        endpoint = status.get("endpoint")
        state = "online" if status.get("online") else "no longer online"
        yield Entry(
            timestamp=at, event_type="handshake", source="object", message=f"last handshake; {state}", endpoint=endpoint
        )
    for lock in spec.get("suspensions") or ():
        if at := lock.get("since"):
            by = f" by {lock['by']}" if lock.get("by") else ""
            yield Entry(timestamp=at, event_type="suspended", source="object", message=f"{lock['reason']}{by}")
    for condition in status.get("conditions") or ():
        message = f"{condition['type']}={condition['status']} {condition['reason']}: {condition.get('message', '')}"
        yield Entry(timestamp=condition["lastTransitionTime"], event_type="condition", source="object", message=message)


def _of_event(event: Mapping[str, Any]) -> Entry | None:
    """An Event of either API version; None without a time, which a foreign one may lack."""
    series = event.get("series") or {}
    at = series.get("lastObservedTime") or event.get("eventTime") or event.get("deprecatedLastTimestamp")
    if at is None:
        return None
    moment = datetime.fromisoformat(at).astimezone(UTC)
    return Entry(
        timestamp=moment,
        event_type=event.get("reason") or "Event",
        source="event",
        message=event.get("note") or "",
        count=series.get("count") or event.get("deprecatedCount") or 1,
    )
