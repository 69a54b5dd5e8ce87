"""Lays the texts of one step end to end, as the exported graph takes them.

A batch padded to its longest text computes its padding too. Here the tokens of all texts form one
row, each token knows its text, and attention stays inside it, so that a step costs only its length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from space_app.core.types import Encoded, Tokens

NO_TEXT = -1
"""The segment of what only fills a step up."""


def texts_in(length: int, step_texts: int) -> int:
    """How many texts the graph is asked for at one length; each has a token at least."""
    return min(length, step_texts)


@dataclass(frozen=True, eq=False)
class Pack:
    """The graph's inputs at one length; `fill` writes them again and again.

    `segment` says which text a token is of, `position` where in it, `starts` where texts begin.
    """

    length: int
    texts: int
    ids: Tokens = field(init=False)
    segment: Tokens = field(init=False)
    position: Tokens = field(init=False)
    starts: Tokens = field(init=False)

    def __post_init__(self) -> None:
        for name in ("ids", "segment", "position"):
            object.__setattr__(self, name, np.zeros(self.length, dtype=np.int64))
        object.__setattr__(self, "starts", np.zeros(self.texts, dtype=np.int64))

    def fill(self, step: Sequence[Encoded]) -> None:
        """Write a step's texts, which fit, and mark the rest as no text's."""
        self.starts[len(step) :] = 0
        start = 0
        for number, text in enumerate(step):
            end = start + len(text)
            self.ids[start:end] = text.tokens
            self.segment[start:end] = number
            self.position[start:end] = np.arange(end - start)
            self.starts[number] = start
            start = end
        self.ids[start:] = 0
        self.segment[start:] = NO_TEXT
        self.position[start:] = 0

    def inputs(self) -> dict[str, Tokens]:
        """The arrays by the graph's names for them; they are these ones, not copies."""
        return {name: getattr(self, name) for name in ("ids", "segment", "position", "starts")}
