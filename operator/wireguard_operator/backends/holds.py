"""Accounts that resist: each is left alone for a while, so that it holds up no other. Pure; ``now`` is monotonic."""

from __future__ import annotations

from dataclasses import dataclass

HOLD_SECONDS = 30.0
"""For which an account that resists is left alone."""
TRIES = 2
"""Writes for one account before it is left alone: the second one follows when the first one's fate was unclear."""


@dataclass(slots=True)
class Hold:
    """One account, with the writes for it that did not do what they should."""

    tries: int = 0
    until: float = 0.0
    """It is left alone until then."""
    message: str = ""
    """What the last write came to, for people."""

    def attempt(self, message: str) -> None:
        """One more write; ``message`` counts if it does nothing and nobody says why."""
        self.tries += 1
        self.message = message

    def refuse(self, message: str) -> None:
        """Another write would not help either."""
        self.message, self.tries = message, TRIES

    @property
    def is_exhausted(self) -> bool:
        """Whether it was tried often enough."""
        return self.tries >= TRIES


class Holds:
    """The accounts of one system that were written to and are not as they should be."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}

    def of(self, key: str) -> Hold:
        """The account's, from its first write on."""
        return self._holds.setdefault(key, Hold())

    def begin(self, key: str, hold: Hold, now: float) -> None:
        """Leave the account alone; afterwards it is tried as if it had never resisted.

        ``hold``: the account's when it was written to; it may have been renewed meanwhile.
        """
        hold.until, hold.tries = now + HOLD_SECONDS, 0
        self._holds[key] = hold

    def end(self, key: str) -> None:
        """The account is as it should be."""
        self._holds.pop(key, None)

    def renew(self, now: float) -> None:
        """Something else may be wanted by now: only who is left alone at the moment stays so."""
        self._holds = {key: hold for key, hold in self._holds.items() if hold.until > now}

    def held(self, now: float) -> dict[str, str]:
        """Who is left alone, by key, with the message why."""
        return {key: hold.message for key, hold in self._holds.items() if hold.until > now}

    def next_end(self, now: float, default: float) -> float:
        """When the first of them may be tried again; ``default``: nobody is left alone."""
        return min((hold.until for hold in self._holds.values() if hold.until > now), default=default)
