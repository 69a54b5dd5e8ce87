"""Lays the texts of one step end to end, as the exported graph takes them.

A batch padded to its longest text computes its padding too. Here texts share a row, each token
knows its text, and attention stays inside it, so that a step costs only its tokens. Attention is
computed row by row: between many short rows there is less of it than within a long one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Encoded, Shape, Tokens

NO_TEXT = -1
"""The segment of what only fills a row up."""


def texts_in(shape: Shape, step_texts: int) -> int:
    """How many texts the graph is asked for at one shape; each has a token at least."""
    return min(shape.tokens, step_texts)


@dataclass(frozen=True, eq=False)
class Pack:
    """The graph's inputs at one shape; `fill` writes them again and again.

    `segment` says which text a token is of, `position` where in it: one number for each token of
    each row. `starts` says where texts begin, counted through all rows. The token `padding` takes
    no position, wherever it stands in a text.
    """

    shape: Shape
    texts: int
    padding: int | None = None
    ids: Tokens = field(init=False)
    segment: Tokens = field(init=False)
    position: Tokens = field(init=False)
    starts: Tokens = field(init=False)

    def __post_init__(self) -> None:
        for name in ("ids", "segment", "position"):
            object.__setattr__(self, name, np.zeros(self.shape, dtype=np.int64))
        object.__setattr__(self, "starts", np.zeros(self.texts, dtype=np.int64))

    def fill(self, step: Sequence[Sequence[Encoded]]) -> None:
        """Write a step's rows, which fit, and mark the rest as no text's."""
        self.ids.fill(0)
        self.segment.fill(NO_TEXT)
        self.position.fill(0)
        self.starts.fill(0)
        number = 0
        for row, texts in enumerate(step):
            start = 0
            for text in texts:
                end = start + len(text)
                self.ids[row, start:end] = text.tokens
                self.segment[row, start:end] = number
                self.position[row, start:end] = self._positions(text.tokens)
                self.starts[number] = row * self.shape.width + start
                start = end
                number += 1

    def _positions(self, tokens: Tokens) -> Tokens:
        if self.padding is None or self.padding not in tokens:
            return np.arange(len(tokens))
        counted = tokens != self.padding
        return np.where(counted, np.cumsum(counted) - 1, -1)

    def inputs(self) -> dict[str, Tokens]:
        """The arrays by the graph's names for them; they are these ones, not copies."""
        return {name: getattr(self, name) for name in ("ids", "segment", "position", "starts")}
