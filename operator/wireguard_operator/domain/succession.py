"""Which pod of a server with several serves its subscribers. Pure.

The Service is the truth: its selector names the active pod, and an annotation the number of the term, which grows with
each change. Both are written together, against the resource version that was read, so two controllers cannot choose
two pods, and one that starts finds what its predecessor decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..api.base import GROUP

POD_LABEL = f"{GROUP}/pod"
"""A pod's own name as a label, so that a Service can select it alone."""
ROLE_LABEL = f"{GROUP}/role"
"""For people: what the pod is."""
COST_ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
"""What a ReplicaSet with too many pods deletes last has the highest (KEP-2255). So a rollout replaces the standbys
first, and the server changes its pod once."""
TERM_ANNOTATION = f"{GROUP}/term"


class Cause(StrEnum):
    """Why a pod became active."""

    FIRST = "First"
    """There was none before."""
    PLANNED = "Planned"
    """The active pod is being deleted, and serves until the next one does."""
    GONE = "PodGone"
    """The active pod is not there any more."""
    SILENT = "AgentSilent"
    """The active pod's agent does not answer."""
    COUNTED = "Renumbered"
    """The active pod stays; only the number was behind, as when somebody changed the Service by hand."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who serves, and since which term."""

    pod: str
    term: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pod, as the watch and its agent tell."""

    name: str
    created: datetime
    answers: bool
    terminating: bool = False
    """It is being deleted, or its agent was told to end."""
    loaded: bool = False
    """Its device has the state that is wanted."""
    term: int = 0
    """Of the last order that it got."""
    active: bool = False
    """What that order said."""


@dataclass(frozen=True, slots=True)
class Change:
    """Another pod becomes active."""

    seat: Seat
    cause: Cause
    former: str | None
    """The pod that hands over, where it still answers."""


def seat_of(service: Mapping[str, Any] | None) -> Seat | None:
    """What the Service says; None when it names no pod."""
    if service is None:
        return None
    pod = (service["spec"].get("selector") or {}).get(POD_LABEL)
    term = (service["metadata"].get("annotations") or {}).get(TERM_ANNOTATION, "")
    return Seat(pod, int(term) if term.isascii() and term.isdigit() else 0) if pod else None


def decide(seat: Seat | None, candidates: Iterable[Candidate]) -> Change | None:
    """The change that is due, if any. Nothing changes for the sake of order: each change is an interruption."""
    pods = {candidate.name: candidate for candidate in candidates}
    present = pods.get(seat.pod) if seat is not None else None
    term = max([pod.term for pod in pods.values()] + [seat.term if seat is not None else 0]) + 1
    if seat is not None and present is not None and present.answers and not present.terminating:
        behind = seat.term < term - 1 or seat.term == 0
        return Change(Seat(seat.pod, term), Cause.COUNTED, None) if behind else None
    heirs = [pod for pod in pods.values() if pod is not present and pod.answers and not pod.terminating]
    serving = present is not None and present.answers
    if serving or (seat is not None and any(pod.loaded for pod in heirs)):
        # One that hands over can wait for an heir that has everything.
        heirs = [pod for pod in heirs if pod.loaded]
    if not heirs:
        return None
    # Who was active already, as when a server gets its second pod, or the Service was lost; then who is longest there.
    chosen = min(heirs, key=lambda pod: (not pod.active, -pod.term if pod.active else 0, pod.created, pod.name))
    if seat is None:
        cause = Cause.FIRST
    elif present is None:
        cause = Cause.GONE
    else:
        cause = Cause.PLANNED if serving else Cause.SILENT
    return Change(Seat(chosen.name, term), cause, present.name if serving and present is not None else None)
