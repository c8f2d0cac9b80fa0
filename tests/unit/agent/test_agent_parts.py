"""Parts of a whole: together again in any order, and never a mixture."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireguard_operator.agent.parts import Assembly, PartsError, cut, join, read_part


@given(st.binary(max_size=3000), st.integers(1, 500), st.randoms())
def test_any_content_comes_back_from_its_parts_in_any_order(content: bytes, size: int, order: random.Random) -> None:
    parts = cut(content, size)
    order.shuffle(parts)
    assert join(parts) == content


def test_an_assembly_says_what_it_has_and_what_is_missing() -> None:
    parts = [read_part(data) for data in cut(random.Random(1).randbytes(1000), 100)]
    assembly = Assembly()
    assert assembly.partial() is None and assembly.missing() == ()
    assembly.add(parts[2])
    assembly.add(parts[0])
    partial = assembly.partial()
    assert partial is not None and partial.parts == (0, 2) and partial.content == parts[0].content
    assert assembly.missing() == (1, *range(3, len(parts)))
    with pytest.raises(PartsError, match="missing"):
        assembly.content()


def test_a_part_of_another_content_replaces_what_was_there() -> None:
    one, other = (cut(random.Random(seed).randbytes(300), 100) for seed in (1, 2))
    assembly = Assembly()
    for data in (*one[:-1], *other):
        assembly.add(read_part(data))
    assert assembly.content() == random.Random(2).randbytes(300)


@pytest.mark.parametrize(
    "head",
    [
        "",
        "7",
        "[]",
        '{"state":"x","part":0}',
        '{"state":"x","part":1,"parts":1}',
        '{"state":"x","part":0,"parts":9999}',
    ],
)
def test_a_heading_that_cannot_be_is_refused(head: str) -> None:
    with pytest.raises(PartsError):
        read_part(head.encode() + b"\nrubbish")
