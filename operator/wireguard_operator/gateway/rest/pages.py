"""Lists: one page of many, in an envelope or as a bare array, as the caller's generation of the contract has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
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

    def answer(self, kind: str, records: Iterable[R], render: Callable[[R], dict[str, Any]]) -> Response:
        """The page of the records. Those that are not on it are counted and not rendered."""
        source = iter(records)
        passed = sum(1 for _ in islice(source, self.offset))
        rows = [render(record) for record in islice(source, self.limit)]
        total = passed + len(rows) + sum(1 for _ in source)
        headers = {"X-Total-Count": str(total)}
        if self.bare:
            return respond(rows, headers=headers)
        return respond({kind: rows, "total": total, "limit": self.limit, "offset": self.offset}, headers=headers)


Paged = Annotated[Page, Depends()]
