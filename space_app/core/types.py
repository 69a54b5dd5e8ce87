"""The vocabulary of the core: texts in, vectors out, and the seam to whatever computes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Tokens = NDArray[np.int64]


class Role(StrEnum):
    """What a text is; it decides which of the model's instructions is put before it."""

    QUERY = "query"
    DOCUMENT = "document"


@dataclass(frozen=True)
class EmbedRequest:
    """Texts of one role; `dimensions` keeps the first so many components, None all of them.

    `anew` has all of them computed, whatever is remembered of earlier requests.
    """

    texts: tuple[str, ...]
    role: Role
    dimensions: int | None = None
    anew: bool = False


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of length 1, one row for each text.

    `tokens` counts what was read of each text, `truncated` says whether that was not all of it.
    """

    vectors: Matrix
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as the model reads it: token numbers, special ones included, cut to its length."""

    tokens: Tokens
    truncated: bool

    def __len__(self) -> int:
        return len(self.tokens)


class Embedder(Protocol):
    """What computes vectors; one per file in `space_app.backends`.

    Work is done in steps: some texts whose tokens together are at most `step_lengths[-1]`, and
    which are at most `step_texts`. A step costs as much as the next of `step_lengths` does.
    """

    @property
    def step_lengths(self) -> tuple[int, ...]:
        """Lengths in tokens that steps are brought to, ascending; the model's longest text fits."""

    @property
    def step_texts(self) -> int:
        """Most texts in one step."""

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Read texts, instructions already before them. Blocks; several threads may call it."""

    def embed(self, step: Sequence[Encoded]) -> Matrix:
        """Compute one step: a vector of length 1 for each text, in order.

        It blocks, and is called by one thread at a time, never by the event loop's.
        """
