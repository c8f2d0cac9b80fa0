"""Questions and answers of ``protocol`` on one connection: each a message with a line of JSON and the body behind it.

They have numbers, so that several may be under way and an answer that comes too late belongs to nobody. Bodies are
compressed here, since a router's line may be slow, and what is compressed already is not compressed again.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .protocol import STATE_PATH

COMPRESSED_BYTES = 1024
"""Bodies of that size are compressed."""
MOST_BYTES = 64 << 20
"""Of a body, once it is unpacked."""


class FrameError(ValueError):
    """A message is not understood; the text holds none of it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the controller asks."""

    number: int
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent says."""

    number: int
    status: int
    body: bytes = field(default=b"", repr=False)


def pack_question(question: Question) -> bytes:
    """A question as a message."""
    head = {"number": question.number, "method": question.method, "path": question.path, "query": dict(question.query)}
    return _pack(head, question.body, compress=question.path != STATE_PATH)


def pack_answer(answer: Answer) -> bytes:
    """An answer as a message."""
    return _pack({"number": answer.number, "status": answer.status}, answer.body, compress=True)


def read_question(message: bytes) -> Question:
    """A question from its message. Raises FrameError."""
    head, body = _read(message)
    try:
        query = {str(key): str(value) for key, value in head["query"].items()}
        return Question(int(head["number"]), str(head["method"]), str(head["path"]), query, body)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FrameError("a question lacks its number, method, path or query") from None


def read_answer(message: bytes) -> Answer:
    """An answer from its message. Raises FrameError."""
    head, body = _read(message)
    try:
        return Answer(int(head["number"]), int(head["status"]), body)
    except (KeyError, TypeError, ValueError):
        raise FrameError("an answer lacks its number or status") from None


def _pack(head: dict[str, Any], body: bytes, *, compress: bool) -> bytes:
    head["gzip"] = compress and len(body) > COMPRESSED_BYTES
    return json.dumps(head).encode() + b"\n" + (gzip.compress(body, 1) if head["gzip"] else body)


def _read(message: bytes) -> tuple[dict[str, Any], bytes]:
    line, found, body = message.partition(b"\n")
    try:
        head = json.loads(line)
        if not found or not isinstance(head, dict):
            raise ValueError
        if head.get("gzip"):
            unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            body = unpacker.decompress(body, MOST_BYTES)
            if unpacker.unconsumed_tail or not unpacker.eof:
                raise ValueError
    except (ValueError, zlib.error):
        raise FrameError("a message is not a line of JSON with a body behind it") from None
    return head, body
