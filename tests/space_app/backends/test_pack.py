from __future__ import annotations

import numpy as np

from space_app.backends.pack import NO_TEXT, Pack, texts_in
from space_app.core.types import Encoded, Shape


def encoded(*tokens: int) -> Encoded:
    """A text of these tokens."""
    return Encoded(np.array(tokens, dtype=np.int64), truncated=False)


def test_texts_lie_end_to_end() -> None:
    """Each token knows its text and its place in it, and what is left over belongs to none."""
    pack = Pack(Shape(2, 6), 4)
    pack.fill([[encoded(7, 8, 9), encoded(5, 6)], [encoded(4, 3)]])

    assert pack.ids.tolist() == [[7, 8, 9, 5, 6, 0], [4, 3, 0, 0, 0, 0]]
    assert pack.segment.tolist() == [[0, 0, 0, 1, 1, NO_TEXT], [2, 2, *[NO_TEXT] * 4]]
    assert pack.position.tolist() == [[0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 0, 0]]
    assert pack.starts.tolist() == [0, 3, 6, 0]


def test_padding_within_a_text_takes_no_position() -> None:
    """Positions count on behind it, as models of RoBERTa's kind count them; -1 is its own."""
    pack = Pack(Shape(1, 9), 4, padding=1)
    pack.fill([[encoded(0, 7, 1, 8, 1, 2), encoded(0, 2)]])

    assert pack.position.tolist() == [[0, 1, -1, 2, -1, 3, 0, 1, 0]]


def test_nothing_of_the_step_before_is_left() -> None:
    """A pack that was full is as good as new when it is filled with less."""
    used, new = Pack(Shape(2, 3), 3), Pack(Shape(2, 3), 3)
    used.fill([[encoded(1, 2), encoded(3)], [encoded(4, 5, 6)]])
    for pack in (used, new):
        pack.fill([[encoded(9)]])

    for name, values in used.inputs().items():
        np.testing.assert_array_equal(values, new.inputs()[name])


def test_short_steps_ask_for_few_texts() -> None:
    """A shape never asks for more texts than it has tokens."""
    shapes = (Shape(1, 16), Shape(2, 8), Shape(1, 32), Shape(4, 128))

    assert [texts_in(shape, 32) for shape in shapes] == [16, 16, 32, 32]
