"""What is worth an Event: the difference between two statuses of an object, in a person's words.

Few on purpose. An Event is a write to the API server, so the ordinary way of ten thousand peers from nothing to Ready
makes none; troubles that somebody must look at and turns in a subscriber's life do.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..api.conditions import Conditions, ConditionType
from ..api.peer import PeerPhase, PeerStatus, Traffic
from ..api.reasons import Reason, is_lasting
from ..api.server import ServerStatus
from .conditions import find
from .succession import Cause, Change

_OFF = {PeerPhase.DISABLED, PeerPhase.SUSPENDED, PeerPhase.EXPIRED}
_ON = {PeerPhase.ACTIVE, PeerPhase.INACTIVE}
_WORTH_A_WARNING = {
    Reason.AGENT_UNREACHABLE,
    Reason.AGENT_FAILED,
    Reason.SYSTEM_UNREACHABLE,
    Reason.SYSTEM_FAILED,
}
"""Troubles of a server that may pass by themselves and that one still wants to see."""


@dataclass(frozen=True, slots=True)
class News:
    """One Event before it is written."""

    reason: Reason
    message: str
    warning: bool = False


def of_peer(before: PeerStatus, after: PeerStatus) -> list[News]:
    """What happened to a peer between two statuses."""
    news = _troubles(before.conditions, after.conditions, set())
    ready = find(after.conditions, ConditionType.READY)
    message = ready.message if ready is not None else ""
    if after.phase in _OFF and before.phase is not None and before.phase is not after.phase:
        news.append(News(Reason(str(after.phase)), message))
    if after.phase in _ON and before.phase in _OFF:
        news.append(News(Reason.ADMITTED, f"back on the device after {str(before.phase).lower()}"))
    if before.server_ref and after.server_ref and before.server_ref != after.server_ref:
        news.append(News(Reason.MOVED, f"moved from server {before.server_ref.key} to {after.server_ref.key}"))
    if before.public_key and after.public_key and before.public_key != after.public_key:
        news.append(News(Reason.KEYS_ROTATED, f"public key {before.public_key} was replaced by {after.public_key}"))
    return news


def of_server(before: ServerStatus, after: ServerStatus) -> list[News]:
    """What happened to a server between two statuses."""
    news = _troubles(before.conditions, after.conditions, _WORTH_A_WARNING)
    then, now = _reason(before.conditions), _reason(after.conditions)
    if then in _WORTH_A_WARNING and now is Reason.READY:
        who = "system behind the server" if then in (Reason.SYSTEM_UNREACHABLE, Reason.SYSTEM_FAILED) else "agent"
        news.append(News(Reason.AGENT_CONNECTED, f"the {who} answers again"))
    if now is Reason.WAITING_FOR_PEERS and then is not now:
        ready = find(after.conditions, ConditionType.READY)
        news.append(News(now, ready.message if ready is not None else "", warning=True))
    if before.public_key and after.public_key and before.public_key != after.public_key:
        news.append(
            News(
                Reason.KEYS_ROTATED,
                "the server has a new key: every client must import its configuration again",
                warning=True,
            )
        )
    return news


def taken_over(change: Change) -> News:
    """Another pod serves."""
    why = {
        Cause.FIRST: "there was none before",
        Cause.PLANNED: "the former one is being deleted",
        Cause.GONE: "the former one is gone",
        Cause.SILENT: "the agent of the former one does not answer",
        Cause.COUNTED: "the number of the term was behind",
    }[change.cause]
    warning = change.cause in (Cause.GONE, Cause.SILENT)
    return News(Reason.TAKEN_OVER, f"pod {change.seat.pod} serves from term {change.seat.term} on: {why}", warning)


def farewell(traffic: Traffic) -> News:
    """The last word on a peer that was deleted."""
    since = f" since {traffic.since:%Y-%m-%dT%H:%M:%SZ}" if traffic.since else ""
    return News(Reason.FINAL_USAGE, f"rxBytes={traffic.rx_bytes} txBytes={traffic.tx_bytes}{since}")


def _troubles(before: Conditions, after: Conditions, passing: set[Reason]) -> list[News]:
    then, now = _reason(before), _reason(after)
    ready = find(after, ConditionType.READY)
    if now is None or ready is None or ready.status == "True" or now is then:
        return []
    return [News(now, ready.message, warning=True)] if is_lasting(now) or now in passing else []


def _reason(conditions: Conditions) -> Reason | None:
    ready = find(conditions, ConditionType.READY)
    return Reason(ready.reason) if ready is not None and ready.reason in set(Reason) else None
