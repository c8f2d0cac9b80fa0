"""Whether an object is as it should be, although the API server and others have added to it."""

from __future__ import annotations

from collections.abc import Mapping


def covers(actual: object, wanted: object) -> bool:
    """Whether all of ``wanted`` is there in ``actual``, which may hold more: defaults, and what others set."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            key in actual and covers(actual[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(covers(have, want) for have, want in zip(actual, wanted, strict=True))
        )
    return actual == wanted
