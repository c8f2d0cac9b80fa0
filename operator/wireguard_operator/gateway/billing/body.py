"""A request's body, read no further than it may be long."""

from __future__ import annotations

from fastapi import Request

from ..errors import Refusal


async def read_body(request: Request, limit: int) -> bytes:
    """The bytes as they came. Refuses with 413 as soon as there are more, whatever Content-Length says."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Refusal(413, f"the body is longer than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
