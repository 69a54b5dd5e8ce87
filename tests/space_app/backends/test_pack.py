from __future__ import annotations

import numpy as np

from space_app.backends.pack import NO_TEXT, Pack, texts_in
from space_app.core.types import Encoded


def encoded(*tokens: int) -> Encoded:
    """A text of these tokens."""
    return Encoded(np.array(tokens, dtype=np.int64), truncated=False)


def test_texts_lie_end_to_end() -> None:
    """Each token knows its text and its place in it, and what is left over belongs to none."""
    pack = Pack(8, 3)
    pack.fill([encoded(7, 8, 9), encoded(5, 6)])

    assert pack.ids.tolist() == [7, 8, 9, 5, 6, 0, 0, 0]
    assert pack.segment.tolist() == [0, 0, 0, 1, 1, NO_TEXT, NO_TEXT, NO_TEXT]
    assert pack.position.tolist() == [0, 1, 2, 0, 1, 0, 0, 0]
    assert pack.starts.tolist() == [0, 3, 0]


def test_nothing_of_the_step_before_is_left() -> None:
    """A pack that was full is as good as new when it is filled with less."""
    used, new = Pack(6, 3), Pack(6, 3)
    used.fill([encoded(1, 2), encoded(3, 4), encoded(5, 6)])
    for pack in (used, new):
        pack.fill([encoded(9)])

    for name, values in used.inputs().items():
        np.testing.assert_array_equal(values, new.inputs()[name])


def test_short_steps_ask_for_few_texts() -> None:
    """A length never asks for more texts than it has tokens."""
    assert [texts_in(length, 32) for length in (16, 32, 512)] == [16, 32, 32]
