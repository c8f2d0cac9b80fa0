"""What all answers have in common.

Models describe the answers in the OpenAPI document. Answers themselves are dictionaries from the small records of the
cache, since a thousand rows through a model take longer than all the rest of a request.
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json
from starlette.responses import Response

from ...api.base import format_time
from ..cache.identity import SPACE

JSON = "application/json"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Answer(BaseModel):
    """A model whose fields are described by the texts below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def respond(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, without a model in between."""
    return Response(to_json(content), status, headers, JSON)


def stamp(moment: datetime) -> str:
    """A time as all answers have it."""
    return format_time(moment)


@lru_cache(maxsize=1024)
def tenant_id(namespace: str) -> str:
    """A UUID for a tenant, since older clients expect one. A namespace that is named by one is that tenant."""
    return namespace if _UUID.fullmatch(namespace) else str(uuid.uuid5(SPACE, f"namespaces/{namespace}"))


def metadata_of(text: str | None) -> dict[str, Any]:
    """What a foreign system left; the annotation may have been spoilt by hand."""
    if not text:
        return {}
    try:
        found = from_json(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
