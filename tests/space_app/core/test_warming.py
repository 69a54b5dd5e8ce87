from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_app.core.types import Encoded
from space_app.core.warming import Warming


def sample(length: int) -> Encoded:
    """A text of so many tokens."""
    return Encoded(np.arange(length, dtype=np.int64), truncated=False)


def test_there_is_nothing_before_it_begins() -> None:
    """Until the server is up nothing is warmed."""
    assert Warming((8,)).next_step() is None


@given(st.lists(st.integers(1, 600), min_size=1, max_size=8, unique=True), st.integers(1, 600))
def test_a_step_has_exactly_its_length(lengths: list[int], longest: int) -> None:
    """Texts fill each length, the shortest first, and none is longer than the model reads."""
    warming = Warming(sorted(lengths))
    warming.begin(sample(longest))
    seen = []
    while (found := warming.next_step()) is not None:
        step, texts = found
        assert step.items == ()
        assert sum(map(len, texts)) == step.length
        assert all(0 < len(text) <= longest for text in texts)
        seen.append(step.length)
        warming.computed(step.length)

    assert warming.done
    assert seen == sorted(seen)
    assert set(seen) == set(lengths)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_requests_computed_counts(times: int) -> None:
    """A length that somebody used often enough is warm already."""
    warming = Warming((8, 16))
    warming.begin(sample(8))
    for _ in range(times):
        warming.computed(8)
    found = warming.next_step()

    assert found is not None
    assert found[0].length == (8 if times == 1 else 16)
