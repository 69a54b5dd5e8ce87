from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_app.core.packing import Packed, pack
from space_app.core.types import Shape

SINGLE = {Shape(1, length): float(length) for length in (16, 32, 64)}
SEVERAL = {Shape(1, 16): 16.0, Shape(1, 32): 33.0, Shape(4, 16): 60.0, Shape(1, 64): 70.0}


def totals(packed: Packed, tokens: list[int]) -> list[int]:
    """Tokens of each row."""
    return [sum(tokens[index] for index in row) for row in packed.rows]


@given(st.integers(1, 16), st.lists(st.integers(1, 64), max_size=8))
def test_no_choice_is_fuller(anchor: int, others: list[int]) -> None:
    """Of all ways to fill a row, it finds the one with the most tokens for what it costs."""
    tokens = [anchor, *others]
    packed = pack(tokens, anchors=1, most=99, seconds=SINGLE)

    (total,) = totals(packed, tokens)
    sums = {
        anchor + sum(some)
        for count in range(len(others) + 1)
        for some in combinations(others, count)
    }
    best = max(used / shape.width for used in sums for shape in SINGLE if used <= shape.width)
    assert total / packed.shape.width == best


@given(
    st.lists(st.integers(1, 16), min_size=1, max_size=4),
    st.lists(st.integers(1, 64), max_size=40),
    st.integers(0, 6),
)
def test_what_is_chosen_fits(anchors: list[int], others: list[int], more: int) -> None:
    """Anchors are in, nothing is twice, no row is too full, no texts are too many.

    The shape is the first that holds the rows.
    """
    tokens, most = [*anchors, *others], len(anchors) + more
    packed = pack(tokens, anchors=len(anchors), most=most, seconds=SEVERAL)

    chosen = [index for row in packed.rows for index in row]
    assert set(range(len(anchors))) <= set(chosen)
    assert len(set(chosen)) == len(chosen) <= most
    assert all(packed.rows)
    assert packed.shape == next(shape for shape in SEVERAL if shape.holds(totals(packed, tokens)))


def test_short_texts_are_laid_out_in_rows() -> None:
    """Where several rows hold as much as one and cost less, they are taken, and filled."""
    tokens = [9, 10, 6, 7, 11, 5, 12, 4]
    packed = pack(tokens, anchors=1, most=99, seconds=SEVERAL)

    assert packed.shape == Shape(4, 16)
    assert totals(packed, tokens) == [16] * 4


@pytest.mark.parametrize("anchors", [(12, 12, 12), (20,)])
def test_anchors_that_fit_no_rows_share_one(anchors: tuple[int, ...]) -> None:
    """Texts that must be together are, in a long row if several short ones do not hold them."""
    seconds = {Shape(2, 16): 1.0, Shape(1, 64): 99.0}

    assert pack(anchors, anchors=len(anchors), most=9, seconds=seconds).shape == Shape(1, 64)


def test_who_is_in_front_is_preferred() -> None:
    """Of two that fit as well, the first is taken."""
    packed = pack([6, 10, 3, 10, 7], anchors=1, most=9, seconds={Shape(1, 16): 1.0})

    assert packed.rows == ((0, 1),)


def test_a_shape_that_is_slow_is_avoided() -> None:
    """The measured seconds decide, not the lengths."""
    seconds = {Shape(1, 32): 1.0, Shape(1, 64): 9.0}

    assert pack([8, 8, 16, 32], anchors=1, most=9, seconds=seconds).shape == Shape(1, 32)
