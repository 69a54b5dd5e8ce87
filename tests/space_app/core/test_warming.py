from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_app.core.types import Encoded, Shape
from space_app.core.warming import Warming


def sample(length: int) -> Encoded:
    """A text of so many tokens."""
    return Encoded(np.arange(length, dtype=np.int64), truncated=False)


def test_there_is_nothing_before_it_begins() -> None:
    """Until the server is up nothing is warmed."""
    assert Warming((Shape(1, 8),)).next_step() is None


shapes = st.builds(Shape, st.integers(1, 4), st.integers(1, 600))


@given(st.lists(shapes, min_size=1, max_size=8, unique=True), st.integers(1, 600))
def test_a_step_has_exactly_its_shape(shapes: list[Shape], longest: int) -> None:
    """Texts fill each shape, the first one first, and none is longer than the model reads."""
    warming = Warming(shapes)
    warming.begin(sample(longest))
    seen = []
    while (found := warming.next_step()) is not None:
        step, rows = found
        assert step.items == ()
        assert [sum(map(len, row)) for row in rows] == [step.shape.width] * step.shape.rows
        assert all(0 < len(text) <= longest for row in rows for text in row)
        seen.append(step.shape)
        warming.computed(step.shape)

    assert warming.done
    assert list(dict.fromkeys(seen)) == shapes


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_requests_computed_counts(times: int) -> None:
    """A shape that somebody used often enough is warm already."""
    warming = Warming((Shape(1, 8), Shape(2, 8)))
    warming.begin(sample(8))
    for _ in range(times):
        warming.computed(Shape(1, 8))
    found = warming.next_step()

    assert found is not None
    assert found[0].shape == Shape(1 if times == 1 else 2, 8)
