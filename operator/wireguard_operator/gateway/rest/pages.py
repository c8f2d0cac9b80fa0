"""Lists: one page of many, in an envelope or as a bare array, as the caller's generation of the contract has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query
from starlette.responses import Response

from .answers import respond

R = TypeVar("R")
BARE = "envelope=false"


class Page:
    """Which part of a list is wanted, and in which form."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=1000, description="The most entries of a page.")] = 100,
        offset: Annotated[int, Query(ge=0, le=2**31 - 1, description="How many entries to leave out first.")] = 0,
        envelope: Annotated[
            bool, Query(description="false: the answer is the bare array. X-Total-Count has the total either way.")
        ] = True,
        accept: Annotated[
            str, Header(description="With parameter envelope=false the same: application/json;envelope=false.")
        ] = "",
    ) -> None:
        self.limit, self.offset = limit, offset
        self.bare = not envelope or BARE in accept.replace(" ", "")

    def answer(self, kind: str, records: Sequence[R], render: Callable[[R], dict[str, Any]]) -> Response:
        """The page of the records. Those that are not on it are not rendered."""
        rows = [render(record) for record in records[self.offset : self.offset + self.limit]]
        headers = {"X-Total-Count": str(len(records))}
        if self.bare:
            return respond(rows, headers=headers)
        envelope = {kind: rows, "total": len(records), "limit": self.limit, "offset": self.offset}
        return respond(envelope, headers=headers)


Paged = Annotated[Page, Depends()]
