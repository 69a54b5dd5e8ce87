from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from space_app.core.steps import steps


@given(st.lists(st.integers(min_value=1, max_value=500), max_size=60))
def test_every_text_once_within_the_limits(lengths: list[int]) -> None:
    """Each text is in one step, and no step is too big unless it is one text."""
    found = steps(lengths, max_texts=8, max_characters=300)

    assert sorted(position for step in found for position in step) == list(range(len(lengths)))
    for step in found:
        padded = len(step) * max(lengths[position] for position in step)
        assert len(step) <= 8
        assert padded <= 300 or len(step) == 1


def test_texts_of_a_length_come_together() -> None:
    """A long text does not pad short ones."""
    assert steps([10, 4000, 11, 4000]) == [[0, 2], [1, 3]]
