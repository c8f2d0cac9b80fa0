"""The object's name for a name that people gave.

A name that Kubernetes takes is the object's own, so that kubectl and the API speak of the same. Any other is written in
an annotation, and the object's name is made from it: readable, and the same each time, so that a second creation with
the same name collides as it should.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 63
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DIGITS = 8


def object_name(title: str) -> str:
    """The name of the object that people call ``title``."""
    if _LABEL.fullmatch(title):
        return title
    readable = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[: LONGEST - _DIGITS - 1].strip("-")
    digest = hashlib.sha256(title.encode()).hexdigest()[:_DIGITS]
    return f"{readable}-{digest}" if readable else f"x-{digest}"
