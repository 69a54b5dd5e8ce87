from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from space_app.core.packing import pack

LINEAR = {length: float(length) for length in (16, 32, 64)}


@given(st.integers(1, 16), st.lists(st.integers(1, 64), max_size=8))
def test_no_choice_is_fuller(anchor: int, candidates: list[int]) -> None:
    """Of all ways to fill a step, it finds the one with the most tokens for what it costs."""
    packed = pack(anchor, candidates, most=99, seconds=LINEAR)

    total = anchor + sum(candidates[index] for index in packed.chosen)
    sums = {
        anchor + sum(some)
        for count in range(len(candidates) + 1)
        for some in combinations(candidates, count)
    }
    best = max(tokens / length for tokens in sums for length in LINEAR if tokens <= length)
    assert total / packed.length == best
    assert total <= packed.length


@given(st.integers(1, 16), st.lists(st.integers(1, 64), max_size=40), st.integers(1, 6))
def test_never_too_many_texts(anchor: int, candidates: list[int], most: int) -> None:
    """The anchor counts, and the length is the cheapest that holds what was chosen."""
    packed = pack(anchor, candidates, most=most, seconds=LINEAR)

    total = anchor + sum(candidates[index] for index in packed.chosen)
    assert len(packed.chosen) < most
    assert packed.length == min(length for length in LINEAR if length >= total)


def test_who_is_in_front_is_preferred() -> None:
    """Of two that fit as well, the first is taken."""
    assert pack(6, [10, 3, 10, 7], most=9, seconds={16: 1.0}).chosen == (0,)


def test_a_length_that_is_slow_is_avoided() -> None:
    """The measured seconds decide, not the lengths."""
    assert pack(8, [8, 16, 32], most=9, seconds={32: 1.0, 64: 9.0}).length == 32
